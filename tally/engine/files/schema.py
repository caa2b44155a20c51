"""The file format of an archive, and how its file is made, opened and deleted. Its tables stand in `ddl`.

    meta                names                data (key bucket, id)                       data_by_name (sealed rows only)
    +-----+-------+     +----+------+        +--------+----+-------+-----+-----+-----+--------+   +----+--------+-- - -
    | key | value |     | id | name |        | bucket | id | count | sum | min | max | sealed |   | id | bucket | …
    +-----+-------+     +----+------+        +--------+----+-------+-----+-----+-----+--------+   +----+--------+-- - -

    totals                               blocks (key block, id)
    +--------+-------+-----+-----+-----+ +-------+----+-------+-----+-----+-----+
    | bucket | count | sum | min | max | | block | id | count | sum | min | max |
    +--------+-------+-----+-----+-----+ +-------+----+-------+-----+-----+-----+

`meta` holds the definition and the writer's `marks`: every row whose bucket is less than `sealed_before` has sealed = 1
and stands in the covering index, every other one has sealed = 0 and does not. `names` holds exactly the names that have
rows, each once, so a cell costs the same whatever its name's length. `totals` has each bucket over all names, `blocks`
the sealed rows of each name in some buckets, so that a long range is answered from few rows; see `commit`. `deliveries`
has what has come under a key and must not be counted twice; see `delivery`. The view `cells` is `data` with names and
averages, for people with an SQLite tool.

The file is marked by `application_id` and versioned by `user_version`. It is in WAL mode, but for a backup, which is in
DELETE mode until the first commit to it.
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

import apsw

from tally.engine.asking import sql
from tally.engine.definition import PROPERTIES, Definition
from tally.engine.files import damage_marks, ddl, statements
from tally.engine.files.connection import Connection, check, is_lost
from tally.engine.files.failure import FULL, translated
from tally.engine.files.immutable import Frozen, check_unchanged, steady
from tally.engine.files.temporary import aside, beside, publish, remove, sync_directory
from tally.engine.storing import watermarks
from tally.errors import (
    ArchiveDamaged,
    ArchiveExists,
    ArchiveUnavailable,
    InvalidDefinition,
    NotAnArchive,
    TallyError,
    UnknownArchive,
)

USER_VERSION = 1
BUSY_TIMEOUT_MS = 10_000
# Sealing and expiry come to each page of the index many times; without room for it they write it as often.
WRITE_CACHE_KIB = 65_536
# While readers follow one another, or one is slow, the log that SQLite keeps beside a file grows. Once it has more than
# this, a commit waits for them for a while, so that the log may begin anew; see also `answer.STALL_S`.
WAL_MAX_BYTES = 64 * 2**20
RESTART_TIMEOUT_MS = 1_000
# What a context manager is given at the end of a block that raised nothing.
NOTHING = (None, None, None)


def file_size(path: Path) -> int | None:
    """Return the bytes of the file at `path`, or where a symbolic link there leads; None when there is none.

    :raises ArchiveUnavailable: when its directory cannot be searched.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ArchiveUnavailable(f"{path}: cannot be used now: {error.strerror}") from error
    return status.st_size if S_ISREG(status.st_mode) else None


def create(path: Path, definition: Definition) -> None:
    """Make a new archive file, whole or not at all.

    It is built aside and then linked to its name, so nobody sees half a file and no file is ever replaced.

    :raises ArchiveExists: when there is a file at `path`.
    :raises ArchiveUnavailable: when the file cannot be written.
    """
    try:
        with aside(path) as built:
            with translated(path):
                _build(built, definition)
            publish(built, path)
            damage_marks.clear(path)
    except FileExistsError:
        raise ArchiveExists(f"archive {path.stem!r} exists: use another slug, or delete it first") from None
    except OSError as error:
        raise ArchiveUnavailable(f"{path}: cannot be created: {error.strerror}") from error


def _build(path: Path, definition: Definition) -> None:
    connection = Connection(str(path))
    try:
        with transaction(connection):
            lay_out(connection, definition)
        connection.pragma("journal_mode", "wal")
    finally:
        connection.close()


