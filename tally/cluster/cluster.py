"""What a source tells a cluster, and what a cluster tells of its sources and archives."""

import re
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from tally.cluster import statements, tables
from tally.cluster.address import Address
from tally.cluster.connection import Connection
from tally.engine import sketch
from tally.engine.definition import HOUR_S, Definition
from tally.engine.storing.tracking import Batch
from tally.errors import ClusterRefused, ClusterUnavailable

# Cells are encoded so many at a time, and other threads run in between: they answer questions and collect.
SLICE_CELLS, YIELD_S = 2_000, 0.0002
_PARTITION = re.compile(r"\('([a-z0-9_-]+)', ?([0-9]+)\)")
_DISTRIBUTED = re.compile(r"Distributed\(['`]?([^,'`]+)")


class Published(NamedTuple):
    """A row of `archives`: an archive as a source has it."""

    archive: str
    source: str
    identity: str
    definition: Definition
    floor: int
    acknowledged: int
    is_deleted: bool


class Source(NamedTuple):
    """A row of `sources`: see `tables`."""

    source: str
    seen: float
    lag: float
    cells: int
    expired: int


class Cluster:
    """The tables at `address`. Not for concurrent calls. Every method raises ClusterUnavailable."""

    def __init__(self, address: Address, connection: Connection | None = None) -> None:
        self.address = address
        self._connection = connection or Connection(address)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection; the next statement opens it again."""
        self._connection.close()

    def _execute(self, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement.format(database=self.address.database), parameters)

    def _insert(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        self._connection.insert(statement.format(database=self.address.database), columns)

    def create_tables(self, on_cluster: str | None = None) -> None:
        """Create the tables that are missing, and add columns that are. Any number of processes may do so at once.

        The cluster of ClickHouse on which the tables are need not be named again.
        """
        on_cluster = on_cluster or self._find_on_cluster()
        for statement in tables.create_statements(self.address, on_cluster):
            self._connection.execute(statement)
        for column, needed in tables.upgrade_statements(self.address, on_cluster).items():
            if column not in self._read_columns():
                try:
                    for statement in needed:
                        self._connection.execute(statement)
                except ClusterUnavailable:
                    if column not in self._read_columns():
                        raise  # No other process has added it meanwhile.

    def _read_columns(self) -> set[tuple[Any, ...]]:
        """Return the columns of the tables of cells, as (table, column)."""
        return set(self._execute(statements.COLUMNS, {"database": self.address.database}))

    def wait_for_replica(self) -> None:
        """Wait until this server has what others have of the small tables, if they are replicated."""
        rows = self._execute(statements.REPLICATED, {"database": self.address.database})
        for (table,) in rows:
            self._connection.execute(tables.sync_replica(self.address.database, table))

    def claim(self, source: str, identity: str, *, stamp: int) -> None:
        """Take the name `source` for the data directory of this identity.

        :raises ClusterRefused: when another directory has the name, or this one has another name.
        """
        if not self._check_claims(source, identity):
            self._insert(statements.NEW_CLAIM, [(source, identity, stamp)])
            self._check_claims(source, identity)

    def _check_claims(self, source: str, identity: str) -> bool:
        """Return whether the name is taken by this identity already."""
        claims = self._execute(statements.CLAIMS)
        names = [name for name, owner in claims if owner == identity]
        owners = [owner for name, owner in claims if name == source]
        if names and source not in names:
            raise ClusterRefused(
                f"this data directory replicates as {names[0]!r}, not as {source!r}: set TALLY_SOURCE={names[0]}"
            )
        if owners and owners[0] != identity:
            raise ClusterRefused(
                f"another data directory replicates as {source!r}: set TALLY_SOURCE to a name of its own"
            )
        return bool(owners)

    def read_archives(self) -> list[Published]:
        """Return the archives of all sources, deleted ones included."""
        return [_published(row) for row in self._execute(statements.ARCHIVES)]

    def read_greatest_version(self, archive: str, source: str) -> int:
        """Return the greatest version of the cells that a source has shipped of an archive, or 0."""
        rows = self._execute(statements.GREATEST_VERSION, {"archive": archive, "source": source})
        return int(rows[0][0] or 0)

    def read_greatest_stamp(self, source: str) -> int:
        """Return the greatest stamp of what a source has published or reported, or 0."""
        return int(self._execute(statements.GREATEST_STAMP, {"source": source})[0][0] or 0)

    def publish(self, archive: Published, *, stamp: int) -> None:
        """Store how a source has an archive."""
        d = archive.definition
        row = (
            archive.archive, archive.source, archive.identity, d.name, d.description, d.pattern, d.resolution,
            d.retention, int(d.enabled), d.percentiles, archive.floor, archive.acknowledged, int(archive.is_deleted),
            stamp,
        )  # fmt: skip
        self._insert(statements.NEW_ARCHIVE, [row])

    def insert(self, archive: str, source: str, batch: Batch, *, floor: int) -> None:
        """Store the cells of a batch, which count once `floor` is published; return when the shards have them."""
        size = len(batch.rows)
        if not size:
            return
        statement = statements.NEW_CELLS
        columns: list[list[Any]] = [[archive] * size, batch.buckets, [], [source] * size, [], [], [], []]
        columns += [[batch.version] * size, [floor] * size]
        texts: list[str | None] = []
        for at in range(0, size, SLICE_CELLS):
            _ids, *parts, texts_part = zip(*batch.rows[at : at + SLICE_CELLS], strict=True)
            for column, part in zip((columns[2], *columns[4:8], texts), (*parts, texts_part), strict=True):
                column.extend(part)
            time.sleep(YIELD_S)
        if any(texts):
            statement = statements.NEW_SKETCHED_CELLS
            columns.extend(_sketch_columns(texts))
        self._connection.insert(
            statement.format(database=self.address.database),
            columns,
            insert_distributed_sync=1,
            insert_block_size=SLICE_CELLS,
        )

    def read_event_keys(self, source: str) -> set[tuple[int, int]]:
        """Return the ids and digests of the events of a source."""
        return {(number, digest) for number, digest in self._execute(statements.EVENT_KEYS, {"source": source})}

    def insert_events(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Store rows of `events`."""
        self._insert(statements.NEW_EVENTS, rows)

    def report(self, source: Source, identity: str, *, stamp: int) -> None:
        """Store how far a source has come."""
        self._insert(
            statements.NEW_SOURCE,
            [(source.source, identity, source.seen, source.lag, source.cells, source.expired, stamp)],
        )

    def read_sources(self) -> list[Source]:
        """Return how far each source has come."""
        return [Source(*row) for row in self._execute(statements.SOURCES)]

    def drop_expired(self, now: float) -> int:
        """Drop the weeks whose retention has ended in every source that has the archive, and return how many."""
        kept: dict[str, list[Definition]] = {}
        for each in self.read_archives():
            if not each.is_deleted:
                kept.setdefault(each.archive, []).append(each.definition)
        name, table, partitions = self._read_partitions()
        expired = [text for text in partitions if _is_expired(text, kept, now)]
        for partition in expired:
            self._connection.execute(tables.drop_partition(self.address.database, table, partition, name))
        return len(expired)

    def read_size_bytes(self, archive: str) -> int:
        """Return the size of the cells of an archive, on one replica of each shard."""
        _, _, partitions = self._read_partitions()
        return sum(size for text, size in partitions.items() if text.startswith(f"('{archive}',"))

    def _find_on_cluster(self) -> str | None:
        """Return the name of ClickHouse's cluster on which the tables are, or None."""
        rows = self._execute(statements.CELLS_ENGINE, {"database": self.address.database})
        distributed = _DISTRIBUTED.match(rows[0][0]) if rows else None
        return distributed[1] if distributed else None

    def _read_partitions(self) -> tuple[str | None, str, dict[str, int]]:
        """Return the name of ClickHouse's cluster or None, the table on each server, and its partitions' sizes."""
        database = self.address.database
        name = self._find_on_cluster()
        table = tables.LOCAL if name else "cells"
        parts = f"cluster({tables.quote(name)}, system.parts)" if name else "system.parts"
        found = self._connection.execute(
            statements.PARTITIONS.format(parts=parts), {"database": database, "table": table}
        )
        return name, table, dict(found)


