"""Translates SQLite's errors: the archive is damaged, is not an archive, or cannot be used now.

SQLite does not check everything that it reads, so a damaged file may yield values of any type and text of any bytes. An
error that may come from those, or from a bug, is reported as damage only if a check of the file finds damage.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import apsw

from tally.engine.files import damage_marks, ddl, functions, statements
from tally.engine.files.connection import Connection
from tally.engine.files.disk import format_size
from tally.engine.storing.watermarks import EXPIRING, SEALING
from tally.errors import ArchiveDamaged, ArchiveUnavailable, NotAnArchive, QueryTimeout

# The application id in the header of an SQLite file: https://www.sqlite.org/fileformat.html#application_id
_ID_BYTES = slice(68, 72)
# The number of messages to read from an integrity check.
DAMAGES = 5
# UNAVAILABLE errors may pass; DOUBTFUL errors may mean damage.
UNAVAILABLE = (
    apsw.BusyError, apsw.LockedError, apsw.ProtocolError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.FullError,
    apsw.IOError, apsw.PermissionsError, apsw.AuthError, apsw.AbortError, apsw.NoMemError, apsw.NoLFSError,
)  # fmt: skip
DOUBTFUL = (
    apsw.SQLError, apsw.FormatError, apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError,
    apsw.SchemaChangeError, apsw.EmptyError, apsw.NotFoundError, apsw.InternalError,
)  # fmt: skip

# Errors that SQLite raises on a full disk. With less than FULL_BYTES free it cannot open an archive.
FULL = (apsw.FullError, apsw.IOError, apsw.CantOpenError)
FULL_BYTES = 64 * 1024

# Some calls fail without a message. These are SQLite's own messages for the same errors.
DEFAULT_MESSAGES: dict[type[Exception], str] = {
    apsw.BusyError: "database is locked", apsw.LockedError: "database table is locked",
    apsw.FullError: "database or disk is full", apsw.IOError: "disk I/O error",
    apsw.ReadOnlyError: "attempt to write a readonly database", apsw.CorruptError: "database disk image is malformed",
}  # fmt: skip


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Translate SQLite's errors on `path` into tally's, except for errors of wrong usage.

    :raises QueryTimeout: when the query was interrupted.
    :raises ArchiveDamaged: when the file is an archive and its bytes or tables are damaged.
    :raises NotAnArchive: when it is not a database and its header does not identify it as an archive.
    :raises ArchiveUnavailable: when it is locked, read-only or cannot be written.
    """
    try:
        yield
    except apsw.InterruptError:
        raise QueryTimeout("the question took too long: ask for less, or raise TALLY_QUERY_TIMEOUT") from None
    except UNAVAILABLE as error:
        raise ArchiveUnavailable(f"{path}: cannot be used now: {_reason(path, error)}") from error
    except (apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError) as error:
        if _has_application_id(path):
            raise ArchiveDamaged(path, describe(error)) from error
        raise NotAnArchive(f"{path}: is not a tally archive: {describe(error)}") from error
    except (*DOUBTFUL, TypeError, AssertionError, OverflowError) as error:
        if found := _diagnose(path):
            raise ArchiveDamaged(path, found) from error
        if isinstance(error, apsw.Error):
            raise ArchiveUnavailable(f"{path}: the operation failed: {describe(error)}") from error
        raise


def verify(connection: apsw.Connection, path: Path, *, by_rules: bool = False) -> None:
    """Check the integrity of a database, and with `by_rules` also the rules that hold after every commit.

    :raises ArchiveDamaged: when the check fails; `path` is the damaged file.
    """
    if found := find_damage(connection) if by_rules else check_integrity(connection):
        raise ArchiveDamaged(path, found[0])


def find_damage(connection: apsw.Connection) -> list[str]:
    """Return descriptions of damage to an archive: SQLite's, or broken rules of tally; empty if it is sound."""
    if found := check_integrity(connection):
        return found
    if missing := _missing(connection):
        return missing
    meta = dict(connection.execute(statements.META))
    bindings = {**dict.fromkeys((*SEALING, *EXPIRING), 0), **meta}
    counts = connection.execute(statements.BROKEN_RULES, bindings).get
    found = [f"{count} {what}" for what, count in zip(statements.RULES, counts, strict=True) if count]
    return found or (_find_damaged_sketches(connection) if meta.get("percentiles") else [])


def _find_damaged_sketches(connection: apsw.Connection) -> list[str]:
    functions.register(connection)
    if missing := _missing(connection, ddl.SKETCH_OBJECTS):
        return missing
    counts = connection.execute(statements.BROKEN_SKETCH_RULES).get
    return [f"{count} {what}" for what, count in zip(statements.SKETCH_RULES, counts, strict=True) if count]


def check_integrity(connection: apsw.Connection) -> list[str]:
    """Return the messages of SQLite's integrity check, one line each; empty if the database is sound."""
    texts = [text for (text,) in connection.execute(f"PRAGMA integrity_check({DAMAGES})")]
    if texts == ["ok"]:
        return []
    lines = [line for text in texts for line in text.splitlines()]
    return [line for line in lines if not line.startswith("*** in database")] or lines


def _missing(connection: apsw.Connection, names: Iterable[str] = ddl.OBJECTS) -> list[str]:
    there = {name for (name,) in connection.execute(statements.OBJECTS)}
    return [f"there is no {name}" for name in names if name not in there]


def _has_application_id(path: Path) -> bool:
    return damage_marks.header(path)[_ID_BYTES] == ddl.APPLICATION_ID.to_bytes(4)


def _diagnose(path: Path) -> str:
    """Return a description of a file's damage; empty if it is sound.

    :raises ArchiveUnavailable: when the file cannot be checked now.
    """
    if known := damage_marks.find(path):
        return known
    try:
        with closing(_connection(path)) as connection:
            return "".join((_missing(connection) or find_damage(connection))[:1])
    except UNAVAILABLE as error:
        raise ArchiveUnavailable(f"{path}: cannot be used now: {describe(error)}") from error
    except apsw.Error as error:
        return describe(error)


def _connection(path: Path) -> apsw.Connection:
    """Open a file for reading. It is opened writable if possible, so that SQLite removes its side files."""
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    flags = apsw.SQLITE_OPEN_READWRITE if may_write else apsw.SQLITE_OPEN_READONLY
    return Connection(os.path.realpath(path), flags)


def _reason(path: Path, error: Exception) -> str:
    """Return the message of an UNAVAILABLE error. On a full disk SQLite may only say that it cannot read."""
    with suppress(OSError):
        free_bytes = shutil.disk_usage(path.parent).free
        if isinstance(error, FULL) and free_bytes < FULL_BYTES:
            return f"the disk is full ({format_size(free_bytes)} free)"
    return describe(error)


def describe(error: Exception) -> str:
    """Return the message of an error of SQLite, in one line."""
    text = " ".join(str(error).split())
    return DEFAULT_MESSAGES.get(type(error), type(error).__name__) if text == "not an error" else text
