"""SQLite connections that handle forks and files on read-only or full disks.

Forks. SQLite keeps its locks and descriptors per process (https://sqlite.org/howtocorrupt.html, section 2.6). A child
inherits the record of an open connection but not its locks, so every connection to that file in the child would read
and write alongside the parent. Closing an inherited connection would change the log that the parent uses. Therefore:

- A fork waits for connections of other threads, which are open for milliseconds, but only LONG_WAIT_S for those of
  answers and copies, which may be open for long.
- If none is open at the fork, the child works like a new process.
- Otherwise each use in the child raises ArchiveUnavailable, and inherited connections are never closed.

Immutable files. SQLite cannot lock a file in a read-only place, or on a disk too full for its side files. Such a file
is read as immutable, without locks or log. If it changes while it is open, what was read is invalid.
"""

import ctypes
from _thread import get_ident
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from weakref import ref

import apsw

from tally import forks
from tally.errors import ArchiveUnavailable

LONG_WAIT_S = 0.1

UNUSABLE = (
    "archives cannot be used in this process: it was forked while one was open in its parent; "
    "fork earlier, or start a new process instead, as multiprocessing does with 'spawn'"
)


class _Open(forks.Work):
    """Registers an open connection with `forks`.

    The connection holds this object as its collation callback, which apsw releases after closing the file, however that
    happens. So this object lives exactly as long as the file is open.
    """

    __slots__ = ("_connection", "_cursor")
    is_critical = True

    def __init__(self, connection: "Connection", wait_s: float) -> None:
        super().__init__(wait_s=wait_s)
        self._connection = ref(connection)
        self._cursor: ref[apsw.Cursor] | None = None

    def __call__(self, *_: object) -> None:
        """Provide no collation."""

    def set_cursor(self, cursor: apsw.Cursor) -> None:
        """Set the cursor that is being read."""
        self._cursor = ref(cursor)

    def handle_interruption(self) -> None:
        """Leak the connection in the child: it is never closed, and each use raises an error."""
        for inherited in (self._connection(), self._cursor and self._cursor()):
            if inherited is not None:
                leak(inherited)
            if isinstance(inherited, Connection):
                inherited.__class__ = ForkedConnection


class Opening(forks.Work):
    """A block in which SQLite opens a file without a connection.

    :raises ArchiveUnavailable: as `Connection`.
    """

    __slots__ = ()
    is_critical = True

    def __enter__(self) -> None:
        _begin(self)

    def __exit__(self, *_: object) -> None:
        forks.end(self)


def _begin(work: forks.Work) -> None:
    forks.begin(work)
    if forks.has_interrupted_work():
        raise ArchiveUnavailable(UNUSABLE)


class Connection(apsw.Connection):
    """A connection to the file at `path`. Set `is_long` if it may stay open for longer than forks should wait.

    :raises ArchiveUnavailable: in the child of a fork that found a connection open.
    """

    def __init__(
        self,
        path: str,
        flags: int = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
        *,
        is_long: bool = False,
    ) -> None:
        is_open = _Open(self, LONG_WAIT_S if is_long else forks.WAIT_S)
        _begin(is_open)
        super().__init__(path, flags=flags)
        self.collation_needed(is_open)
        self._is_open = ref(is_open)

    def set_cursor(self, cursor: apsw.Cursor) -> None:
        """Tell `forks` which cursor is being read, for as long as the connection is open."""
        is_open = self._is_open()
        if is_open is not None:
            is_open.set_cursor(cursor)

    def rest(self) -> None:
        """Tell `forks` that the connection is not in use, so that a fork need not wait for it."""
        is_open = self._is_open()
        if is_open is not None:
            forks.end(is_open)

    def resume(self) -> None:
        """Tell `forks` that this thread uses the connection again. Raises as the constructor."""
        is_open = self._is_open()
        if is_open is not None:
            is_open.thread = get_ident()
            _begin(is_open)


class ForkedConnection(Connection):
    """The class of a connection in the child of a fork that found it open."""

    def __getattribute__(self, name: str) -> object:
        if name == "__class__":
            return ForkedConnection
        raise ArchiveUnavailable(UNUSABLE)


def is_forked(connection: apsw.Connection) -> bool:
    """Return whether the process was forked since the connection was opened."""
    return type(connection) is ForkedConnection


def check_not_forked(connection: apsw.Connection) -> None:
    """Fail if the process was forked since the connection was opened.

    :raises ArchiveUnavailable: when it was.
    """
    if is_forked(connection):
        raise ArchiveUnavailable(UNUSABLE)


def leak(inherited: object) -> None:
    """Ensure that an object is never freed, not even at exit."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


class ImmutableConnection(Connection):
    """A read-only connection without locks to a file that has no log."""

    def __init__(self, path: Path, *, is_long: bool = False) -> None:
        self._path = path
        self.stamp = read_stamp(path)
        uri = f"file:{quote(str(path))}?immutable=1"
        super().__init__(uri, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, is_long=is_long)

    def is_changed(self) -> bool:
        """Return whether the file has changed since it was opened."""
        return read_stamp(self._path) != self.stamp


class Stamp(NamedTuple):
    """What differs once a file has changed. The last two are its times in nanoseconds: of its content, and of both."""

    device: int
    inode: int
    bytes: int
    written_ns: int
    changed_ns: int


def read_stamp(path: Path) -> Stamp | None:
    """Return the stamp of a file, or None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def ensure_unchanged(connection: Connection) -> Iterator[None]:
    """Run `check_unchanged` after a block, also in place of an error raised in it."""
    try:
        yield
    finally:
        check_unchanged(connection)


def check_unchanged(connection: Connection) -> None:
    """Fail if an immutable file has changed since it was opened.

    :raises ArchiveUnavailable: when it has.
    """
    if isinstance(connection, ImmutableConnection) and connection.is_changed():
        raise ArchiveUnavailable(f"{connection.filename}: was written while it was read without a lock: ask again")
