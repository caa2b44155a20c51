"""What SQLite's errors mean for an archive: it is damaged, is no archive, or cannot be used now.

A damaged file may hold values of any type and text of any bytes, as SQLite does not check all that it reads. An error
that may come of those, or of a bug, is told as damage only where a check of the file finds some.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import apsw

from tally.engine.files import damage_marks, ddl, statements
from tally.engine.files.connection import Connection
from tally.engine.files.disk import shown
from tally.errors import ArchiveDamaged, ArchiveUnavailable, NotAnArchive, QueryTimeout

# Where the header of an SQLite file has it: https://www.sqlite.org/fileformat.html#application_id
_ID_BYTES = slice(68, 72)
# So many messages of SQLite's tell enough of a damage.
DAMAGES = 5
# What SQLite says of a file that may be right another time, and what it says where the file may be damaged.
UNAVAILABLE = (
    apsw.BusyError, apsw.LockedError, apsw.ProtocolError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.FullError,
    apsw.IOError, apsw.PermissionsError, apsw.AuthError, apsw.AbortError, apsw.NoMemError, apsw.NoLFSError,
)  # fmt: skip
DOUBTFUL = (
    apsw.SQLError, apsw.FormatError, apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError,
    apsw.SchemaChangeError, apsw.EmptyError, apsw.NotFoundError, apsw.InternalError,
)  # fmt: skip

# What SQLite says where a disk is full, one on which no file can grow by as much as it needs to open an archive.
FULL = (apsw.FullError, apsw.IOError, apsw.CantOpenError)
FULL_BYTES = 64 * 1024

# Some calls fail without words of SQLite's: those that it has elsewhere.
SILENT: dict[type[Exception], str] = {
    apsw.BusyError: "database is locked", apsw.LockedError: "database table is locked",
    apsw.FullError: "database or disk is full", apsw.IOError: "disk I/O error",
    apsw.ReadOnlyError: "attempt to write a readonly database", apsw.CorruptError: "database disk image is malformed",
}  # fmt: skip


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors on `path` into the tree's, but for those of who uses it wrongly.

    :raises QueryTimeout: when the query was interrupted.
    :raises ArchiveDamaged: when the file is tally's, and its bytes or tables are not as they were made.
    :raises NotAnArchive: when it is no database, and nothing says that it was tally's.
    :raises ArchiveUnavailable: when it is locked, read-only or cannot be written.
    """
    try:
        yield
    except apsw.InterruptError:
        raise QueryTimeout("the question took too long: ask for less, or raise TALLY_QUERY_TIMEOUT") from None
    except UNAVAILABLE as error:
        raise ArchiveUnavailable(f"{path}: cannot be used now: {_reason(path, error)}") from error
    except (apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError) as error:
        if _is_marked_as_ours(path):
            raise ArchiveDamaged(path, _line(error)) from error
        raise NotAnArchive(f"{path}: is not an archive of tally's: {_line(error)}") from error
    except (*DOUBTFUL, TypeError, AssertionError, OverflowError) as error:
        if found := _found(path):
            raise ArchiveDamaged(path, found) from error
        if isinstance(error, apsw.Error):
            raise ArchiveUnavailable(f"{path}: cannot be used so: {_line(error)}") from error
        raise


def verify(connection: apsw.Connection, path: Path, *, by_rules: bool = False) -> None:
    """Fail unless SQLite finds the database sound, and with `by_rules` nothing breaks the writer's own rules either.

    :raises ArchiveDamaged: when it is not; it is told as that of `path`.
    """
    if found := damage(connection) if by_rules else integrity(connection):
        raise ArchiveDamaged(path, found[0])


def damage(connection: apsw.Connection) -> list[str]:
    """Return what is wrong with an archive, for SQLite or by the writer's own rules; nothing where it is sound."""
    if found := integrity(connection):
        return found
    if missing := _missing(connection):
        return missing
    counts = connection.execute(statements.BROKEN_RULES, dict(connection.execute(statements.META))).get
    return [f"{count} {what}" for what, count in zip(statements.RULES, counts, strict=True) if count]


def integrity(connection: apsw.Connection) -> list[str]:
    """Return what SQLite finds wrong with a database, each in a line; nothing where it is sound."""
    texts = [text for (text,) in connection.execute(f"PRAGMA integrity_check({DAMAGES})")]
    if texts == ["ok"]:
        return []
    lines = [line for text in texts for line in text.splitlines()]
    return [line for line in lines if not line.startswith("*** in database")] or lines


def _missing(connection: apsw.Connection) -> list[str]:
    there = {name for (name,) in connection.execute(statements.OBJECTS)}
    return [f"there is no {name}" for name in ddl.OBJECTS if name not in there]


def _is_marked_as_ours(path: Path) -> bool:
    return damage_marks.header(path)[_ID_BYTES] == ddl.APPLICATION_ID.to_bytes(4)


def _found(path: Path) -> str:
    """Return what is wrong with a file, or nothing where it is sound.

    :raises ArchiveUnavailable: when that cannot be found out now.
    """
    if known := damage_marks.find(path):
        return known
    try:
        with closing(_connection(path)) as connection:
            return "".join((_missing(connection) or damage(connection))[:1])
    except UNAVAILABLE as error:
        raise ArchiveUnavailable(f"{path}: cannot be used now: {_line(error)}") from error
    except apsw.Error as error:
        return _line(error)


def _connection(path: Path) -> apsw.Connection:
    """Open a file to read; for writing where that may be, so that what SQLite keeps beside it is tidied away."""
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    flags = apsw.SQLITE_OPEN_READWRITE if may_write else apsw.SQLITE_OPEN_READONLY
    return Connection(os.path.realpath(path), flags)


def _reason(path: Path, error: Exception) -> str:
    """Return what an error that may pass means; of a full disk SQLite may say no more than that it cannot read."""
    with suppress(OSError):
        free_bytes = shutil.disk_usage(path.parent).free
        if isinstance(error, FULL) and free_bytes < FULL_BYTES:
            return f"the disk is full ({shown(free_bytes)} free)"
    return _line(error)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return SILENT.get(type(error), type(error).__name__) if text == "not an error" else text
