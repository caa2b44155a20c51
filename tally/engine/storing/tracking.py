"""Tracks which buckets of an archive have changed, for replication into a cluster (see `tally.cluster`).

    changes (key bucket)                        meta
    +--------+---------+-------+--------+       changed        version: grows with every change of a bucket
    | bucket | version | count | second |       acknowledged   greatest version that the cluster has acknowledged
    +--------+---------+-------+--------+

    bucket    a bucket with cells that the cluster does not have as they are; -1: the history was rewritten, so that
              what the cluster has of the archive no longer counts
    version   the version of the bucket's last change
    count     samples in the bucket, to count those that expire before they are shipped
    second    unix seconds of the first change that has not been shipped

The table and the triggers that fill it exist only in an archive that is replicated. The triggers are on `totals`, which
has a row for each bucket. So they cover every way into an archive, and cost the same for any number of names. The table
never has more rows than the archive has buckets, however long the cluster is away.

`acknowledged` only grows. An archive with a smaller one than the replicator knows was restored from a backup.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tally.engine.definition import Definition
from tally.engine.files import ddl, schema, statements
from tally.engine.storing.lineage import Lineage, ensure_identity

# The keys in `meta`.
KEYS = ("changed", "acknowledged")
# Buckets that are looked up at a time.
MARKS = 1_024

# Id, name, count, sum, min, max, and the text of the sketch or None.
Row = tuple[int, str, float, float, float, float, str | None]


class State(NamedTuple):
    """What an archive tells about itself. `rewritten` is the version of a rewritten history, or None."""

    definition: Definition
    identity: str
    version: int
    acknowledged: int
    rewritten: int | None


class Mark(NamedTuple):
    """A changed bucket with the version of its last change."""

    bucket: int
    version: int


class Backlog(NamedTuple):
    """Cells that are to be shipped, and the unix second of the first change among them, or None."""

    second: int | None
    cells: int


class Place(NamedTuple):
    """Where a batch ended: after the cell of `id` in the bucket of `mark`."""

    mark: Mark
    id: int


START = Place(Mark(0, 0), -1)


class Batch(NamedTuple):
    """Cells with their buckets, read at `version`; the marks of buckets that are complete; and where the batch ended.

    `end` is None if nothing is left.
    """

    version: int
    buckets: list[int]
    rows: list[Row]
    marks: list[Mark]
    end: Place | None


class Tracker:
    """Tracks the changes of the archive at `path`. Methods raise as those of `Archive`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _opened(self, *, write: bool = False) -> Iterator[apsw.Connection]:
        with schema.OpenArchive(self.path, write=write) as connection:
            if not write:
                connection.execute("BEGIN")
                yield connection
                return
            with schema.Transaction(connection):
                yield connection

    def start(self) -> None:
        """Begin to track, if the archive is not tracked yet. All its buckets then count as changed."""
        with self._opened() as connection:
            if connection.execute(statements.IS_TRACKED).get:
                return
        with self._opened(write=True) as connection:
            if not connection.execute(statements.IS_TRACKED).get:
                connection.execute(ddl.TRACKING).fetchall()
                connection.execute(statements.TRACK_META)
                connection.execute(statements.TRACK_ALL)
                ensure_identity(connection)

    def read_state(self) -> State:
        """Return the state of a tracked archive."""
        with self._opened() as connection:
            meta = dict(connection.execute(statements.META))
            definition = schema.read_definition(connection, self.path)
            rewritten = connection.execute(statements.REWRITTEN_VERSION).get
        return State(definition, Lineage.read(meta).identity, meta["changed"], meta["acknowledged"], rewritten)

    def read_batch(self, after: Place, *, most: int, span_s: int) -> Batch:
        """Return the changed cells after a place: at most `most`, of buckets within `span_s` seconds.

        There are none while the history counts as rewritten, as the cluster has to know that first.
        """
        with self._opened() as connection:
            meta = dict(connection.execute(statements.META))
            if connection.execute(statements.REWRITTEN_VERSION).get is not None:
                return Batch(meta["changed"], [], [], [], None)
            marks = [Mark(*row) for row in connection.execute(statements.CHANGED_BUCKETS, (after.mark.bucket, MARKS))]
            if after.id >= 0 and marks and marks[0].bucket == after.mark.bucket:
                marks[0] = after.mark  # Its first cells may have changed since they were read.
            batch = Batch(meta["changed"], [], [], [], None)
            select = statements.CHANGED_CELLS[meta.get("percentiles", 0) > 0]
            for mark in marks:
                if mark.bucket >= marks[0].bucket + span_s:
                    return batch._replace(end=Place(mark, -1))
                left = most - len(batch.rows)
                first_id = after.id if mark.bucket == after.mark.bucket else -1
                rows: list[Any] = connection.execute(select, (mark.bucket, first_id, left)).fetchall()
                batch.rows.extend(rows)
                batch.buckets.extend([mark.bucket] * len(rows))
                if len(rows) == left:
                    return batch._replace(end=Place(mark, rows[-1][0]))
                batch.marks.append(mark)
        return batch._replace(end=Place(Mark(marks[-1].bucket + 1, 0), -1) if len(marks) == MARKS else None)

    def acknowledge(self, version: int, marks: list[Mark]) -> None:
        """Record that the cluster has the buckets of `marks` as they were at `version`."""
        with self._opened(write=True) as connection:
            connection.executemany(statements.ACKNOWLEDGE, marks)
            connection.execute(statements.SET_ACKNOWLEDGED, (version,))

    def ship_all(self, version: int) -> None:
        """Count all buckets as changed, once the cluster knows that the history was rewritten at `version`."""
        with self._opened(write=True) as connection:
            connection.execute(statements.FORGET_EMPTY_CHANGES)
            connection.execute(statements.TRACK_ALL)
            connection.execute(statements.REWRITTEN_DONE, (version,))
            connection.execute(statements.SET_ACKNOWLEDGED, (version,))

    def begin_again(self, after: int) -> None:
        """Count the history as rewritten, at a version greater than `after`."""
        with self._opened(write=True) as connection:
            version = connection.execute(statements.RAISE_CHANGED, (after,)).get
            connection.execute(statements.MARK_REWRITTEN, (version,))

    def drop_expired(self) -> int:
        """Forget changed buckets that have expired, and return how many samples they had at most."""
        with self._opened() as connection:
            first = connection.execute(statements.FIRST_LAST).get[0]
            oldest = next(iter(connection.execute(statements.CHANGED_BUCKETS, (0, 1))), None)
        if oldest is None or (first is not None and oldest[0] >= first):
            return 0
        with self._opened(write=True) as connection:
            counts: list[Any] = connection.execute(statements.EXPIRED_CHANGES).fetchall()
        expired: int = round(sum(count for (count,) in counts))
        return expired

    def backlog(self) -> Backlog:
        """Return what is left to ship; an archive that is not tracked yet has none."""
        with self._opened() as connection:
            if not connection.execute(statements.IS_TRACKED).get:
                return Backlog(None, 0)
            return Backlog(*connection.execute(statements.BACKLOG).get)
