"""The one way into an archive: cells are merged, old buckets expire and full ones are sealed, in one transaction.

New rows of the open bucket are neighbours in the table, but each would land on a page of its own in an index by name.
So rows enter unsealed and outside the index; once SEAL_ROWS of them stand in SEAL_BUCKETS closed buckets, or in
FULL_BUCKETS however few there are, one UPDATE seals them and `sealed_before` moves past them. A late row for a sealed
bucket enters sealed, and SQLite keeps the index in step.

Two tables of what is merged already are kept true in the same transaction. `totals` takes what every commit brings.
`blocks` takes rows when they are sealed, so that a flush does not write each twice. What was merged cannot be taken out
again: where a part of a bucket expires its total is made anew, and a block goes with the first of its rows, past which
`blocks_from` moves.

Retention goes by the clock, never by the newest sample: one from the future must not empty an archive. A commit deletes
at most EXPIRE_ROWS rows, or twice as many as it brings where that is more, so that a large expiry never holds up
collecting, and deletion never falls behind. A name goes with its last row.
"""

import json
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import apsw

from tally.engine.asking import sql
from tally.engine.definition import Definition
from tally.engine.files import statements
from tally.engine.files.schema import write_definition, write_meta
from tally.engine.storing.batch import insert
from tally.engine.storing.clock import Clock
from tally.engine.storing.ids import Ids
from tally.engine.storing.rollup import Cells, count, merge
from tally.engine.storing.watermarks import Marks

Row = tuple[int, int, float, float, float, float, bool]
_id = itemgetter(1)

SEAL_ROWS = 32_768
# With many names each has pages of its own in the index: so many rows of each at least are put there at a time.
SEAL_BUCKETS = 16
# So many fill the pages of each name. They are sealed however few rows they have: a sealed row stands in the file
# twice, so that `salvage` can prove it.
FULL_BUCKETS = 64
EXPIRE_ROWS = 50_000


@dataclass(slots=True)
class Outcome:
    """What became of the samples of one commit: `stored`, too old (`expired`), or of one name too many.

    `empty` counts those whose value is NaN: there was no measurement, so none is stored and none is lost. `spilled`
    counts those that wait in a file beside the archive, as that is damaged. While the archive doubts the clock, which
    `is_doubted` tells, nothing is too old.
    """

    stored: int = 0
    expired: int = 0
    cardinality: int = 0
    empty: int = 0
    spilled: int = 0
    is_doubted: bool = field(default=False, repr=False, compare=False)

    def counts(self) -> dict[str, int]:
        """Return how many samples came to the archive, by what became of them; `spilled` only where there are any."""
        counts = {"stored": self.stored, "expired": self.expired, "cardinality": self.cardinality}
        return {**counts, "spilled": self.spilled} if self.spilled else counts


class Rules(NamedTuple):
    """What a commit goes by: the clock, the most names (0: no limit), and whether samples past the retention enter.

    `believed` is when the same hand last committed to the archive by a clock that it believed, or 0.
    """

    now: float
    max_names: int = 0
    take_expired: bool = False
    believed: float = 0


def commit(connection: apsw.Connection, cells: Cells, *, definition: Definition, rules: Rules, ids: Ids) -> Outcome:
    """Merge `cells` into the archive, within the caller's transaction, and expire and seal what is due.

    `cells` may be of any resolution that divides the archive's, and `ids` have served earlier commits to it. Where
    there is nothing to do the file stays as it is, and answers keep their tags.
    """
    before = connection.total_changes()
    meta = dict(connection.execute(statements.META))
    known = Clock.read(meta)
    clock = _judged(connection, known, definition=definition, rules=rules)
    marks = Marks.read(meta)
    if known.doubted is not None and clock.doubted is None:
        marks = unseal(connection, marks, now=rules.now)
    ids.check(marks.version)
    due: Cells = {}
    merge(due, cells, definition.resolution)
    outcome = Outcome(is_doubted=clock.doubted is not None)
    cutoff = 0 if outcome.is_doubted else definition.cutoff(rules.now)
    marks = expire(connection, cutoff, marks, ids=ids, most=max(EXPIRE_ROWS, 2 * sum(map(len, due.values()))))
    if not rules.take_expired:
        outcome.expired = count({bucket: due.pop(bucket) for bucket in list(due) if bucket < cutoff})
    entered = _enter_all(
        connection, due, marks, ids.of(connection, set().union(*due.values()), max_names=rules.max_names)
    )
    outcome.stored = round(entered)
    outcome.cardinality = count(due) - outcome.stored
    seal(connection, marks, now=rules.now)
    has_changed = connection.total_changes() != before
    ids.remember(connection.execute(statements.NEW_VERSION).get if has_changed else marks.version)
    if has_changed or clock[1:] != known[1:]:
        clock.write(connection, known)
    return outcome


def _judged(connection: apsw.Connection, known: Clock, *, definition: Definition, rules: Rules) -> Clock:
    """Return what the archive knows of the clock after this commit; who has committed all the while need not ask it."""
    if definition.cutoff(rules.now) <= rules.believed:
        return known.believed(rules.now)
    return known.at(rules.now, connection.execute(statements.FIRST_LAST).get[1], definition)


