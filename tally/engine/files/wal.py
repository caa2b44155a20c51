"""SQLite's log beside an archive, and whether somebody keeps it from being emptied.

Every commit goes to the log first, and from there into the file as soon as no reader needs the file as it was. A
program that begins to read and does not end keeps all that is written since then in the log, which grows without bound.
Nobody else can end that program's transaction; all that can be done is to say it.
"""

import os
from pathlib import Path

import apsw

from tally.engine.files import schema
from tally.engine.files.temporary import beside
from tally.errors import TallyError

# A log that is emptied after each commit may have some MB.
LOG_MAX_BYTES = 8 * 2**20


def log_path(path: Path) -> Path:
    """Return the path of the log of the archive at `path`."""
    return beside(Path(os.path.realpath(path)), "-wal")


def log_bytes(path: Path) -> int:
    """Return the size of the log of the archive at `path`, 0 where there is none."""
    try:
        return schema.file_size(log_path(path)) or 0
    except TallyError:
        return 0


def held_bytes(path: Path) -> int:
    """Return the size of a log of more than LOG_MAX_BYTES that cannot be emptied now, as a reader needs it; else 0."""
    size_bytes = log_bytes(path)
    if size_bytes <= LOG_MAX_BYTES:
        return 0
    try:
        with schema.opened(path) as connection:
            pages, emptied_pages = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except TallyError:
        return 0
    return size_bytes if pages > emptied_pages else 0
