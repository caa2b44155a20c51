"""Lists the archives of a data directory.

Each file is one archive under one name. If a file has several names, a name that is no symbolic link is chosen; of
several hard links, the name under which the file was created, or else the first. The other names are aliases, which are
neither served nor written: samples would count twice, and SQLite would keep one log per hard link and damage the file.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import apsw

from tally.engine.definition import AUTO, is_slug
from tally.engine.files import statements
from tally.engine.files.connection import ImmutableConnection
from tally.errors import ArchiveUnavailable, TallyError

SUFFIX = ".db"
KINDS = {
    stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


class Listing(NamedTuple):
    """The archives' slugs, sorted; the archive of each alias; and the kind of each entry that is not a file.

    `has_auto` tells whether there is an entry whose name is reserved for `auto`. It is not served.
    """

    slugs: list[str]
    aliases: dict[str, str]
    others: dict[str, str]
    has_auto: bool = False


class _Entry(NamedTuple):
    slug: str
    is_link: bool
    # None if it cannot be read: the error is reported when the archive is used.
    status: os.stat_result | None


def read(directory: Path) -> Listing:
    """List a directory; the listing of a missing one is empty.

    :raises ArchiveUnavailable: when it cannot be read.
    """
    files: dict[object, list[_Entry]] = {}
    others: dict[str, str] = {}
    has_auto = False
    for entry in _entries(directory):
        if entry.slug == AUTO:
            has_auto = True
        elif entry.status is None:
            files[entry.slug] = [entry]
        elif stat.S_ISREG(entry.status.st_mode):
            files.setdefault((entry.status.st_dev, entry.status.st_ino), []).append(entry)
        else:
            others[entry.slug] = KINDS.get(stat.S_IFMT(entry.status.st_mode), "a broken link")
    chosen = {_choose(directory, entries): entries for entries in files.values()}
    aliases = {each.slug: slug for slug, entries in chosen.items() for each in entries if each.slug != slug}
    return Listing(sorted(chosen), dict(sorted(aliases.items())), dict(sorted(others.items())), has_auto)


def is_plain(path: Path) -> bool:
    """Return whether `path` is a file without other names, which a single `lstat` can show."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _entries(directory: Path) -> Iterator[_Entry]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                slug = entry.name.removesuffix(SUFFIX)
                if entry.name.endswith(SUFFIX) and (is_slug(slug) or slug == AUTO):
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


def _choose(directory: Path, entries: list[_Entry]) -> str:
    """Choose the slug of a file from its names."""
    slugs = sorted(entry.slug for entry in entries if not entry.is_link) or sorted(entry.slug for entry in entries)
    if len(slugs) == 1:
        return slugs[0]
    own = _read_slug(directory / f"{slugs[0]}{SUFFIX}")
    return own if own in slugs else slugs[0]


def _read_slug(path: Path) -> object:
    """Return the slug that an archive was created with, if its file has it."""
    try:
        # A normal connection would look for a log under this name, which may be the wrong one.
        with closing(ImmutableConnection(path)) as connection:
            return connection.execute(statements.META_VALUE, ("slug",)).get
    except (TallyError, apsw.Error):
        return None
