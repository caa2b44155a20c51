"""Measures and removes the write-ahead log (WAL) beside an archive, and detects a reader that blocks its checkpoint.

SQLite writes each commit to the log and later copies it into the file, once no reader needs the older pages. A program
that leaves a read transaction open keeps every later commit in the log, which grows without bound. tally cannot end
another program's transaction, but it reports the log.
"""

import os
from contextlib import suppress
from pathlib import Path

import apsw

from tally.engine.files import schema
from tally.engine.files.connection import Connection
from tally.engine.files.temporary import beside
from tally.errors import TallyError

# A log that is emptied after each commit may have a few MiB.
LOG_MAX_BYTES = 8 * 2**20


def log_path(path: Path) -> Path:
    """Return the path of the log of the archive at `path`."""
    return beside(Path(os.path.realpath(path)), "-wal")


def log_bytes(path: Path) -> int:
    """Return the size of the log of the archive at `path`; 0 if there is none."""
    try:
        return schema.file_size(log_path(path)) or 0
    except TallyError:
        return 0


def held_bytes(path: Path) -> int:
    """Return the size of a log of more than LOG_MAX_BYTES that a reader keeps from being emptied; else 0."""
    size_bytes = log_bytes(path)
    if size_bytes <= LOG_MAX_BYTES:
        return 0
    try:
        with schema.OpenArchive(path) as connection:
            pages, emptied_pages = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except TallyError:
        return 0
    return size_bytes if pages > emptied_pages else 0


def remove_unused_log(path: Path) -> None:
    """Remove the log of the archive at `path` if no connection uses it, after copying its commits into the file.

    The last connection to close does so, but not if another one closes at the same moment: then both leave the log.
    Locks are not waited for.
    """
    with suppress(apsw.Error, TallyError):
        if schema.file_size(log_path(path)) is None:
            return
        connection = Connection(os.path.realpath(path), apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.pragma("schema_version")  # Reading opens the log.
        finally:
            schema.close(connection)
