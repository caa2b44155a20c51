"""Removes rows that are past the retention, in the caller's transaction.

The cutoff is computed from the clock, never from the newest sample: a sample from the future must not empty an archive.
A name is deleted with its last row. Rows cannot be subtracted from `totals` and `blocks`: when part of a bucket
expires, its total is recomputed. When the first row of a block expires, the block is deleted and `blocks_from` moves
past it.

Hidden rows. In the index `data_by_name`, each row of a bucket is on a different page, so deleting a bucket of many
names writes a page for each of them. Such a bucket is hidden first: `expired_before` moves past it, its total is
deleted, and no question reads its rows. Once the hidden buckets span a block, they are deleted together, name after
name, some at each commit. See `watermarks` for what records this.
"""

import json

import apsw

from tally.engine.asking import sql
from tally.engine.files import statements
from tally.engine.files.schema import write_meta
from tally.engine.storing import sealing, sketches
from tally.engine.storing.ids import NameIds
from tally.engine.storing.watermarks import EXPIRING, Watermarks, read_watermarks

# A commit removes at most so many rows, or twice the rows that it inserts if that is more, so that a large expiry never
# delays collecting, and deletion never falls behind.
EXPIRE_ROWS = 50_000
# A bucket with fewer rows is deleted at once.
FEW_ROWS = 100


def expire(connection: apsw.Connection, cutoff: int, marks: Watermarks, *, ids: NameIds, max_rows: int) -> Watermarks:
    """Delete or hide about `max_rows` of the oldest rows before `cutoff`, and delete names that have no others.

    Return the new watermarks. `ids` is emptied if names are deleted.
    """
    first = connection.execute(statements.FIRST_LAST).get[0]
    if first is None or first >= cutoff:
        return marks
    are_sealed, has_hidden = first < marks.sealed_before, marks.expired_before > 0
    if are_sealed and (has_hidden or connection.execute(statements.BUCKET_ROWS, (first, FEW_ROWS)).get == FEW_ROWS):
        before = min(cutoff, marks.sealed_before)
        return _hide(connection, (first, before), marks, ids=ids, max_rows=max_rows)
    return marks if has_hidden else _delete(connection, cutoff, marks, ids=ids, max_rows=max_rows)


def _delete(connection: apsw.Connection, cutoff: int, marks: Watermarks, *, ids: NameIds, max_rows: int) -> Watermarks:
    """Delete up to `max_rows` of the oldest rows before `cutoff`, of which none are hidden."""
    edge = connection.execute(statements.EXPIRED_EDGE, (0, cutoff, max_rows)).get or (cutoff, 0)
    deleted = connection.execute("DELETE FROM data WHERE (bucket, id) < (?, ?) RETURNING id", edge)
    gone = json.dumps(list({row[0] for row in deleted}))
    ids.clear()
    connection.execute(statements.FORGET_NAMES, {"ids": gone, **marks._asdict()}).fetchall()
    bucket, first_id = edge
    connection.execute("DELETE FROM totals WHERE bucket <= ?", (bucket,))
    connection.execute(statements.TOTALS, (bucket, bucket))
    marks = _delete_blocks(connection, marks, bucket if first_id else bucket - 1)
    if marks.percentiles:
        sketches.expire(connection, edge, marks.blocks_from)
    return marks


def _delete_blocks(connection: apsw.Connection, marks: Watermarks, last: int) -> Watermarks:
    """Delete the blocks that contain rows of the bucket `last` or earlier ones, and return the new watermarks."""
    blocks_from = max(marks.blocks_from, marks.block(last) + marks.block_s)
    connection.execute("DELETE FROM blocks WHERE block < ?", (blocks_from,))
    write_meta(connection, "blocks_from", blocks_from)
    return marks._replace(blocks_from=blocks_from)


