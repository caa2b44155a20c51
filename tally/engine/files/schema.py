"""The file format of an archive: creates, opens and deletes its file. The tables are defined in `ddl`.

    meta                names                data (key bucket, id)                       data_by_name (sealed rows only)
    +-----+-------+     +----+------+        +--------+----+-------+-----+-----+-----+--------+   +----+--------+-- - -
    | key | value |     | id | name |        | bucket | id | count | sum | min | max | sealed |   | id | bucket | …
    +-----+-------+     +----+------+        +--------+----+-------+-----+-----+-----+--------+   +----+--------+-- - -

    totals                               blocks (key block, id)
    +--------+-------+-----+-----+-----+ +-------+----+-------+-----+-----+-----+
    | bucket | count | sum | min | max | | block | id | count | sum | min | max |
    +--------+-------+-----+-----+-----+ +-------+----+-------+-----+-----+-----+

    data_sketches   (bucket, id, bins)       totals_sketches (bucket, bins)       blocks_sketches (block, id, bins)

    meta         the definition and the watermarks (see `watermarks`). Rows before `sealed_before` have sealed = 1 and
                 are in the covering index `data_by_name`, as are those that `sealing_before` and `sealing_id` tell;
                 all others have sealed = 0 and are not
    names        exactly the names that have rows, so the size of a row does not depend on the length of its name
    totals       aggregates of each bucket over all names; rows of buckets before the first one are hidden: see `expiry`
    blocks       aggregates of each name's sealed rows over several buckets, to read long ranges quickly (see `commit`)
    deliveries   receipts of idempotency keys (see `idempotency`)
    *_sketches   the sketches of the rows of `data`, `totals` and `blocks`, if the archive keeps percentiles
    bins         a view of `data_sketches` with names, bins and counts
    cells        a view of `data` with names and averages, for users of SQLite tools

`application_id` identifies the file as an archive, and `user_version` is the version of the format. The file is in WAL
mode; a backup is in DELETE mode until the first commit to it.
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
from tally.engine.files import damage_marks, ddl, functions, statements
from tally.engine.files.connection import (
    Connection,
    ImmutableConnection,
    check_not_forked,
    check_unchanged,
    ensure_unchanged,
    is_forked,
)
from tally.engine.files.failure import FULL, translate_errors
from tally.engine.files.temporary import beside, publish, remove, sync_directory, temporary_file
from tally.engine.storing import watermarks
from tally.engine.storing.lineage import ensure_identity
from tally.errors import (
    ArchiveDamaged,
    ArchiveExists,
    ArchiveUnavailable,
    InvalidDefinition,
    NotAnArchive,
    TallyError,
    UnknownArchive,
)

# Format 2 has sketches; an archive without percentiles keeps format 1, which every version of tally reads.
USER_VERSIONS = {False: 1, True: 2}
BUSY_TIMEOUT_MS = 10_000
# Sealing and expiry visit each index page many times. A smaller cache would write it as often.
WRITE_CACHE_KIB = 65_536
# The log grows while readers overlap or one is slow. Above this size a commit waits up to RESTART_TIMEOUT_MS for them,
# so that the log can restart; see also `query.STALL_S`.
WAL_MAX_BYTES = 64 * 2**20
RESTART_TIMEOUT_MS = 1_000
# The arguments of `__exit__` after a block that raised nothing.
NO_ERROR = (None, None, None)


def file_size(path: Path) -> int | None:
    """Return the size of the file at `path` in bytes, following symbolic links; None if there is no file.

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
    """Create an archive file atomically; an existing file is never replaced.

    :raises ArchiveExists: when there is a file at `path`.
    :raises ArchiveUnavailable: when the file cannot be written.
    """
    try:
        with temporary_file(path) as built:
            with translate_errors(path):
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
        with Transaction(connection):
            initialize(connection, definition)
        connection.pragma("journal_mode", "wal")
    finally:
        connection.close()


