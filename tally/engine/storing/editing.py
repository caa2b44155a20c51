"""Stores a changed definition of an archive, in the caller's transaction."""

import apsw

from tally.engine.asking import sql
from tally.engine.definition import Definition
from tally.engine.files import statements
from tally.engine.files.schema import write_definition, write_meta
from tally.engine.storing import sketches
from tally.engine.storing.expiry import settle
from tally.engine.storing.lineage import ensure_identity, mark_rewritten
from tally.engine.storing.sealing import add_blocks


def edit(connection: apsw.Connection, definition: Definition, changed: Definition) -> None:
    """Store a changed definition. A coarser resolution merges all rows into the new buckets."""
    write_definition(connection, changed)
    ensure_identity(connection)
    connection.execute(statements.NEW_VERSION).fetchall()
    sketches.edit(connection, definition.percentiles, changed.percentiles)
    if changed.resolution == definition.resolution:
        return
    marks = settle(connection)
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
    write_meta(connection, "sealed_before", sealed_before)
    write_meta(connection, "blocks_from", 0)
