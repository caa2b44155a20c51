"""What stands in a data directory under the names of archives: files, further names of theirs, and other things.

One file is one archive, under one name. Of several names the one that is no symbolic link counts; of several hard
links the one under which the file was created, or else the first. A further name is neither served nor written: it
would count everything twice, and SQLite keeps a log for each hard link, which damages the file that they share.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import apsw

from tally.engine.definition import is_slug
from tally.engine.files import statements
from tally.engine.files.immutable import Frozen
from tally.errors import ArchiveUnavailable, TallyError

SUFFIX = ".db"
KINDS = {
    stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


class Listing(NamedTuple):
    """The slugs of archives, sorted, of further names the slug that counts, and what else stands in a file's place."""

    slugs: list[str]
    further: dict[str, str]
    others: dict[str, str]


class _Entry(NamedTuple):
    slug: str
    is_link: bool
    # None where it cannot be looked at: that is told when it is used.
    status: os.stat_result | None


def read(directory: Path) -> Listing:
    """Return what stands in a directory; nothing where there is none.

    :raises ArchiveUnavailable: when it cannot be read.
    """
    files: dict[object, list[_Entry]] = {}
    others: dict[str, str] = {}
    for entry in _entries(directory):
        if entry.status is None:
            files[entry.slug] = [entry]
        elif stat.S_ISREG(entry.status.st_mode):
            files.setdefault((entry.status.st_dev, entry.status.st_ino), []).append(entry)
        else:
            others[entry.slug] = KINDS.get(stat.S_IFMT(entry.status.st_mode), "a link that leads nowhere")
    chosen = {_chosen(directory, entries): entries for entries in files.values()}
    further = {each.slug: slug for slug, entries in chosen.items() for each in entries if each.slug != slug}
    return Listing(sorted(chosen), dict(sorted(further.items())), dict(sorted(others.items())))


def is_plain(path: Path) -> bool:
    """Return whether a file has no other name than this one, as far as can be seen at once."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _entries(directory: Path) -> Iterator[_Entry]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and is_slug(slug := entry.name.removesuffix(SUFFIX)):
                    yield _Entry(slug, entry.is_symlink(), _status(entry))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ArchiveUnavailable(f"{directory}: cannot be read: {error.strerror}") from error


def _status(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat()
    except FileNotFoundError:
        return entry.stat(follow_symlinks=False) if entry.is_symlink() else None
    except OSError:
        return None


def _chosen(directory: Path, entries: list[_Entry]) -> str:
    """Return which of the names of one file counts."""
    slugs = sorted(entry.slug for entry in entries if not entry.is_link) or sorted(entry.slug for entry in entries)
    if len(slugs) == 1:
        return slugs[0]
    own = _own_slug(directory / f"{slugs[0]}{SUFFIX}")
    return own if own in slugs else slugs[0]


def _own_slug(path: Path) -> object:
    """Return the slug under which an archive was created, where it says so."""
    try:
        # Under a wrong name SQLite would look for a log of that name.
        with closing(Frozen(path)) as connection:
            return connection.execute(statements.META_VALUE, ("slug",)).get
    except (TallyError, apsw.Error):
        return None