def initialize(connection: apsw.Connection, definition: Definition) -> None:
    """Create the tables of an archive in an empty file, within the caller's transaction."""
    connection.pragma("application_id", ddl.APPLICATION_ID)
    connection.pragma("user_version", USER_VERSIONS[definition.percentiles > 0])
    connection.execute(ddl.ARCHIVE).fetchall()
    if definition.percentiles:
        connection.execute(ddl.SKETCHES).fetchall()
        functions.register(connection)
    write_definition(connection, definition)
    write_meta(connection, "slug", definition.slug)  # `directory` chooses among hard links by it.
    ensure_identity(connection)
    for mark, first in watermarks.FIRST.items():
        write_meta(connection, mark, first)


def delete(path: Path) -> None:
    """Delete an archive and its side files, after waiting for a commit in progress.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `connect`, and when it cannot be deleted.
    """
    with OpenArchive(path, write=True) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            remove(path)
            damage_marks.clear(path)
            sync_directory(path.parent)
        except OSError as error:
            raise ArchiveUnavailable(f"{path}: cannot be deleted: {error.strerror}") from error


def write_meta(connection: apsw.Connection, key: str, value: sql.Value) -> None:
    """Store one value under `key`."""
    connection.execute("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2", (key, value))


def write_definition(connection: apsw.Connection, definition: Definition) -> None:
    """Store a definition without the slug, which is the file's name."""
    for key in PROPERTIES:
        write_meta(connection, key, getattr(definition, key))


def read_definition(connection: apsw.Connection, path: Path) -> Definition:
    """Return the definition stored in the file at `path`, whose name is the slug.

    :raises ArchiveDamaged: when it is incomplete or not valid.
    """
    meta = dict(connection.execute(statements.META))
    if not all(isinstance(meta.get(mark), int) for mark in watermarks.FIRST) or meta["block_buckets"] < 1:
        raise ArchiveDamaged(path, "its watermarks are missing or not valid")
    try:
        fields = {key: meta[key] for key in PROPERTIES if key != "percentiles"}
        fields["percentiles"] = meta.get("percentiles", 0)  # Archives of earlier versions have none.
        fields["enabled"] = bool(fields["enabled"])
        return Definition.load(path.name.removesuffix(".db"), fields)
    except KeyError as error:
        raise ArchiveDamaged(path, f"its definition has no {error.args[0]}") from None
    except InvalidDefinition as error:
        raise ArchiveDamaged(path, str(error)) from None


class Transaction:
    """Takes the write lock, commits durably at the end and checkpoints the log, or rolls back on an error.

    It also rolls back if `is_kept` is false, for a dry run. It always ends, even if a signal handler raises, where a
    generator could be left suspended.
    """

    def __init__(self, connection: apsw.Connection, *, is_kept: bool = True) -> None:
        self._connection = connection
        self._is_kept = is_kept

    def __enter__(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._roll_back()
            raise

    def __exit__(self, *raised: object) -> None:
        try:
            if raised == NO_ERROR and self._is_kept:
                self._connection.execute("COMMIT")
        finally:
            self._roll_back()
        if raised == NO_ERROR and self._is_kept:
            checkpoint(self._connection)

    def _roll_back(self) -> None:
        """Roll back if a transaction is open."""
        if not is_forked(self._connection) and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def checkpoint(connection: apsw.Connection) -> None:
    """Copy commits from the log into the file, as far as readers allow.

    Errors are ignored, because the transaction is already committed.
    """
    with suppress(apsw.Error, TallyError):
        connection.wal_checkpoint()
        if (file_size(beside(Path(connection.filename), "-wal")) or 0) > WAL_MAX_BYTES:
            connection.set_busy_timeout(RESTART_TIMEOUT_MS)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


class OpenArchive:
    """Opens the archive at `path`, checks its format, and closes it at the end. `is_long` is as for `Connection`.

    Archives are not kept open between operations. So a file that is replaced or deleted is not written through an old
    handle for long, and the last connection to close leaves the archive as one file. If a signal handler raises before
    the end, garbage collection closes it.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `connect` and `translate_errors`, and in a child that
        was forked within the block.
    """

    def __init__(self, path: Path, *, write: bool = False, is_long: bool = False) -> None:
        self._path, self._write, self._is_long = path, write, is_long

    def __enter__(self) -> Connection:
        self._connection = connect(self._path, write=self._write, is_long=self._is_long)
        self._translated = translate_errors(self._path)
        self._translated.__enter__()
        return self._connection

    def __exit__(self, *raised: Any) -> None:
        try:
            if raised == NO_ERROR:
                check_not_forked(self._connection)
            check_unchanged(self._connection)
            self._translated.__exit__(*raised)
        finally:
            close(self._connection)


def close(connection: apsw.Connection) -> None:
    """Close a connection, unless the process was forked since it was opened.

    If another file has replaced this one, empty the log first. SQLite would leave it, and the next connection would
    apply this file's log to the other one.
    """
    if is_forked(connection):
        return
    has_moved = ctypes.c_int()
    with suppress(apsw.Error):
        connection.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(has_moved))
        if has_moved.value:
            connection.set_busy_timeout(0)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()