def lay_out(connection: apsw.Connection, definition: Definition) -> None:
    """Make an empty file that of an archive, within the caller's transaction."""
    connection.pragma("application_id", ddl.APPLICATION_ID)
    connection.pragma("user_version", USER_VERSION)
    connection.execute(ddl.ARCHIVE).fetchall()
    write_definition(connection, definition)
    write_meta(connection, "slug", definition.slug)  # By which `listing` knows the file's first name.
    for mark, first in watermarks.FIRST.items():
        write_meta(connection, mark, first)


def delete(path: Path) -> None:
    """Delete an archive's file and what SQLite keeps beside it, once a commit that is under way has ended.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `connect`, and when it cannot be deleted; it stays.
    """
    with opened(path, write=True) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            remove(path)
            damage_marks.clear(path)
            sync_directory(path.parent)
        except OSError as error:
            raise ArchiveUnavailable(f"{path}: cannot be deleted: {error.strerror}") from error


def write_meta(connection: apsw.Connection, key: str, value: sql.Value) -> None:
    """Store one fact under `key`."""
    connection.execute("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2", (key, value))


def write_definition(connection: apsw.Connection, definition: Definition) -> None:
    """Store a definition but for the slug, which is the file's name."""
    for key in PROPERTIES:
        write_meta(connection, key, getattr(definition, key))


def read_definition(connection: apsw.Connection, path: Path) -> Definition:
    """Return the definition that is stored in the file at `path`, which gives the slug.

    :raises ArchiveDamaged: when it is not whole, or not valid.
    """
    meta = dict(connection.execute(statements.META))
    if not all(isinstance(meta.get(mark), int) for mark in watermarks.FIRST) or meta["block_buckets"] < 1:
        raise ArchiveDamaged(path, "it does not say what of it is sealed")
    try:
        fields = {key: meta[key] for key in PROPERTIES}
        fields["enabled"] = bool(fields["enabled"])
        return Definition.load(path.name.removesuffix(".db"), fields)
    except KeyError as error:
        raise ArchiveDamaged(path, f"its definition has no {error.args[0]}") from None
    except InvalidDefinition as error:
        raise ArchiveDamaged(path, str(error)) from None


def transaction(connection: apsw.Connection) -> "_Transaction":
    """Hold the write lock from the start, commit in the end, and roll everything back on an error.

    When this has ended, what was written is durable, and stands in the file itself as far as no reader is in the way.
    """
    return _Transaction(connection)


