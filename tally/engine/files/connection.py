"""SQLite's connections as tally opens them: one whose process forks is never used nor closed in the child.

SQLite keeps locks and descriptors a process. A child that inherits an open connection has its bookkeeping without its
locks, and so has every other connection to the same file that is opened there: it would read and write where others do
(https://sqlite.org/howtocorrupt.html, section 2.6). Closing it there would change the log that the parent uses.

So a fork waits for connections of other threads, which are open for milliseconds; for those of answers and copies, that
may be open for long, only LONG_WAIT_S. In the child of a fork with none open, SQLite knows of no file, and all is as in
a new process. In any other child each use raises ArchiveUnavailable, and what was inherited stays as it is.
"""

import ctypes
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
    """What forks know of an open connection.

    The connection holds it as the callable for unknown collations, which apsw lets go of after it has closed the file,
    in whichever way that comes: so this lives exactly as long as the file is open.
    """

    __slots__ = ("_connection", "_cursor")
    spoils = True

    def __init__(self, connection: "Connection", wait_s: float) -> None:
        super().__init__(wait_s=wait_s)
        self._connection = ref(connection)
        self._cursor: ref[apsw.Cursor] | None = None

    def __call__(self, *_: object) -> None:
        """Know of no collation."""

    def note(self, cursor: apsw.Cursor) -> None:
        """Know the cursor that is being read from."""
        self._cursor = ref(cursor)

    def cut(self) -> None:
        """Leave the connection as it is for ever: whoever has it gets an error, and nobody closes it."""
        for inherited in (self._connection(), self._cursor and self._cursor()):
            if inherited is not None:
                leave(inherited)
            if isinstance(inherited, Connection):
                inherited.__class__ = Lost


class Opening(forks.Work):
    """A block that has SQLite open a file without a connection.

    :raises ArchiveUnavailable: as `Connection`.
    """

    __slots__ = ()
    spoils = True

    def __enter__(self) -> None:
        _begin(self)

    def __exit__(self, *_: object) -> None:
        forks.end(self)


def _begin(work: forks.Work) -> None:
    forks.begin(work)
    if forks.is_spoilt():
        raise ArchiveUnavailable(UNUSABLE)


class Connection(apsw.Connection):
    """A connection to the file at `path`; `is_long` says that it may stay open for longer than forks should wait.

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

    def note(self, cursor: apsw.Cursor) -> None:
        """Have forks know the cursor that is being read from, for as long as the connection is open."""
        is_open = self._is_open()
        if is_open is not None:
            is_open.note(cursor)


class Lost(Connection):
    """What a connection becomes in the child of a fork that found it open."""

    def __getattribute__(self, name: str) -> object:
        if name == "__class__":
            return Lost
        raise ArchiveUnavailable(UNUSABLE)


def is_lost(connection: apsw.Connection) -> bool:
    """Return whether the process was forked since the connection was opened."""
    return type(connection) is Lost


def check(connection: apsw.Connection) -> None:
    """Do nothing, unless the process was forked since the connection was opened.

    :raises ArchiveUnavailable: when it was.
    """
    if is_lost(connection):
        raise ArchiveUnavailable(UNUSABLE)


def leave(inherited: object) -> None:
    """See to it that an object is never freed, not even at the end of the process."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
