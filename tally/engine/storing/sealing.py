"""Seals closed buckets: adds their rows to the index `data_by_name` and to `blocks`, in the caller's transaction.

`data_by_name` is an index of the sealed rows only. In the table, the new rows of a bucket are adjacent; in the index,
each belongs on a different page. So rows are inserted unsealed, which leaves the index unchanged. Later, the rows of
many closed buckets are sealed, which adds them to it together. That happens when SEAL_BUCKETS closed buckets contain
SEAL_ROWS unsealed rows, or when there are FULL_BUCKETS of them. Each commit seals about STEP_ROWS rows, name after
name, so that none takes long; questions use the index only up to `sealed_before`, which advances once all are sealed.
A late row for a sealed bucket or name is inserted sealed, and SQLite adds it to the index.
"""

import apsw

from tally.engine.asking import sql
from tally.engine.files import statements
from tally.engine.files.schema import write_meta
from tally.engine.storing.watermarks import SEALING, Watermarks

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
