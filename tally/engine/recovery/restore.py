"""Restores an archive from a copy while the archive is in use.

The pages of the copy are written into the archive's file in one transaction, so every reader sees the old or the new
content. A file that is too damaged to be opened is replaced as a whole.
"""

import os
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE

import apsw

from tally.engine.files import failure, schema
from tally.engine.files.temporary import publish, remove_side_files, temporary_file
from tally.engine.recovery.backup import Progress, check_space, copy, copy_pages, reporter, size_bytes
from tally.engine.recovery.check import CHECK_STEPS
from tally.errors import ArchiveDamaged, ArchiveExists, ArchiveUnavailable


def restore(source: Path, target: Path, *, progress: Progress | None = None) -> None:
    """Replace the content of the archive at `target` by that of the copy at `source`, after verifying it.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: when either cannot be used, or the copy is damaged; the
        archive is unchanged.
    :raises ArchiveExists: when both are the same file.
    """
    try:
        schema.connect(target, write=True).close()
    except ArchiveDamaged:
        _replace(source, target, progress)
    else:
        _write(source, target, progress)


def _replace(source: Path, target: Path, progress: Progress | None) -> None:
    """Replace a file that cannot be opened as an archive, keeping its owner and permissions."""
    try:
        status = target.stat()
        with temporary_file(target) as built:
            copy(source, built, final=target, progress=progress, by_rules=True)
            with suppress(PermissionError):
                os.chown(built, status.st_uid, status.st_gid)
            built.chmod(S_IMODE(status.st_mode))
            # SQLite would apply the damaged file's log to the copy. Nobody can open the file and write a new one.
            remove_side_files(target)
            publish(built, target, replace=True)
    except OSError as error:
        raise ArchiveUnavailable(f"{target}: cannot be replaced: {error.strerror}") from error


def _write(source: Path, target: Path, progress: Progress | None) -> None:
    with (
        schema.OpenArchive(source, is_long=True) as origin,
        schema.OpenArchive(target, write=True, is_long=True) as archive,
    ):
        if source.samefile(target):
            raise ArchiveExists(f"{source} is the archive itself: give a copy")
        origin.execute("BEGIN")
        _check_sizes(origin, archive, target)
        report = reporter(origin, progress)
        with failure.translate_errors(source):
            origin.set_progress_handler(lambda: report(0), CHECK_STEPS)
            failure.verify(origin, source, by_rules=True)
            origin.set_progress_handler(None)
        copy_pages(origin, archive, report)
        schema.checkpoint(archive)


def _check_sizes(origin: apsw.Connection, archive: apsw.Connection, target: Path) -> None:
    """Check that page sizes match, and that there is space for the log and the growth of the file.

    :raises ArchiveUnavailable: when they do not match, or there is not.
    """
    sizes = [connection.pragma("page_size") for connection in (origin, archive)]
    if sizes[0] != sizes[1]:
        raise ArchiveUnavailable(
            f"{target}: cannot be replaced: its pages have {sizes[1]} bytes, and the copy's {sizes[0]}; "
            "restore under another slug"
        )
    log_bytes = size_bytes(origin)
    check_space(target, log_bytes + max(0, log_bytes - size_bytes(archive)))