def _hide(
    connection: apsw.Connection, bounds: tuple[int, int], marks: Watermarks, *, ids: NameIds, max_rows: int
) -> Watermarks:
    """Hide the buckets within `bounds` that have about `max_rows` rows together, but at least the first one.

    They are sealed. Names that have no other rows are deleted with all of their rows.
    """
    first, before = bounds
    edge = connection.execute(statements.EXPIRED_EDGE, (first, before, max_rows)).get
    if edge is not None:
        before = max(edge[0], first + marks.resolution)
    hidden = {"ids": connection.execute(statements.IDS_WITHIN, (first, before)).get}
    marks = marks._replace(expired_before=before)
    if gone := connection.execute(statements.FORGET_NAMES, {**hidden, **marks._asdict()}).fetchall():
        ids.clear()
        of_names = {"ids": json.dumps([row[0] for row in gone])}
        if marks.percentiles:
            connection.execute(statements.DELETE_SKETCHES_OF, of_names)
        connection.execute(statements.DELETE_ROWS_OF, of_names)
    connection.execute("DELETE FROM totals WHERE bucket < ?", (before,))
    marks = _delete_blocks(connection, marks, before - 1)
    if marks.percentiles:
        sketches.hide(connection, before, marks.blocks_from)
    write_meta(connection, "expired_before", before)
    return marks


def delete_hidden(connection: apsw.Connection, cutoff: int, marks: Watermarks, *, max_rows: int) -> Watermarks:
    """Delete the hidden rows of some names, about `max_rows`, if it is time to, and return the new watermarks.

    That is when they span a block, or when unsealed rows before `cutoff` wait for it. Later calls continue, but not
    while rows are being sealed, so that no commit takes long.
    """
    if not marks.expired_before:
        return marks
    first = connection.execute(statements.FIRST_ROW).get
    if first is None or first >= marks.expired_before:
        return _write(connection, marks._replace(expired_before=0, expiring_before=0, expiring_id=0))
    hidden_s = marks.expired_before - first
    if not marks.expiring_before:
        oldest = connection.execute(statements.FIRST_LAST).get[0]
        is_waited_for = oldest is not None and oldest < cutoff
        if hidden_s < marks.block_s and not is_waited_for:
            return marks
        marks = marks._replace(expiring_before=marks.expired_before)
    elif marks.sealing_before and hidden_s < 2 * marks.block_s:
        return marks
    return _write(connection, _delete_names(connection, marks, max_rows))


def _delete_names(connection: apsw.Connection, marks: Watermarks, max_rows: int) -> Watermarks:
    """Delete about `max_rows` rows that are being deleted, name after name, and return the new watermarks."""
    buckets = connection.execute(statements.BUCKETS_BEFORE, (marks.expiring_before,)).fetchall()
    names = max(1, max_rows // max(1, len(buckets)))
    end_id = connection.execute(statements.NEXT_ID, (marks.expiring_id, names)).get
    ranges = [(bucket, marks.expiring_id, sql.FOREVER if end_id is None else end_id) for (bucket,) in buckets]
    connection.executemany(statements.DELETE_RANGE, ranges)
    if marks.percentiles:
        connection.executemany(statements.DELETE_SKETCHES_RANGE, ranges)
    if end_id is None:
        return marks._replace(expiring_before=0, expiring_id=0)
    return marks._replace(expiring_id=end_id)


def _write(connection: apsw.Connection, marks: Watermarks) -> Watermarks:
    """Store the watermarks of hidden rows, and return the watermarks."""
    connection.execute(statements.NO_EXPIRING)
    for key in EXPIRING:
        if value := getattr(marks, key):
            write_meta(connection, key, value)
    return marks


def finish_expiry(connection: apsw.Connection, marks: Watermarks) -> Watermarks:
    """Delete all hidden rows, if there are any, and return the new watermarks."""
    if not marks.expired_before:
        return marks
    marks = marks._replace(expiring_before=marks.expired_before, expiring_id=0)
    while marks.expiring_before:
        marks = _delete_names(connection, marks, sealing.STEP_ROWS)
    return _write(connection, marks._replace(expired_before=0))


def settle(connection: apsw.Connection) -> Watermarks:
    """Finish the sealing and the deletion that earlier commits began, and return the watermarks."""
    return finish_expiry(connection, sealing.finish_sealing(connection, read_watermarks(connection)))