def connect(path: Path, *, write: bool = False, is_long: bool = False) -> Connection:
    """Open the archive at `path` and check its format. `is_long` is as for `Connection`.

    :raises UnknownArchive: when there is no such file.
    :raises NotAnArchive: when it belongs to another application or a newer version of tally.
    :raises ArchiveDamaged: when it is damaged.
    :raises ArchiveUnavailable: when it cannot be opened now.
    """
    if file_size(path) is None:
        raise UnknownArchive(f"there is no archive {path.stem!r}")
    real_path = Path(os.path.realpath(path))
    with translate_errors(path):
        try:
            return _checked(open_file(real_path, write=write, is_long=is_long), path, write=write)
        except FULL:
            # SQLite needs disk space even for reading, unless it reads a file without a log as immutable.
            if write or file_size(beside(real_path, "-wal")):
                raise
            return _checked(ImmutableConnection(real_path, is_long=is_long), path, write=False)


def _checked(connection: Connection, path: Path, *, write: bool) -> Connection:
    """Return a connection after checking its format; close it on an error."""
    try:
        with ensure_unchanged(connection):
            check_format(connection, path)
        if write:
            connection.pragma("cache_size", -WRITE_CACHE_KIB)
            connection.pragma("journal_mode", "wal")  # A backup is in DELETE mode.
    except BaseException:
        close(connection)
        raise
    return connection


def open_file(path: Path, *, write: bool, is_long: bool = False) -> Connection:
    """Open and configure an archive or a ledger; close it with `close`.

    The file is opened writable if permissions allow, for readers too, so that the last connection removes the WAL.
    Without write permission SQLite cannot use the WAL, and the file is opened as an `ImmutableConnection`.

    :raises ArchiveUnavailable: when it is read-only and is to be written, or has a WAL.
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
        # Other archives are attached by URIs: see `history.source`. An absolute path is none.
        return Connection(str(path), apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI, is_long=is_long)
    if write:
        raise ArchiveUnavailable(f"{path}: cannot be written: the file or its directory is read-only")
    if file_size(beside(path, "-wal")):
        raise ArchiveUnavailable(f"{path}: cannot be read: it has a -wal beside it, and is read-only")
    return ImmutableConnection(path, is_long=is_long)


def check_format(connection: apsw.Connection, path: Path) -> None:
    """Check that the file is an archive, and register the functions that its tables need. Raises as `connect`."""
    if connection.pragma("application_id") != ddl.APPLICATION_ID:
        raise NotAnArchive(f"{path}: is not a tally archive")
    version = connection.pragma("user_version")
    if version not in USER_VERSIONS.values():
        raise NotAnArchive(
            f"{path}: has format {version}; this version of tally reads formats 1 and 2: use the one that made it"
        )
    wal = beside(Path(os.path.realpath(path)), "-wal")
    if not file_size(wal) and (file_size(path) or 0) % connection.pragma("page_size"):
        raise ArchiveDamaged(path, "its last page is cut short")
    if read_definition(connection, path).percentiles:
        functions.register(connection)