def _enter_all(connection: apsw.Connection, due: Cells, marks: Marks, known: dict[str, int]) -> float:
    """Merge cells whose names are among the `known` ids into the archive, and return how many samples they are of."""
    entered = 0.0
    for bucket, row in due.items():
        is_sealed = bucket < marks.sealed_before
        rows = [
            (bucket, known[name], samples, total, low, high, is_sealed)
            for name, (samples, total, low, high) in row.items()
            if name in known
        ]
        rows.sort(key=_id)  # In the order of their key they are stored in a third of the time.
        entered += enter(connection, rows, marks) if rows else 0
    return entered


def stored(connection: apsw.Connection) -> Marks:
    """Return the marks of the archive."""
    return Marks.read(dict(connection.execute(statements.META)))


def enter(connection: apsw.Connection, rows: list[Row], marks: Marks) -> float:
    """Merge rows of one bucket into the archive, and return how many samples they are of."""
    insert(connection, statements.UPSERT, rows)
    bucket, *_, is_sealed = rows[0]
    counts, sums, lows, highs = (map(itemgetter(column), rows) for column in range(2, 6))
    total: float = sum(counts)
    connection.execute(statements.UPSERT_TOTAL, (bucket, total, sum(sums), min(lows), max(highs)))
    block = marks.block(bucket)
    if is_sealed and block >= marks.blocks_from:
        insert(connection, statements.UPSERT_BLOCK, [(block, *row[1:-1]) for row in rows])
    return total


def expire(connection: apsw.Connection, cutoff: int, marks: Marks, *, ids: Ids, most: int) -> Marks:
    """Delete the oldest rows whose bucket is before `cutoff`, `most` of them, and the names that have none left.

    Return the marks as they are then.
    """
    edge = connection.execute(statements.EXPIRED_EDGE, (cutoff, most)).get or (cutoff, 0)
    deleted = connection.execute("DELETE FROM data WHERE (bucket, id) < (?, ?) RETURNING id", edge)
    gone = {row[0] for row in deleted}
    if not gone:
        return marks
    ids.forget()
    connection.execute(statements.FORGET_NAMES, {"ids": json.dumps(list(gone)), "sealed_before": marks.sealed_before})
    bucket, first_id = edge
    connection.execute("DELETE FROM totals WHERE bucket <= ?", (bucket,))
    connection.execute(statements.TOTALS, (bucket, bucket))
    last_deleted = bucket if first_id else bucket - 1
    blocks_from = max(marks.blocks_from, marks.block(last_deleted) + marks.block_s)
    connection.execute("DELETE FROM blocks WHERE block < ?", (blocks_from,))
    write_meta(connection, "blocks_from", blocks_from)
    return marks._replace(blocks_from=blocks_from)


def seal(connection: apsw.Connection, marks: Marks, *, now: float) -> None:
    """Seal the buckets that are closed at `now`, once there are enough of them.

    That is FULL_BUCKETS, or SEAL_BUCKETS with SEAL_ROWS unsealed rows.
    """
    closed_before = int(now // marks.resolution) * marks.resolution
    since = marks.sealed_before
    buckets = connection.execute(statements.CLOSED_BUCKETS, (since, closed_before)).get
    if buckets < SEAL_BUCKETS:
        return
    rows = connection.execute(statements.CLOSED_ROWS, (since, closed_before, SEAL_ROWS)).get
    if rows < SEAL_ROWS and buckets < FULL_BUCKETS:
        return
    last = connection.execute(statements.LAST_BEFORE, (closed_before,)).get
    add_blocks(connection, marks, since=max(since, marks.blocks_from), before=closed_before)
    connection.execute("UPDATE data SET sealed = 1 WHERE bucket >= ? AND bucket < ?", (since, closed_before))
    write_meta(connection, "sealed_before", last + marks.resolution)


def unseal(connection: apsw.Connection, marks: Marks, *, now: float) -> Marks:
    """Let the rows that were sealed ahead of `now`, by a clock that is believed no more, be unsealed again.

    Else every row to come would be one that comes late. Return the marks as they are then.
    """
    bucket = int(now // marks.resolution) * marks.resolution
    if marks.sealed_before <= bucket:
        return marks
    block = marks.block(bucket)
    connection.execute("UPDATE data SET sealed = 0 WHERE bucket >= ? AND sealed", (bucket,))
    connection.execute("DELETE FROM blocks WHERE block >= ?", (block,))
    add_blocks(connection, marks, since=max(block, marks.blocks_from), before=bucket)
    write_meta(connection, "sealed_before", bucket)
    return marks._replace(sealed_before=bucket)


def add_blocks(connection: apsw.Connection, marks: Marks, *, since: int, before: int) -> None:
    """Merge the rows of buckets from `since` on and before `before` into their blocks."""
    connection.execute(statements.BLOCKS, {"since": since, "before": before, "block_s": marks.block_s})


def edit(connection: apsw.Connection, definition: Definition, changed: Definition) -> None:
    """Store a changed definition and, where its resolution is coarser, merge all that is stored into its buckets."""
    write_definition(connection, changed)
    connection.execute(statements.NEW_VERSION).fetchall()
    if changed.resolution == definition.resolution:
        return
    marks = stored(connection)
    sealed_before = marks.sealed_before // changed.resolution * changed.resolution
    connection.execute(statements.COARSEN, {"resolution": changed.resolution})
    connection.execute(statements.EMPTY).fetchall()
    connection.execute(statements.COARSENED, (sealed_before,))
    connection.execute("DROP TABLE temp.merged")
    connection.execute(statements.TOTALS, (0, sql.FOREVER))
    add_blocks(connection, marks, since=0, before=sealed_before)
    write_meta(connection, "sealed_before", sealed_before)
    write_meta(connection, "blocks_from", 0)
