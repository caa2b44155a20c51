"""Commits samples to an archive in one transaction: expires old buckets, merges cells and seals closed buckets.

The same transaction updates two tables of preaggregates: `totals` on every commit, and `blocks` when rows are sealed
(see `sealing`), so that a flush does not write each row twice. `expiry` deletes from both.
"""

from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import apsw

from tally.engine.definition import Definition
from tally.engine.files import statements
from tally.engine.storing import expiry, sealing, sketches
from tally.engine.storing.batch import insert
from tally.engine.storing.clock import ClockState
from tally.engine.storing.ids import NameIds
from tally.engine.storing.lineage import ensure_identity
from tally.engine.storing.merging import Cells, count, merge
from tally.engine.storing.watermarks import Watermarks

Row = tuple[int, int, float, float, float, float, bool]
_id = itemgetter(1)


@dataclass(slots=True)
class Outcome:
    """The result of a commit as sample counts: `stored`, `expired` (too old), `cardinality` (over the name limit).

    `empty` counts NaN values, which hold no measurement. `spilled` counts samples written to the spill file because the
    archive is damaged. If `is_doubted`, the archive does not trust the clock, and nothing expires.
    """

    stored: int = 0
    expired: int = 0
    cardinality: int = 0
    empty: int = 0
    spilled: int = 0
    is_doubted: bool = field(default=False, repr=False, compare=False)

    def counts(self) -> dict[str, int]:
        """Return the counts that JSON answers report; `spilled` only if it is not 0."""
        counts = {"stored": self.stored, "expired": self.expired, "cardinality": self.cardinality}
        return {**counts, "spilled": self.spilled} if self.spilled else counts


class Rules(NamedTuple):
    """Options of a commit: the time, the name limit (0: none), and whether to store samples past the retention.

    `trusted_at` is the time of the same writer's last commit with a trusted clock, or 0.
    """

    now: float
    max_names: int = 0
    take_expired: bool = False
    trusted_at: float = 0


def commit(connection: apsw.Connection, cells: Cells, *, definition: Definition, rules: Rules, ids: NameIds) -> Outcome:
    """Merge `cells` into the archive, expire old buckets and seal closed ones, within the caller's transaction.

    The resolution of `cells` must divide the archive's. `ids` is the cache from earlier commits. A commit that changes
    nothing does not write to the file, so ETags stay valid.
    """
    before = connection.total_changes()
    meta = dict(connection.execute(statements.META))
    known = ClockState.read(meta)
    clock = _check_clock(connection, known, definition=definition, rules=rules)
    marks = Watermarks.read(meta)
    if known.doubted is not None and clock.doubted is None:
        marks = sealing.unseal(connection, expiry.finish_expiry(connection, marks), now=rules.now)
    ids.validate(marks.version)
    due: Cells = {}
    merge(due, cells, definition.resolution, sketched=definition.percentiles > 0)
    outcome = Outcome(is_doubted=clock.doubted is not None)
    cutoff = 0 if outcome.is_doubted else definition.cutoff(rules.now)
    given = sum(map(len, due.values()))
    marks = expiry.expire(connection, cutoff, marks, ids=ids, max_rows=max(expiry.EXPIRE_ROWS, 2 * given))
    step = max(sealing.STEP_ROWS, sealing.STEP_FACTOR * given)
    marks = expiry.delete_hidden(connection, cutoff, marks, max_rows=step)
    if not rules.take_expired:
        outcome.expired = count({bucket: due.pop(bucket) for bucket in list(due) if bucket < cutoff})
    if due and min(due) < marks.expired_before:
        marks = expiry.finish_expiry(connection, marks)
    names = set().union(*due.values())
    known_ids = ids.resolve(connection, names, max_names=rules.max_names)
    outcome.stored = round(_merge_due(connection, due, marks, known_ids))
    if len(known_ids) < len(names):
        outcome.cardinality = count(due) - outcome.stored
    sealing.seal(connection, marks, now=rules.now, max_rows=step)
    has_changed = connection.total_changes() != before
    if has_changed and "identity" not in meta:
        ensure_identity(connection)
    ids.set_version(connection.execute(statements.NEW_VERSION).get if has_changed else marks.version)
    if has_changed or clock[1:] != known[1:]:
        clock.write(connection, known)
    return outcome


def _check_clock(connection: apsw.Connection, known: ClockState, *, definition: Definition, rules: Rules) -> ClockState:
    """Return the clock state after this commit. A writer that commits regularly need not read the newest bucket."""
    if definition.cutoff(rules.now) <= rules.trusted_at:
        return known.trusted(rules.now)
    return known.advanced(rules.now, connection.execute(statements.FIRST_LAST).get[1], definition)


def _merge_due(connection: apsw.Connection, due: Cells, marks: Watermarks, known: dict[str, int]) -> float:
    """Merge the cells whose names have `known` ids into the archive, and return their number of samples."""
    merged = 0.0
    for bucket, row in due.items():
        edge = marks.unsealed_from(bucket)
        rows = [
            (bucket, number, count, total, low, high, number < edge)
            for number, (count, total, low, high, _) in zip(map(known.get, row), row.values(), strict=True)
            if number is not None
        ]
        rows.sort(key=_id)  # Inserting in key order takes a third of the time.
        if marks.percentiles and rows:
            own = sorted(((known[name], cell) for name, cell in row.items() if name in known), key=itemgetter(0))
            sketches.merge_bucket(connection, bucket, own, marks)
        merged += merge_rows(connection, rows, marks) if rows else 0
    return merged


def merge_rows(connection: apsw.Connection, rows: list[Row], marks: Watermarks) -> float:
    """Merge the rows of one bucket into the archive, and return their number of samples."""
    insert(connection, statements.UPSERT, rows)
    bucket = rows[0][0]
    _, _, counts, sums, lows, highs, _ = zip(*rows, strict=True)
    total: float = sum(counts)
    connection.execute(statements.UPSERT_TOTAL, (bucket, total, sum(sums), min(lows), max(highs)))
    block = marks.block(bucket)
    if marks.unsealed_from(bucket) and block >= marks.blocks_from:
        insert(connection, statements.UPSERT_BLOCK, [(block, *row[1:-1]) for row in rows if row[-1]])
    return total
