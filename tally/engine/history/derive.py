"""Derives an archive from another one: with coarser buckets, with some of its names, or with both.

The new archive is built in a temporary file from a snapshot of the source, which can be written meanwhile. Then, while
nobody can write the source, the buckets that have grown since are copied again, and the file gets its name.

The new archive has the content that it would have if it had collected the samples of the source itself. Buckets past
its retention are not copied.
"""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import apsw

from tally.engine.asking import sql
from tally.engine.definition import Definition
from tally.engine.files import damage_marks, ddl, schema, statements
from tally.engine.files.connection import Connection
from tally.engine.files.temporary import publish, temporary_file
from tally.engine.history import queries
from tally.engine.history.contents import inherit
from tally.engine.history.source import Progress, attached, chunks, connect
from tally.engine.recovery.backup import check_space, size_bytes
from tally.engine.sketch import LEVELS
from tally.engine.storing.clock import ClockState
from tally.engine.storing.lineage import Lineage, ensure_identity
from tally.engine.storing.sealing import add_blocks
from tally.engine.storing.watermarks import read_watermarks
from tally.errors import ArchiveExists, ArchiveUnavailable


@dataclass(frozen=True, slots=True)
class Derived:
    """The content of a derived archive: numbers of names, cells and samples."""

    names: int
    cells: int
    samples: int


@dataclass(frozen=True)
class Derivation:
    """A new archive with `definition` from the one at `source`, which is open for writing as `origin`.

    Buckets expire by the time `now`.
    """

    origin: Connection
    source: Path
    definition: Definition
    now: float

    def write(self, target: Path, *, dry_run: bool = False, progress: Progress | None = None) -> Derived:
        """Create the archive at `target` and return its content. With `dry_run` it is built and not kept.

        :raises InvalidDefinition: when its resolution is not a multiple of the source's.
        :raises ArchiveExists: when there is a file at `target`.
        :raises ArchiveUnavailable: also when the file cannot be written.
        """
        try:
            self._prepare(target)
            with temporary_file(target) as built, ExitStack() as lock:
                with closing(connect(built)) as connection:
                    with attached(connection, self.origin, self.source):
                        copy = _Copy(connection, self)
                        copy.fill(progress)
                        lock.enter_context(schema.Transaction(self.origin))
                        copy.catch_up()
                    names, cells, samples = connection.execute(queries.CONTENT).get
                    connection.pragma("journal_mode", "wal")
                if not dry_run:
                    publish(built, target)
                    damage_marks.clear(target)
            return Derived(names, cells, round(samples))
        except FileExistsError:
            raise ArchiveExists(f"archive {target.stem!r} exists: use another slug, or delete it first") from None
        except OSError as error:
            raise ArchiveUnavailable(f"{target}: cannot be created: {error.strerror}") from error

    def _prepare(self, target: Path) -> None:
        if target.exists():
            raise FileExistsError
        with schema.Transaction(self.origin):
            ensure_identity(self.origin)
        check_space(target, size_bytes(self.origin))


