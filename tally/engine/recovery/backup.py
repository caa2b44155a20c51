"""Makes consistent, verified copies of an archive while it is written.

All pages are copied within one read transaction, so commits in the meantime neither appear in the copy nor restart it.
The copy is then set to DELETE journal mode, in which it is a single file and can be opened in read-only places. SQLite
checks its integrity before it gets its name. The first commit to a restored copy sets it back to WAL mode.
"""

import fcntl
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from io import FileIO
from pathlib import Path

import apsw

from tally import forks
from tally.engine.files import failure, schema
from tally.engine.files.connection import Connection, check_not_forked, is_forked, leak
from tally.engine.files.damage_marks import MarkDamage
from tally.engine.files.disk import format_size
from tally.engine.files.temporary import beside, publish, temporary_file
from tally.engine.recovery.check import CHECK_STEPS
from tally.errors import ArchiveExists, ArchiveUnavailable

MEDIA_TYPE = "application/vnd.sqlite3"
STEP_PAGES = 1024
# An empty file in the data directory while a backup is downloaded, whose lock the download holds.
DOWNLOAD_LOCK = ".download.lock"
CHUNK_BYTES = 256 * 1024

# Called with the copied and the total bytes.
Progress = Callable[[int, int], None]


def backup(
    source: Path, target: Path, *, replace: bool = False, progress: Progress | None = None, by_rules: bool = False
) -> None:
    """Write a verified copy of the archive at `source` to `target` atomically. `by_rules` is as for `failure.verify`.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: when the source cannot be read, or is damaged.
    :raises ArchiveExists: when there is a file at `target`, unless `replace` is set and it is an archive not in use.
    :raises ArchiveUnavailable: when the copy cannot be written.
    """
    try:
        check_target(source, target, replace=replace)
        if replace and target.exists():
            schema.connect(target).close()
        with temporary_file(target) as built:
            copy(source, built, final=target, progress=progress, by_rules=by_rules)
            publish(built, target, replace=replace)
    except FileExistsError:
        raise ArchiveExists(
            f"{target} exists: give another directory, or replace it (--replace, replace=True)"
        ) from None
    except OSError as error:
        raise ArchiveUnavailable(f"{target}: cannot be written: {error.strerror}") from error


def check_target(source: Path, target: Path, *, replace: bool) -> None:
    """Refuse to replace the source itself, or what is in use or is no file.

    :raises FileExistsError: when there is a file at `target`, unless `replace` is set.
    :raises ArchiveExists: when it cannot be replaced.
    """
    if not os.path.lexists(target):
        return
    if not replace:
        raise FileExistsError
    if schema.file_size(target) is None or target.is_symlink():
        raise ArchiveExists(f"{target} is not a regular file: it is not replaced")
    if schema.file_size(source) is not None and target.samefile(source):
        raise ArchiveExists(f"{target} is the archive itself: give another directory")
    if any(schema.file_size(beside(target, suffix)) for suffix in ("-wal", "-journal")):
        raise ArchiveExists(f"{target} is in use: it is not replaced")


def copy(source: Path, built: Path, *, final: Path, progress: Progress | None = None, by_rules: bool = False) -> None:
    """Copy the archive at `source` into the empty file `built` and verify it. Errors of the copy name `final`.

    An error raised by `progress` stops the copy.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `backup`.
    """
    with schema.OpenArchive(source, is_long=True) as origin:
        origin.execute("BEGIN")
        schema.read_definition(origin, source)
        check_space(final, size_bytes(origin))
        report = reporter(origin, progress)
        with failure.translate_errors(final), closing(Connection(str(built), is_long=True)) as target:
            copy_pages(origin, target, report)
    with failure.translate_errors(final), closing(Connection(str(built), is_long=True)) as target:
        target.set_progress_handler(lambda: report(1), CHECK_STEPS)
        target.pragma("journal_mode", "delete")
        with failure.translate_errors(source):
            failure.verify(target, source, by_rules=by_rules)
    schema.connect(built).close()


def size_bytes(connection: apsw.Connection) -> int:
    """Return the size of a database within the connection's transaction."""
    return int(connection.pragma("page_count") * connection.pragma("page_size"))


