"""Commits samples to an archive in one transaction: expires old buckets, merges cells and seals closed buckets.

Sealing. `data_by_name` is an index of the sealed rows only. In the table, the new rows of a bucket are adjacent; in the
index, each belongs on a different page. So rows are inserted unsealed, which leaves the index unchanged. Later, the
rows of many closed buckets are sealed, which adds them to it together. That happens when SEAL_BUCKETS closed buckets
contain SEAL_ROWS unsealed rows, or when there are FULL_BUCKETS of them. Each commit seals about STEP_ROWS rows, name
after name, so that none takes long; questions use the index only up to `sealed_before`, which advances once all are
sealed. A late row for a sealed bucket or name is inserted sealed, and SQLite adds it to the index.

Preaggregates. The same transaction updates two tables: `totals` on every commit, and `blocks` when rows are sealed, so
that a flush does not write each row twice. Rows cannot be subtracted from either. When part of a bucket expires, its
total is recomputed. When the first row of a block expires, the block is deleted and `blocks_from` moves past it.

Retention. The cutoff is computed from the clock, never from the newest sample: a sample from the future must not empty
an archive. A commit deletes at most EXPIRE_ROWS rows, or twice the rows it inserts if that is more, so a large expiry
never delays collecting and deletion never falls behind. A name is deleted with its last row.
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
from tally.engine.storing import sketches
from tally.engine.storing.batch import insert
from tally.engine.storing.clock import ClockState
from tally.engine.storing.ids import NameIds
from tally.engine.storing.lineage import ensure_identity, mark_rewritten
from tally.engine.storing.merging import Cells, count, merge
from tally.engine.storing.watermarks import SEALING, Watermarks

Row = tuple[int, int, float, float, float, float, bool]
_id = itemgetter(1)

SEAL_ROWS = 32_768
# The least number of closed buckets to seal at once. Sealing 16, 32 or 64 buckets writes 905, 569 or 375 bytes a row,
# because each name has its own pages in the index. But questions that rank names read all rows of unsealed buckets.
SEAL_BUCKETS = 32
# This many rows of a name fill a page of the index. So many closed buckets are sealed even if they have few rows: a
# sealed row is in the file twice, which lets `salvage` verify it.
FULL_BUCKETS = 64
# A commit seals at most so many rows, or so many times the rows that it inserts if that is more.
STEP_ROWS = 32_768
STEP_FACTOR = 2
EXPIRE_ROWS = 50_000


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
        marks = unseal(connection, marks, now=rules.now)
    ids.validate(marks.version)
    due: Cells = {}
    merge(due, cells, definition.resolution, sketched=definition.percentiles > 0)
    outcome = Outcome(is_doubted=clock.doubted is not None)
    cutoff = 0 if outcome.is_doubted else definition.cutoff(rules.now)
    given = sum(map(len, due.values()))
    marks = expire(connection, cutoff, marks, ids=ids, max_rows=max(EXPIRE_ROWS, 2 * given))
    if not rules.take_expired:
        outcome.expired = count({bucket: due.pop(bucket) for bucket in list(due) if bucket < cutoff})
    names = set().union(*due.values())
    known_ids = ids.resolve(connection, names, max_names=rules.max_names)
    outcome.stored = round(_merge_due(connection, due, marks, known_ids))
    if len(known_ids) < len(names):
        outcome.cardinality = count(due) - outcome.stored
    seal(connection, marks, now=rules.now, max_rows=max(STEP_ROWS, STEP_FACTOR * given))
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


def read_watermarks(connection: apsw.Connection) -> Watermarks:
    """Return the watermarks of the archive."""
    return Watermarks.read(dict(connection.execute(statements.META)))


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


def expire(connection: apsw.Connection, cutoff: int, marks: Watermarks, *, ids: NameIds, max_rows: int) -> Watermarks:
    """Delete up to `max_rows` of the oldest rows before `cutoff`, and names without rows. Return the new watermarks."""
    edge = connection.execute(statements.EXPIRED_EDGE, (cutoff, max_rows)).get or (cutoff, 0)
    deleted = connection.execute("DELETE FROM data WHERE (bucket, id) < (?, ?) RETURNING id", edge)
    gone = {row[0] for row in deleted}
    if not gone:
        return marks
    ids.clear()
    connection.execute(statements.FORGET_NAMES, {"ids": json.dumps(list(gone)), "sealed_before": marks.sealed_before})
    bucket, first_id = edge
    connection.execute("DELETE FROM totals WHERE bucket <= ?", (bucket,))
    connection.execute(statements.TOTALS, (bucket, bucket))
    last_deleted = bucket if first_id else bucket - 1
    blocks_from = max(marks.blocks_from, marks.block(last_deleted) + marks.block_s)
    connection.execute("DELETE FROM blocks WHERE block < ?", (blocks_from,))
    if marks.percentiles:
        sketches.expire(connection, edge, blocks_from)
    write_meta(connection, "blocks_from", blocks_from)
    return marks._replace(blocks_from=blocks_from)


def seal(connection: apsw.Connection, marks: Watermarks, *, now: float, max_rows: int = STEP_ROWS) -> None:
    """Seal about `max_rows` rows of the buckets closed at `now`, name after name, if it is time to seal them.

    That is when there are FULL_BUCKETS of them, or SEAL_BUCKETS with SEAL_ROWS unsealed rows. Later calls continue.
    """
    if not marks.sealing_before:
        marks = _begin_sealing(connection, marks, now=now)
    if not marks.sealing_before:
        return
    names = max(1, marks.sealing_step * max_rows // STEP_ROWS)
    end_id = connection.execute(statements.NEXT_ID, (marks.sealing_id, names)).get
    if end_id is None:
        finish_sealing(connection, marks)
        return
    _seal_names(connection, marks, end_id)
    for key, value in zip(SEALING, (marks.sealing_before, end_id, marks.sealing_step), strict=True):
        write_meta(connection, key, value)


def _begin_sealing(connection: apsw.Connection, marks: Watermarks, *, now: float) -> Watermarks:
    """Return the watermarks with the buckets to seal, if it is time to seal them."""
    closed_before = int(now // marks.resolution) * marks.resolution
    since = marks.sealed_before
    buckets = connection.execute(statements.CLOSED_BUCKETS, (since, closed_before)).get
    if buckets < SEAL_BUCKETS:
        return marks
    rows = connection.execute(statements.CLOSED_ROWS, (since, closed_before, SEAL_ROWS)).get
    if rows < SEAL_ROWS and buckets < FULL_BUCKETS:
        return marks
    last = connection.execute(statements.LAST_BEFORE, (closed_before,)).get
    rows = connection.execute(statements.CLOSED_ROWS, (since, closed_before, sql.FOREVER)).get
    step = connection.execute(statements.NAME_COUNT).get * STEP_ROWS // max(1, rows)
    return marks._replace(sealing_before=last + marks.resolution, sealing_step=max(1, step))


def _seal_names(connection: apsw.Connection, marks: Watermarks, end_id: int) -> None:
    """Seal the rows of the buckets that are being sealed, from `sealing_id` up to `end_id`."""
    since, before, ids = marks.sealed_before, marks.sealing_before, (marks.sealing_id, end_id)
    add_blocks(connection, marks, since=max(since, marks.blocks_from), before=before, ids=ids)
    buckets = connection.execute(statements.CLOSED, (since, before)).fetchall()
    connection.executemany(statements.SEAL, ((bucket, *ids) for (bucket,) in buckets))


def finish_sealing(connection: apsw.Connection, marks: Watermarks) -> Watermarks:
    """Seal the rest of the buckets that are being sealed, if any, and return the new watermarks."""
    if not marks.sealing_before:
        return marks
    _seal_names(connection, marks, sql.FOREVER)
    connection.execute("DELETE FROM meta WHERE key GLOB 'sealing_*'")
    write_meta(connection, "sealed_before", marks.sealing_before)
    return marks._replace(sealed_before=marks.sealing_before, sealing_before=0, sealing_id=0, sealing_step=0)


def seal_rows(connection: apsw.Connection, marks: Watermarks, *, before: int) -> Watermarks:
    """Seal the rows of earlier buckets, which must be closed, and return the new watermarks."""
    marks = finish_sealing(connection, marks)
    if before <= marks.sealed_before:
        return marks
    return finish_sealing(connection, marks._replace(sealing_before=before))


def unseal(connection: apsw.Connection, marks: Watermarks, *, now: float) -> Watermarks:
    """Unseal rows at or after `now` that a wrong clock sealed, and return the new watermarks.

    Otherwise every later row would be inserted as a late one.
    """
    bucket = int(now // marks.resolution) * marks.resolution
    if max(marks.sealed_before, marks.sealing_before) <= bucket:
        return marks
    marks = finish_sealing(connection, marks)
    block = marks.block(bucket)
    connection.execute("UPDATE OR FAIL data SET sealed = 0 WHERE bucket >= ? AND sealed", (bucket,))
    connection.execute("DELETE FROM blocks WHERE block >= ?", (block,))
    if marks.percentiles:
        connection.execute("DELETE FROM blocks_sketches WHERE block >= ?", (block,))
    add_blocks(connection, marks, since=max(block, marks.blocks_from), before=bucket)
    write_meta(connection, "sealed_before", bucket)
    return marks._replace(sealed_before=bucket)


def add_blocks(
    connection: apsw.Connection, marks: Watermarks, *, since: int, before: int, ids: tuple[int, int] = (0, sql.FOREVER)
) -> None:
    """Merge the rows with `since` <= bucket < `before`, and with an id in the range `ids`, into their blocks.

    `totals` must have their buckets.
    """
    bounds = {"since": since, "before": before, "block_s": marks.block_s, "first_id": ids[0], "end_id": ids[1]}
    connection.execute(statements.BLOCKS, bounds)
    if marks.percentiles:
        connection.execute(statements.BLOCKS_SKETCHES, bounds)


def edit(connection: apsw.Connection, definition: Definition, changed: Definition) -> None:
    """Store a changed definition. A coarser resolution merges all rows into the new buckets."""
    write_definition(connection, changed)
    ensure_identity(connection)
    connection.execute(statements.NEW_VERSION).fetchall()
    sketches.edit(connection, definition.percentiles, changed.percentiles)
    if changed.resolution == definition.resolution:
        return
    marks = read_watermarks(connection)
    sealed_before = marks.sealed_before // changed.resolution * changed.resolution
    if marks.percentiles:
        sketches.take_coarsened(connection, changed.resolution)
    connection.execute(statements.COARSEN, {"resolution": changed.resolution})
    connection.execute(statements.EMPTY).fetchall()
    connection.execute(statements.COARSENED, (sealed_before,))
    connection.execute("DROP TABLE temp.merged")
    connection.execute(statements.TOTALS, (0, sql.FOREVER))
    if marks.percentiles:
        sketches.put_coarsened(connection)
    mark_rewritten(connection, changed.resolution)
    add_blocks(connection, marks, since=0, before=sealed_before)
    connection.execute("DELETE FROM meta WHERE key GLOB 'sealing_*'")
    write_meta(connection, "sealed_before", sealed_before)
    write_meta(connection, "blocks_from", 0)