def _sketch_columns(texts: list[str | None]) -> Iterable[list[Any]]:
    """Return the columns SKETCH of sketches as archives keep them."""
    sketches = [None if text is None else sketch.load_sketch(text) for text in texts]
    return (
        [[*(each or ())] for each in sketches],
        [[*each.values()] if each else [] for each in sketches],
        [int(each is not None) for each in sketches],
    )


def _published(row: tuple[Any, ...]) -> Published:
    fields = dict(zip(statements.DEFINITION, row, strict=True))
    definition = Definition(
        fields["archive"],
        fields["title"],
        fields["description"],
        fields["pattern"],
        fields["resolution"],
        fields["retention"],
        bool(fields["enabled"]),
        fields["percentiles"],
    )
    return Published(
        fields["archive"],
        fields["source"],
        fields["identity"],
        definition,
        fields["floor"],
        fields["acknowledged"],
        bool(fields["is_deleted"]),
    )


def _is_expired(partition: str, kept: dict[str, list[Definition]], now: float) -> bool:
    found = _PARTITION.fullmatch(partition)
    if found is None:
        return False
    end = (int(found[2]) + 1) * tables.WEEK_S
    # A margin of a day, as the clock of this machine may be ahead.
    return all(each.retention and end <= now - each.retention * HOUR_S - 24 * HOUR_S for each in kept.get(found[1], ()))
