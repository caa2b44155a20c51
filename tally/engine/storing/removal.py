"""Removes names from an archive, or a time range of names, in the caller's transaction.

Recomputes `totals` and `blocks` for the buckets and names that lose rows.
"""

from typing import NamedTuple

import apsw

from tally.engine.asking import sql
from tally.engine.files import statements
from tally.engine.storing.lineage import mark_rewritten
from tally.engine.storing.watermarks import Watermarks


class Removed(NamedTuple):
    """What was removed, or would be with a dry run: names that lose cells, cells, and their samples."""

    names: int
    cells: int
    samples: int


def count_removable(connection: apsw.Connection, glob: str, span: sql.Span) -> Removed:
    """Return what `remove` would remove."""
    names, cells, samples = connection.execute(statements.REMOVABLE, _bindings(glob, span)).get
    return Removed(names, cells, round(samples))


def remove(connection: apsw.Connection, glob: str, span: sql.Span, marks: Watermarks) -> Removed:
    """Remove the cells of matching names in the buckets of `span`, and names that have no cells left."""
    removed = count_removable(connection, glob, span)
    if not removed.cells:
        return removed
    bindings = _bindings(glob, span)
    ids = connection.execute(statements.MATCHING_IDS, (glob,)).get
    mark_rewritten(connection, marks.resolution)
    connection.execute(statements.REMOVE_CELLS, bindings)
    connection.execute("DELETE FROM totals WHERE bucket >= :first AND bucket < :end", bindings)
    connection.execute(statements.TOTALS, (span.first, span.end - 1))
    first, end = marks.block(span.first), marks.block(span.end - 1) + marks.block_s
    connection.execute(statements.REMOVE_BLOCKS, {"glob": glob, "first": first, "end": end})
    since, before = max(first, marks.blocks_from), min(end, marks.sealed_before)
    bounds: sql.Bindings = {"glob": glob, "since": since, "before": before, "block_s": marks.block_s}
    connection.execute(statements.BLOCKS_OF, bounds)
    if marks.percentiles:
        _remove_sketches(connection, bindings, bounds, (first, end))
    connection.execute(statements.FORGET_NAMES, {"ids": ids, **marks._asdict()}).fetchall()
    connection.execute(statements.NEW_VERSION).fetchall()
    return removed


def _remove_sketches(
    connection: apsw.Connection, cells: sql.Bindings, rebuilt: sql.Bindings, blocks: tuple[int, int]
) -> None:
    """Remove the sketches of removed cells, and rebuild those of the totals and blocks that had them."""
    connection.execute(statements.REMOVE_SKETCHES, cells)
    connection.execute("DELETE FROM totals_sketches WHERE bucket >= :first AND bucket < :end", cells)
    connection.execute(statements.TOTALS_SKETCHES, (cells["first"], int(cells["end"] or 0) - 1))
    connection.execute(statements.REMOVE_BLOCKS_SKETCHES, {**cells, "first": blocks[0], "end": blocks[1]})
    connection.execute(statements.BLOCKS_SKETCHES_OF, rebuilt)


def _bindings(glob: str, span: sql.Span) -> sql.Bindings:
    return {"glob": glob, "first": span.first, "end": span.end}
