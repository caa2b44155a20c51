"""Keeps the sketches of an archive with percentiles up to date with its cells, in the caller's transaction.

    data_sketches      a row for each cell whose samples all have a sketch, and none for the others
    totals_sketches    a row for each row of `totals`; NULL if a cell of the bucket has no sketch
    blocks_sketches    a row for each row of `blocks`; NULL if one of its cells has no sketch

A cell has no sketch if some of its samples came before percentiles were turned on, or as a cell without a sketch. It
never gets one later. Sketches in a file have the level of the archive's accuracy (see `sketch`).
"""

import json
from collections.abc import Sequence

import apsw

from tally.engine import sketch
from tally.engine.asking.sql import FOREVER
from tally.engine.files import ddl, functions, statements
from tally.engine.files.schema import USER_VERSIONS
from tally.engine.sketch import LEVELS, Cell
from tally.engine.storing.batch import insert
from tally.engine.storing.watermarks import Watermarks


def merge_bucket(
    connection: apsw.Connection, bucket: int, cells: Sequence[tuple[int, Cell]], marks: Watermarks
) -> None:
    """Merge the sketches of `cells`, each with the id of its name and in their order, into those of one bucket.

    Call it before the cells are merged, because it looks up which of them are new.
    """
    level = LEVELS[marks.percentiles]
    own = [(bucket, key, sketch.find_text(cell, level=level)) for key, cell in cells]
    unknown = {key for _, key, bins in own if bins is None}
    connection.executemany(statements.DROP_SKETCH, [(bucket, key) for key in unknown])
    if connection.execute(statements.UNKNOWN_TOTAL, (bucket,)).get:
        ids = json.dumps([key for key, _ in cells])
        unknown.update(row[0] for row in connection.execute(statements.UNKNOWN_IDS, {"bucket": bucket, "ids": ids}))
    known = [row for row in own if row[1] not in unknown] if unknown else own
    insert(connection, statements.JOIN_SKETCH, known)
    total = sketch.merge_texts([bins for _, _, bins in own])
    connection.execute(statements.JOIN_TOTAL_SKETCH, (bucket, total))
    block = marks.block(bucket)
    edge = marks.unsealed_from(bucket)
    if edge and block >= marks.blocks_from:
        insert(connection, statements.JOIN_BLOCK_SKETCH, [(block, *row[1:]) for row in own if row[1] < edge])


def expire(connection: apsw.Connection, edge: tuple[int, int], blocks_from: int) -> None:
    """Delete the sketches of rows before `edge` and of blocks before `blocks_from`."""
    bucket, _ = edge
    connection.execute("DELETE FROM data_sketches WHERE (bucket, id) < (?, ?)", edge)
    hide(connection, bucket + 1, blocks_from)
    connection.execute(statements.TOTALS_SKETCHES, (bucket, bucket))


def hide(connection: apsw.Connection, before: int, blocks_from: int) -> None:
    """Delete the sketches of totals before `before` and of blocks before `blocks_from`."""
    connection.execute("DELETE FROM totals_sketches WHERE bucket < ?", (before,))
    connection.execute("DELETE FROM blocks_sketches WHERE block < ?", (blocks_from,))


def edit(connection: apsw.Connection, before: int, after: int) -> None:
    """Change the accuracy in percent: create, coarsen or drop all sketches."""
    if after and not before:
        connection.execute(ddl.SKETCHES).fetchall()
        connection.execute(statements.UNKNOWN_SKETCHES).fetchall()
        functions.register(connection)
    elif after:
        levels = {"levels": LEVELS[after] - LEVELS[before]}
        connection.execute(statements.COARSEN_BINS, levels).fetchall()
    elif before:
        connection.execute(ddl.DROP_SKETCHES).fetchall()
    connection.pragma("user_version", USER_VERSIONS[after > 0])


def prepare_loading(connection: apsw.Connection, accuracy: int, cutoff: int, resolution: int) -> None:
    """Fill the table `loaded_sketches` for the cells in the table `loaded` (see `history.loading`).

    The sketches of a source with a coarser accuracy are unknown.
    """
    has_meta = connection.execute(statements.HAS_SOURCE_META).get
    source = connection.execute(statements.SOURCE_ACCURACY).get if has_meta else 0
    levels = LEVELS[accuracy] - LEVELS[source or 1]
    is_known = bool(source) and levels >= 0
    bindings = {"levels": levels if is_known else LEVELS[accuracy], "cutoff": cutoff, "resolution": resolution}
    connection.execute(statements.LOADED_SKETCHES[is_known], bindings).fetchall()


def load(connection: apsw.Connection, marks: Watermarks) -> None:
    """Merge the prepared sketches. Call it before the cells are merged, and after rows have been sealed."""
    bounds = {"sealed_before": marks.sealed_before, "blocks_from": marks.blocks_from, "block_s": marks.block_s}
    connection.execute(statements.LOAD_SKETCHES, bounds).fetchall()


def take_coarsened(connection: apsw.Connection, resolution: int) -> None:
    """Merge the sketches into buckets of `resolution` seconds, in a temporary table, and delete them."""
    connection.execute(statements.COARSEN_SKETCHES, {"resolution": resolution})
    connection.execute(statements.EMPTY_SKETCHES).fetchall()


def put_coarsened(connection: apsw.Connection) -> None:
    """Store the sketches in the temporary table, and those of the totals."""
    connection.execute(statements.COARSENED_SKETCHES)
    connection.execute("DROP TABLE temp.merged_sketches")
    connection.execute(statements.TOTALS_SKETCHES, (0, FOREVER))