def check_space(target: Path, needed_bytes: int) -> None:
    """Check that there is enough free space beside `target`.

    :raises ArchiveUnavailable: when there is not.
    """
    free_bytes = shutil.disk_usage(target.parent).free
    if free_bytes < needed_bytes:
        raise ArchiveUnavailable(
            f"{target}: cannot be written: {format_size(free_bytes)} free ({format_size(needed_bytes)} required)"
        )


def reporter(origin: apsw.Connection, progress: Progress | None) -> Callable[[float], bool]:
    """Return a function that reports the copied share to `progress`, and returns False."""
    of_bytes = size_bytes(origin)

    def report(share: float) -> bool:
        if progress is not None:
            progress(int(share * of_bytes), of_bytes)
        return False

    return report


def copy_pages(origin: apsw.Connection, target: apsw.Connection, report: Callable[[float], bool]) -> None:
    """Copy all pages from one connection to the other, in one transaction each, and report the progress."""
    work = target.backup("main", origin, "main")
    try:
        while not work.done:
            work.step(STEP_PAGES)
            report(1 - work.remaining / max(1, work.page_count))
            check_not_forked(target)
    except BaseException:
        leak(work) if is_forked(target) else work.close(True)
        raise
    work.close()


class Download:
    """A verified copy of the archive at `path` in chunks of CHUNK_BYTES, made when the first chunk is read.

    The copy is an unlinked file beside the archive, so nothing is left of it after a crash. It needs as much space as
    the archive, so each directory allows one download at a time. `close` may be called from any thread.
    """

    def __init__(self, path: Path, *, mark_damage: MarkDamage = nullcontext) -> None:
        self._path = path
        self._mark_damage = mark_damage
        self._lock = threading.Lock()
        self._is_inherited = False
        self._is_closed = False
        self._slot: int | None = None
        self._file: FileIO | None = None
        forks.register(self)

    def after_fork(self) -> None:
        """Release the download in a forked child, which shares the file position with its parent."""
        self._is_inherited = True
        self._lock = threading.Lock()
        self._release()

    def __iter__(self) -> "Download":
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; there is none after `close`.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `backup`, when another download is running, and in
            a process that was forked since this one began.
        """
        if self._is_inherited:
            raise ArchiveUnavailable(f"{self._path}: the download was begun by the parent of this process")
        chunk = self._read()
        if not chunk:
            self.close()
            raise StopIteration
        return chunk

    def _read(self) -> bytes:
        with self._lock:
            if self._is_closed:
                return b""
            try:
                if self._file is None:
                    self._begin()
                assert self._file is not None
                return self._file.read(CHUNK_BYTES)
            except _Closed:
                return b""
            except OSError as error:
                raise ArchiveUnavailable(f"{self._path}: cannot be copied: {error.strerror}") from error

    def _begin(self) -> None:
        self._slot = _take_slot(self._path.parent)
        with temporary_file(self._path) as built:
            with self._mark_damage():
                copy(self._path, built, final=self._path, progress=self._check)
            self._file = FileIO(built)

    def _check(self, _done: int, _total: int) -> None:
        if self._is_closed:
            raise _Closed

    def close(self) -> None:
        """Stop the copy and free its space. Further calls do nothing."""
        self._is_closed = True
        with self._lock:
            if self._slot is not None:
                (self._path.parent / DOWNLOAD_LOCK).unlink(missing_ok=True)
                fcntl.flock(self._slot, fcntl.LOCK_UN)  # A child forked meanwhile may still have it open.
            self._release()

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._slot is not None:
            os.close(self._slot)
            self._slot = None


class _Closed(Exception):
    """Stops a copy after `close`."""


def _take_slot(directory: Path) -> int:
    """Return a descriptor that holds the lock on downloads from a directory until it is closed.

    The lock of the directory itself is for those who publish files: see `temporary`.

    :raises ArchiveUnavailable: when another download holds it.
    """
    path = directory / DOWNLOAD_LOCK
    while True:
        slot = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):  # The download that has just ended removed it.
                if os.path.samestat(os.fstat(slot), path.stat()):
                    return slot
        except BlockingIOError:
            os.close(slot)
            raise ArchiveUnavailable(f"{directory}: another backup is being downloaded: try again later") from None
        os.close(slot)
