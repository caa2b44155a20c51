"""A copy in the place of an archive that is in use.

Its pages are written into the archive's own file, in one transaction like any other, so that whoever has that open sees
what was there or what is, and none of it by halves.
"""

from pathlib import Path

import apsw

from tally.engine import schema
from tally.engine.backup import Progress, copy_pages, reporter
from tally.engine.check import CHECK_STEPS
from tally.errors import ArchiveExists


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
        report = reporter(origin, target, progress)
        origin.set_progress_handler(lambda: report(0), CHECK_STEPS)
        schema.verify(origin, source)
        origin.set_progress_handler(None)
        with schema.translated(target):
            copy_pages(origin, archive, report)
            archive.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
