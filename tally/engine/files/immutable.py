"""Files that are read as if nobody could change them, where SQLite cannot join those who do.

That is so in a read-only place, and on a full disk, where SQLite has no room for what it keeps beside a file while it
is read. Whoever reads so neither holds a lock nor sees a log. So nothing that was read counts once the file is another
than it was when it was opened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import apsw

from tally.engine.files.connection import Connection
from tally.errors import ArchiveUnavailable


class Frozen(Connection):
    """A connection to a file that has no log beside it, taken as unchanging."""

    def __init__(self, path: Path, *, is_long: bool = False) -> None:
        self._path = path
        self._as_of = _stamp(path)
        uri = f"file:{quote(str(path))}?immutable=1"
        super().__init__(uri, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, is_long=is_long)

    def is_changed(self) -> bool:
        """Return whether the file is not what it was."""
        return _stamp(self._path) != self._as_of


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def steady(connection: Connection) -> Iterator[None]:
    """See that a file that is taken as unchanging is, while something is read within.

    :raises ArchiveUnavailable: when it is not, in the place of whatever else is raised.
    """
    try:
        yield
    finally:
        check_unchanged(connection)


def check_unchanged(connection: Connection) -> None:
    """Do nothing, unless the file was taken as unchanging, and was changed.

    :raises ArchiveUnavailable: when it was.
    """
    if isinstance(connection, Frozen) and connection.is_changed():
        raise ArchiveUnavailable(f"{connection.filename}: was written while it was read without a lock: ask again")
