"""Drops the index by name during large changes.

Maintaining it row by row touches another page for each name. Creating it again sorts all rows once, which takes a
fraction of the time if many rows change.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from tally.engine.files import ddl
from tally.engine.history import queries

# The index is dropped if one row in so many changes.
LARGE_PART = 4


@contextmanager
def without_index(connection: apsw.Connection, *, changes: int) -> Iterator[bool]:
    """Run a block that changes this number of rows, in the caller's transaction. Yield whether that is a large part."""
    is_large: bool = connection.execute(queries.HAS_FEWER_ROWS, {"rows": LARGE_PART * changes + 1}).get
    if is_large:
        connection.execute(ddl.DROP_INDEX)
    yield is_large
    if is_large:
        connection.execute(ddl.CREATE_INDEX)
