"""A copy in the place of an archive that is in use.

Its pages are written into the archive's own file, in one transaction like any other, so that whoever has that open sees
what was there or what is, and none of it by halves.
"""

from pathlib import Path

import apsw

from tally.engine import failure, schema
from tally.engine.backup import Progress, check_space, copy_pages, reporter, size_bytes
from tally.engine.check import CHECK_STEPS
from tally.errors import ArchiveExists, ArchiveUnavailable


def restore(source: Path, target: Path, *, progress: Progress | None = None) -> None:
    """Put what the copy at `source` holds in the place of all that the archive at `target` holds, verified.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: when either cannot be used, or the copy is damaged; then
        the archive is as it was.
    :raises ArchiveExists: when they are one file.
    """
    with schema.opened(source) as origin, schema.opened(target, write=True) as archive:
        if source.samefile(target):
            raise ArchiveExists(f"{source} is the archive itself: give a copy")
        origin.execute("BEGIN")
        _check_sizes(origin, archive, target)
        report = reporter(origin, progress)
        with failure.translated(source):
            origin.set_progress_handler(lambda: report(0), CHECK_STEPS)
            failure.verify(origin, source, by_rules=True)
            origin.set_progress_handler(None)
        copy_pages(origin, archive, report)
        schema.settle(archive)


def _check_sizes(origin: apsw.Connection, archive: apsw.Connection, target: Path) -> None:
    """See that pages fit and that there is room: for the log, and for what the file grows by when it is written there.

    :raises ArchiveUnavailable: when they do not, or there is not.
    """
    sizes = [connection.pragma("page_size") for connection in (origin, archive)]
    if sizes[0] != sizes[1]:
        raise ArchiveUnavailable(
            f"{target}: cannot be replaced: its pages have {sizes[1]} bytes, and the copy's {sizes[0]}; "
            "restore under another slug"
        )
    log_bytes = size_bytes(origin)
    check_space(target, log_bytes + max(0, log_bytes - size_bytes(archive)))
