"""The file format of an archive, and how its file is made and opened. All DDL stands here.

    meta                names                data (key bucket, id)                       data_by_name (sealed rows only)
    +-----+-------+     +----+------+        +--------+----+-------+-----+-----+-----+--------+   +----+--------+-- - -
    | key | value |     | id | name |        | bucket | id | count | sum | min | max | sealed |   | id | bucket | …
    +-----+-------+     +----+------+        +--------+----+-------+-----+-----+-----+--------+   +----+--------+-- - -

`meta` holds the definition and two facts of the writer's. Every row whose bucket is less than `sealed_before` has sealed
= 1 and stands in the covering index, every other one has sealed = 0 and does not: see `commit`. `names_token` changes
whenever `names` does. A name stands once, so a cell costs 48 bytes in the table and 48 in the index whatever its
name's length. The view `cells` is the same with names and averages, for people with an SQLite tool.

The file is in WAL mode, marked by `application_id`, and versioned by `user_version`.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from tally.engine.definition import Definition
from tally.errors import ArchiveExists, ArchiveUnavailable, NotAnArchive, QueryTimeout, UnknownArchive

APPLICATION_ID = 0x74616C79  # "taly"
USER_VERSION = 1
BUSY_TIMEOUT_MS = 10_000

Value = int | float | str | bytes | None

DDL = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE names (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE data (
    bucket INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    count  NUMERIC NOT NULL,
    sum    REAL NOT NULL,
    min    REAL NOT NULL,
    max    REAL NOT NULL,
    sealed INTEGER NOT NULL,
    PRIMARY KEY (bucket, id)
) WITHOUT ROWID;
CREATE INDEX data_by_name ON data (id, bucket, count, sum, min, max, sealed) WHERE sealed;
CREATE VIEW cells AS
    SELECT bucket, name, count, sum, sum / count AS avg, min, max FROM data JOIN names USING (id);
"""


def create(path: Path, definition: Definition) -> None:
    """Make a new archive file, whole or not at all.

    It is built aside and then linked to its name, so nobody sees half a file and no file is ever replaced.

    :raises ArchiveExists: when there is a file at `path`.
    :raises ArchiveUnavailable: when the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with translated(path):
            _build(aside, definition)
        os.link(aside, path)
    except FileExistsError:
        raise ArchiveExists(f"archive {path.stem!r} exists: use another slug, or delete it first") from None
    except OSError as error:
        raise ArchiveUnavailable(f"{path}: cannot be created: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)


def _build(path: Path, definition: Definition) -> None:
    connection = apsw.Connection(str(path))
    try:
        with connection:
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", USER_VERSION)
            connection.execute(DDL).fetchall()
            write_definition(connection, definition)
            write_meta(connection, "sealed_before", 0)
            write_meta(connection, "names_token", 0)
        connection.pragma("journal_mode", "wal")
    finally:
        connection.close()


def write_meta(connection: apsw.Connection, key: str, value: Value) -> None:
    """Store one fact under `key`."""
    connection.execute("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2", (key, value))


def write_definition(connection: apsw.Connection, definition: Definition) -> None:
    """Store a definition; the slug is the file's name and is not stored."""
    for key, value in definition.fields().items():
        if key != "slug":
            write_meta(connection, key, value)


@contextmanager
def opened(path: Path, *, write: bool = False) -> Iterator[apsw.Connection]:
    """Open the archive at `path`, check that it is one, and close it in the end.

    Nothing stays open between operations, so a file that is replaced, deleted or copied meanwhile is never written
    through an old handle, and the last one to close leaves the archive as one file.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `connect` and `translated` tell.
    """
    connection = connect(path, write=write)
    try:
        with translated(path):
            yield connection
    finally:
        connection.close()


def connect(path: Path, *, write: bool = False) -> apsw.Connection:
    """Open the archive at `path` and check that it is one.

    Readers open for writing too where they may, since only then can the last one to close tidy the WAL away.

    :raises UnknownArchive: when there is no such file.
    :raises NotAnArchive: when it is another application's, of a newer tally, or damaged.
    :raises ArchiveUnavailable: when it cannot be opened now.
    """
    if not path.is_file():
        raise UnknownArchive(f"there is no archive {path.stem!r}")
    connection = None
    with translated(path):
        try:
            connection = _open(path, write=write)
            _check_format(connection, path)
        except BaseException:
            if connection is not None:
                connection.close()
            raise
    return connection


def _open(path: Path, *, write: bool) -> apsw.Connection:
    if not write and not os.access(path, os.W_OK):
        return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    if not write and not os.access(path.parent, os.W_OK):
        # Without a place for its shared memory a WAL file can only be read as if nobody could change it.
        uri = f"{path.absolute().as_uri()}?immutable=1"
        return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("synchronous", "full")
    if not write:
        connection.pragma("query_only", 1)
    return connection


def _check_format(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        raise NotAnArchive(f"{path}: is not an archive of tally's")
    version = connection.pragma("user_version")
    if version != USER_VERSION:
        raise NotAnArchive(f"{path}: has format {version}, and this tally knows {USER_VERSION}: use a newer tally")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors on `path` into the tree's.

    :raises QueryTimeout: when the query was interrupted.
    :raises NotAnArchive: when the file is no database, or damaged.
    :raises ArchiveUnavailable: when it is locked, read-only or cannot be written.
    """
    try:
        yield
    except apsw.InterruptError:
        raise QueryTimeout("the question took too long: ask for less, or raise TALLY_QUERY_TIMEOUT") from None
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise NotAnArchive(f"{path}: is not an archive of tally's, or damaged: {error}") from error
    except (
        apsw.BusyError,
        apsw.LockedError,
        apsw.CantOpenError,
        apsw.ReadOnlyError,
        apsw.FullError,
        apsw.IOError,
        apsw.PermissionsError,
    ) as error:
        raise ArchiveUnavailable(f"{path}: cannot be used now: {error}") from error