class _Copy:
    """Fills the file that is open as `connection` from the attached source."""

    def __init__(self, connection: apsw.Connection, derivation: Derivation) -> None:
        self._connection = connection
        self._definition = derivation.definition
        self._now = derivation.now
        self._lineage = Lineage("", 0, 0)
        self._is_coarser = False
        self._accuracy = 0
        self._cutoff = 0
        self._sealed_before = 0

    def fill(self, progress: Progress | None = None) -> None:
        """Copy everything from a snapshot of the source into the empty file."""
        with schema.Transaction(self._connection):
            schema.initialize(self._connection, self._definition)
            self._connection.execute(queries.SEEN)
            self._copy(progress)

    def _copy(self, progress: Progress | None) -> None:
        connection, definition = self._connection, self._definition
        meta = dict(connection.execute(queries.SOURCE_META))
        self._accuracy = meta.get("percentiles", 0)
        # Raises an error unless what is derived is coarser.
        stored = Definition.load("", {"name": "", "resolution": meta["resolution"], "percentiles": self._accuracy})
        stored.edited(resolution=definition.resolution, percentiles=definition.percentiles)
        self._is_coarser = definition.resolution > meta["resolution"]
        self._lineage = Lineage.read(meta)
        self._cutoff = 0 if ClockState.read(meta).doubted is not None else definition.cutoff(self._now)
        self._sealed_before = self._closed()
        connection.execute(queries.DERIVE_CLOCK)
        connection.execute(queries.DERIVE_NAMES, (definition.pattern,))
        schema.write_meta(connection, "sealed_before", self._sealed_before)
        connection.execute(ddl.DROP_INDEX)
        marks = read_watermarks(connection)
        bounds: sql.Bindings = {"since": self._cutoff}
        for since, before in chunks(connection, definition.resolution, bindings=bounds, progress=progress):
            self._copy_cells(since, before)
            add_blocks(connection, marks, since=since, before=min(before, self._sealed_before))
        connection.execute(ddl.CREATE_INDEX)
        self._forget_names()
        inherit(connection, self._lineage)

    def _closed(self) -> int:
        """Return the end of the last bucket that has data and is over."""
        resolution = self._definition.resolution
        closed_before = int(self._now // resolution) * resolution
        last = self._connection.execute(queries.SOURCE_LAST, (closed_before,)).get
        return 0 if last is None else last // resolution * resolution + resolution

    def _copy_cells(self, since: int, before: int) -> None:
        resolution = self._definition.resolution
        bounds = {"since": since, "before": before, "sealed_before": self._sealed_before, "resolution": resolution}
        self._connection.execute(queries.DERIVE_COARSER if self._is_coarser else queries.DERIVE_SAME, bounds)
        self._connection.execute(statements.TOTALS, (since, before - 1))
        if self._definition.percentiles:
            levels = LEVELS[self._definition.percentiles] - (LEVELS[self._accuracy] if self._accuracy else 0)
            self._connection.execute(queries.DERIVE_SKETCHES[self._accuracy > 0], {**bounds, "levels": levels})
            self._connection.execute(statements.TOTALS_SKETCHES, (since, before - 1))

    def _forget_names(self) -> None:
        ids = self._connection.execute(queries.ALL_IDS).get
        bounds = {"ids": ids, "sealed_before": self._sealed_before, "expired_before": 0}
        self._connection.execute(statements.FORGET_NAMES, bounds).fetchall()

    def catch_up(self) -> None:
        """Copy the buckets that have grown since `fill`, or everything anew if more than that has changed."""
        with schema.Transaction(self._connection):
            if self._has_only_grown():
                self._copy_grown()
            else:
                self._connection.execute(statements.EMPTY).fetchall()
                if self._definition.percentiles:
                    self._connection.execute(statements.EMPTY_SKETCHES).fetchall()
                self._connection.execute(queries.EMPTY_DERIVED).fetchall()
                self._copy(None)

    def _has_only_grown(self) -> bool:
        meta = dict(self._connection.execute(queries.SOURCE_META))
        is_same = (Lineage.read(meta), meta.get("percentiles", 0)) == (self._lineage, self._accuracy)
        return is_same and not self._connection.execute(queries.HAS_OTHER_NAMES).get

    def _copy_grown(self) -> None:
        connection, resolution = self._connection, self._definition.resolution
        bounds = {"resolution": resolution, "cutoff": self._cutoff}
        grown = [bucket for (bucket,) in connection.execute(queries.GROWN, bounds)]
        connection.execute(queries.DERIVE_NAMES, (self._definition.pattern,))
        for bucket in grown:
            connection.execute(queries.EMPTY_BUCKET, {"bucket": bucket}).fetchall()
            if self._definition.percentiles:
                connection.execute(queries.EMPTY_BUCKET_SKETCHES, {"bucket": bucket}).fetchall()
            self._copy_cells(bucket, bucket + resolution)
        marks = read_watermarks(connection)
        for block in {marks.block(bucket) for bucket in grown if bucket < self._sealed_before}:
            connection.execute("DELETE FROM blocks WHERE block = ?", (block,))
            if marks.percentiles:
                connection.execute("DELETE FROM blocks_sketches WHERE block = ?", (block,))
            add_blocks(connection, marks, since=block, before=min(block + marks.block_s, self._sealed_before))
        self._forget_names()
