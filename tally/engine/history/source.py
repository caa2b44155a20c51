"""Attaches another archive to a connection as `source`, so that SQL statements can read its cells.

The attached database is read-only, so a transaction of the connection never locks it. Another connection has the same
file open meanwhile, and keeps its log and its locks in order as for every archive: see `schema.OpenArchive`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import apsw

from tally.engine.asking import sql
from tally.engine.files import schema, statements
from tally.engine.files.connection import Connection, ImmutableConnection
from tally.engine.history import queries

# The cells of one statement. Statements over more would sort them in temporary files.
CHUNK_CELLS = 100_000
URI_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI

# Called with what is done and what there is to do, in any unit.
Progress = Callable[[float, float], None]


def connect(path: Path) -> Connection:
    """Open the database at `path`, which is being built, so that archives can be attached to it."""
    connection = Connection(str(path), URI_FLAGS, is_long=True)
    connection.pragma("cache_size", -schema.WRITE_CACHE_KIB)
    return connection


@contextmanager
def attached(connection: apsw.Connection, origin: Connection, path: Path) -> Iterator[None]:
    """Attach the archive at `path`, which `origin` has open, to a connection from `connect`."""
    mode = "immutable=1" if isinstance(origin, ImmutableConnection) else "mode=ro"
    connection.execute(statements.ATTACH, (f"file:{quote(str(path.resolve()))}?{mode}",))
    try:
        yield
    finally:
        connection.execute("DETACH source")


def chunks(
    connection: apsw.Connection,
    resolution: int,
    *,
    cells: tuple[str, str] = queries.SOURCE_CELLS,
    bindings: sql.Bindings,
    progress: Progress | None = None,
) -> Iterator[tuple[int, int]]:
    """Yield the buckets from `since` on, which is in `bindings`, as ranges: first and end, multiples of `resolution`.

    Each has some CHUNK_CELLS cells, or one bucket. `cells` has the statements that read them.
    """
    span, edge_after = cells
    first, last = connection.execute(span, bindings).get
    if first is None:
        return
    first = begin = first // resolution * resolution
    final = last // resolution * resolution + resolution
    while begin < final:
        edge = connection.execute(edge_after, {**bindings, "since": begin, "cells": CHUNK_CELLS}).get
        end = final if edge is None else max(edge // resolution * resolution, begin + resolution)
        yield begin, end
        if progress is not None:
            progress(end - first, final - first)
        begin = end
