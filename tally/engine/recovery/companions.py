"""Copies the files of a data directory that are not archives: databases, such as the events, and files of text.

A copy is made beside its place, verified, and then gets its name. A database in use is replaced in one transaction.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from stat import S_IMODE

import apsw

from tally.engine.files import failure, schema
from tally.engine.files.connection import Connection
from tally.engine.files.database import Database
from tally.engine.files.temporary import publish, temporary_file
from tally.engine.recovery.backup import check_space, check_target, copy_pages, size_bytes
from tally.errors import ArchiveDamaged, ArchiveExists, ArchiveUnavailable


def back_up_database(database: Database, target: Path, *, replace: bool = False) -> None:
    """Write a verified copy of a database to `target`, even while it is written.

    :raises ArchiveExists: when there is a file at `target`, unless `replace` is set and it is a database of the same
        kind that is not in use.
    :raises ArchiveUnavailable: when the database is damaged or cannot be read, or the copy cannot be written.
    """
    with _publishing(database.path, target, replace=replace) as built:
        if replace and target.exists():
            with database.at(target).open(write=False):
                pass
        with (
            _reading(database) as origin,
            failure.translate_errors(target),
            closing(Connection(str(built))) as copied,
        ):
            check_space(target, size_bytes(origin))
            copy_pages(origin, copied, _report_nothing)
            copied.pragma("journal_mode", "delete")


def restore_database(database: Database, copy: Path, *, replace: bool = False) -> None:
    """Restore a database from a copy. With `replace`, replace the content of one that is there, even in use.

    :raises ArchiveExists: when the database exists and `replace` is false.
    :raises ArchiveUnavailable: when the copy is damaged, of another kind or cannot be read, or the database cannot be
        written; then nothing has changed.
    """
    source = database.at(copy)
    if not (replace and database.exists()):
        back_up_database(source, database.path)
        return
    if copy.samefile(database.path):
        raise ArchiveExists(f"{copy} is the file itself: give a copy")
    with _reading(source) as origin, database.open() as target:
        check_space(database.path, size_bytes(origin))
        copy_pages(origin, target, _report_nothing)
        schema.checkpoint(target)


@contextmanager
def _reading(database: Database) -> Iterator[apsw.Connection]:
    """Open a database for reading within one transaction, and check its integrity."""
    with database.open(write=False) as origin:
        origin.execute("BEGIN")
        if found := failure.check_integrity(origin):
            raise ArchiveDamaged(database.path, found[0])
        yield origin


def copy_text(source: Path, target: Path, *, replace: bool = False) -> None:
    """Copy a file of text with its permissions.

    :raises ArchiveExists: when there is a file at `target`, unless `replace` is set.
    :raises ArchiveUnavailable: when it cannot be read or written.
    """
    with _publishing(source, target, replace=replace) as built:
        shutil.copyfile(source, built)
        built.chmod(S_IMODE(source.stat().st_mode))


@contextmanager
def _publishing(source: Path, target: Path, *, replace: bool) -> Iterator[Path]:
    """Yield a temporary file that becomes `target` after the block."""
    try:
        check_target(source, target, replace=replace)
        with temporary_file(target) as built:
            yield built
            publish(built, target, replace=replace)
    except FileExistsError:
        raise ArchiveExists(f"{target} exists: replace it (--replace, replace=True)") from None
    except OSError as error:
        raise ArchiveUnavailable(f"{target}: cannot be written: {error.strerror}") from error


def _report_nothing(_share: float) -> bool:
    return False
