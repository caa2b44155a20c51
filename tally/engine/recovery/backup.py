"""Copies of an archive that are right at any moment, whoever writes it meanwhile.

All pages are copied as of one moment, within a read transaction, so that a commit that comes meanwhile neither shows
nor makes the work begin anew. The copy is then put into DELETE journal mode, in which it needs no second file and so
opens in read-only places too, and is checked by SQLite page by page before anybody gets to see it. The first commit to
it, where it has become an archive again, turns it back to WAL.
"""

import fcntl
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import closing, nullcontext
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
CHUNK_BYTES = 256 * 1024

# Called with the bytes that are copied and those that there are.
Progress = Callable[[int, int], None]


def backup(
    source: Path, target: Path, *, replace: bool = False, progress: Progress | None = None, by_rules: bool = False
) -> None:
    """Write a verified copy of the archive at `source` to `target`, whole or not at all.

    `by_rules` is as for `failure.verify`: without, what breaks the writer's own rules is copied as it is.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: when the source cannot be read, or is damaged.
    :raises ArchiveExists: when there is a file at `target`, unless `replace` is set and it is an archive not in use.
    :raises ArchiveUnavailable: when the copy cannot be written.
    """
    try:
        _check_target(source, target, replace=replace)
        with temporary_file(target) as built:
            copy(source, built, told_as=target, progress=progress, by_rules=by_rules)
            publish(built, target, replace=replace)
    except FileExistsError:
        raise ArchiveExists(
            f"{target} exists: give another directory, or replace it (--replace, replace=True)"
        ) from None
    except OSError as error:
        raise ArchiveUnavailable(f"{target}: cannot be written: {error.strerror}") from error


def _check_target(source: Path, target: Path, *, replace: bool) -> None:
    """Refuse, before there is work, what must not be replaced: the archive itself, another one in use, other files."""
    if not os.path.lexists(target):
        return
    if not replace:
        raise FileExistsError
    if schema.file_size(target) is None or target.is_symlink():
        raise ArchiveExists(f"{target} is no plain file: it is not replaced")
    if schema.file_size(source) is not None and target.samefile(source):
        raise ArchiveExists(f"{target} is the archive itself: give another directory")
    if any(schema.file_size(beside(target, suffix)) for suffix in ("-wal", "-journal")):
        raise ArchiveExists(f"{target} is in use: it is not replaced")
    schema.connect(target).close()


def copy(source: Path, built: Path, *, told_as: Path, progress: Progress | None = None, by_rules: bool = False) -> None:
    """Copy the archive at `source` into the empty file `built`, and verify it; errors tell of the file `told_as`.

    What `progress` raises ends the work.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `backup`.
    """
    with schema.open_archive(source, is_long=True) as origin:
        origin.execute("BEGIN")
        schema.read_definition(origin, source)
        check_space(told_as, size_bytes(origin))
        report = reporter(origin, progress)
        with failure.translate_errors(told_as), closing(Connection(str(built), is_long=True)) as target:
            copy_pages(origin, target, report)
    with failure.translate_errors(told_as), closing(Connection(str(built), is_long=True)) as target:
        target.set_progress_handler(lambda: report(1), CHECK_STEPS)
        target.pragma("journal_mode", "delete")
        with failure.translate_errors(source):
            failure.verify(target, source, by_rules=by_rules)
    schema.connect(built).close()


def size_bytes(connection: apsw.Connection) -> int:
    """Return the size of a database as of the connection's transaction."""
    return int(connection.pragma("page_count") * connection.pragma("page_size"))


def check_space(target: Path, needed_bytes: int) -> None:
    """See that there is room beside `target`.

    :raises ArchiveUnavailable: when there is not.
    """
    free_bytes = shutil.disk_usage(target.parent).free
    if free_bytes < needed_bytes:
        raise ArchiveUnavailable(
            f"{target}: cannot be written: {format_size(free_bytes)} free ({format_size(needed_bytes)} required)"
        )


def reporter(origin: apsw.Connection, progress: Progress | None) -> Callable[[float], bool]:
    """Return what tells `progress` which share of a copy is done, and returns False."""
    of_bytes = size_bytes(origin)

    def report(share: float) -> bool:
        if progress is not None:
            progress(int(share * of_bytes), of_bytes)
        return False

    return report


def copy_pages(origin: apsw.Connection, target: apsw.Connection, report: Callable[[float], bool]) -> None:
    """Copy all pages from one connection to the other, in one transaction of either, and report how far it is."""
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
    """A verified copy of the archive at `path`, as chunks of CHUNK_BYTES; it is made when the first one is asked for.

    The copy lies beside the archive under no name, so that nothing is left of it. It takes as much space as the
    archive, so there is one at a time in a directory. `close` may come from any thread.
    """

    def __init__(self, path: Path, *, mark_damage: MarkDamage = nullcontext) -> None:
        self._path = path
        self._mark_damage = mark_damage
        self._lock = threading.Lock()
        self._is_inherited = False
        self._is_closed = False
        self._turn: int | None = None
        self._file: FileIO | None = None
        forks.join(self)

    def after_fork(self) -> None:
        """Leave the download to the parent, which reads from the same place of the same file."""
        self._is_inherited = True
        self._lock = threading.Lock()
        self._let_go()

    def __iter__(self) -> "Download":
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; after `close` there is none.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `backup`, when another download is under way, and
            in a process that was forked since this one began.
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
        self._turn = _take_turn(self._path.parent)
        with temporary_file(self._path) as built:
            with self._mark_damage():
                copy(self._path, built, told_as=self._path, progress=self._check)
            self._file = FileIO(built)

    def _check(self, _done: int, _total: int) -> None:
        if self._is_closed:
            raise _Closed

    def close(self) -> None:
        """Stop copying, and give the space back; further calls do nothing."""
        self._is_closed = True
        with self._lock:
            if self._turn is not None:
                fcntl.flock(self._turn, fcntl.LOCK_UN)  # A child that was forked meanwhile may have it open still.
            self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None


class _Closed(Exception):
    """Raised where a copy is being made that nobody wants any more."""


def _take_turn(directory: Path) -> int:
    """Return a descriptor that holds the lock on downloads from a directory until it is closed.

    :raises ArchiveUnavailable: when another one holds it.
    """
    turn = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(turn)
        raise ArchiveUnavailable(f"{directory}: another backup is being downloaded: try again later") from None
    return turn