class _Transaction:
    """A transaction that stays open nowhere, wherever a signal handler raises. A generator could be left suspended."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._roll_back()
            raise

    def __exit__(self, *raised: object) -> None:
        try:
            if raised == NOTHING:
                self._connection.execute("COMMIT")
        finally:
            self._roll_back()
        if raised == NOTHING:
            settle(self._connection)

    def _roll_back(self) -> None:
        """Leave no transaction open."""
        if not is_lost(self._connection) and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def settle(connection: apsw.Connection) -> None:
    """Write what is committed from the log into the file itself, as far as no reader is in the way.

    It is committed: an error now must not make anybody commit it again.
    """
    with suppress(apsw.Error, TallyError):
        connection.wal_checkpoint()
        if (file_size(beside(Path(connection.filename), "-wal")) or 0) > WAL_MAX_BYTES:
            connection.set_busy_timeout(RESTART_TIMEOUT_MS)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def opened(path: Path, *, write: bool = False, is_long: bool = False) -> "_Opened":
    """Open the archive at `path`, check that it is one, and close it in the end.

    Nothing stays open between operations, so a file that is replaced, deleted or copied meanwhile is not written
    through an old handle for long, and the last one to close leaves the archive as one file. `is_long` is as for
    `Connection`.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `connect` and `translated` tell, and in the child when
        the process is forked meanwhile.
    """
    return _Opened(path, write=write, is_long=is_long)


class _Opened:
    """An open archive. Where a signal handler raises before its end, it closes as it is forgotten."""

    def __init__(self, path: Path, *, write: bool, is_long: bool) -> None:
        self._path, self._write, self._is_long = path, write, is_long

    def __enter__(self) -> Connection:
        self._connection = connect(self._path, write=self._write, is_long=self._is_long)
        self._translated = translated(self._path)
        self._translated.__enter__()
        return self._connection

    def __exit__(self, *raised: Any) -> None:
        try:
            if raised == NOTHING:
                check(self._connection)
            check_unchanged(self._connection)
            self._translated.__exit__(*raised)
        finally:
            close(self._connection)


def close(connection: apsw.Connection) -> None:
    """Close, and leave an empty log where another file has come in this one's place: it would be taken for its own.

    SQLite leaves the log as it is, since it is another file's name by now, and the next one to open that file would
    read pages of this one from it. What was opened before the process was forked stays as it is.
    """
    if is_lost(connection):
        return
    has_moved = ctypes.c_int()
    with suppress(apsw.Error):
        connection.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(has_moved))
        if has_moved.value:
            connection.set_busy_timeout(0)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()


def connect(path: Path, *, write: bool = False, is_long: bool = False) -> Connection:
    """Open the archive at `path` and check that it is one; `is_long` is as for `Connection`.

    :raises UnknownArchive: when there is no such file.
    :raises NotAnArchive: when it is another application's or of a newer tally.
    :raises ArchiveDamaged: when it is damaged.
    :raises ArchiveUnavailable: when it cannot be opened now.
    """
    if file_size(path) is None:
        raise UnknownArchive(f"there is no archive {path.stem!r}")
    real_path = Path(os.path.realpath(path))
    with translated(path):
        try:
            return _checked(open_file(real_path, write=write, is_long=is_long), path, write=write)
        except FULL:
            # SQLite needs room even to read, but for a file that has no log and that nobody changes.
            if write or file_size(beside(real_path, "-wal")):
                raise
            return _checked(Frozen(real_path, is_long=is_long), path, write=False)


def _checked(connection: Connection, path: Path, *, write: bool) -> Connection:
    """Return a connection once it is known to be one to an archive, or close it."""
    try:
        with steady(connection):
            _check_format(connection, path)
        if write:
            connection.pragma("cache_size", -WRITE_CACHE_KIB)
            connection.pragma("journal_mode", "wal")  # A backup comes without.
    except BaseException:
        close(connection)
        raise
    return connection


def open_file(path: Path, *, write: bool, is_long: bool = False) -> Connection:
    """Open and set up a file, whichever of tally's it is; close it by `close`.

    It is opened for writing where that may be, for readers too: only then the last one to close tidies its WAL away.

    Who may not write there cannot join in the WAL, and reads the file as one that nobody changes; see `frozen`.

    :raises ArchiveUnavailable: when it is to be written and may not be, or is an archive of others that is in use.
    """
    connection = _open(path, write=write, is_long=is_long)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.pragma("synchronous", "full")
        connection.pragma("query_only", not write)
    except BaseException:
        close(connection)
        raise
    return connection


def _open(path: Path, *, write: bool, is_long: bool) -> Connection:
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return Connection(str(path), apsw.SQLITE_OPEN_READWRITE, is_long=is_long)
    if write:
        raise ArchiveUnavailable(f"{path}: cannot be written: the file or its directory is read-only")
    if file_size(beside(path, "-wal")):
        raise ArchiveUnavailable(f"{path}: cannot be read: it has a -wal beside it, and is read-only")
    return Frozen(path, is_long=is_long)


def _check_format(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != ddl.APPLICATION_ID:
        raise NotAnArchive(f"{path}: is not an archive of tally's")
    version = connection.pragma("user_version")
    if version != USER_VERSION:
        raise NotAnArchive(
            f"{path}: has format {version}, and this tally knows {USER_VERSION}: use the one that made it"
        )
    wal = beside(Path(os.path.realpath(path)), "-wal")
    if not file_size(wal) and (file_size(path) or 0) % connection.pragma("page_size"):
        raise ArchiveDamaged(path, "its last page is cut short")
    read_definition(connection, path)
