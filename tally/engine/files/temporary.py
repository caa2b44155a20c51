"""Files that are built aside and then take their name, so that nobody sees half of one.

    .<file name>.<16 hex digits>    beside the name that it is to take, mode 0600

What a process that was killed has left of one is swept away with the next, once it is STALE_S old.
"""

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STALE_S = 86_400
# What SQLite keeps beside a file while it is in use.
SIDE_FILES = ("-wal", "-shm", "-journal")


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a new, empty file beside `path`, and remove it in the end with what SQLite keeps beside it.

    Where the process is forked meanwhile, the file is the parent's.

    :raises OSError: when it cannot be made.
    """
    _sweep(path)
    maker = os.getpid()
    built = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(built, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield built
    finally:
        if os.getpid() == maker:
            remove(built)


def publish(built: Path, path: Path, *, replace: bool = False) -> None:
    """Give a file that was built aside its name, durably.

    :raises FileExistsError: when something has that name, and is not to be replaced.
    :raises OSError: when it cannot be done.
    """
    if not os.path.lexists(path):
        remove_side_files(path)  # The log of an archive that is gone would be taken for the new one's.
    if replace:
        built.replace(path)
    else:
        os.link(built, path)
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file, if it is there, and what SQLite keeps beside it."""
    path.unlink(missing_ok=True)
    remove_side_files(path)


def remove_side_files(path: Path) -> None:
    """Remove what SQLite keeps beside a file."""
    for suffix in SIDE_FILES:
        beside(path, suffix).unlink(missing_ok=True)


def beside(path: Path, suffix: str) -> Path:
    """Return the path of the file whose name is that of `path` with a suffix."""
    return path.with_name(path.name + suffix)


def sync_directory(path: Path) -> None:
    """Make what was linked or unlinked in a directory survive power loss."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sweep(path: Path) -> None:
    """Remove what was built aside, for `path` or any archive beside it, so long ago that nobody can be at it."""
    built = re.compile(rf"\.({re.escape(path.name)}|[a-z0-9_-]+\.db)\.[0-9a-f]{{16}}({'|'.join(SIDE_FILES)})?")
    for found in filter(lambda each: built.fullmatch(each.name), path.parent.iterdir()):
        with suppress(FileNotFoundError):  # Others are at work beside it, and done with theirs at any moment.
            if found.lstat().st_mtime < time.time() - STALE_S:
                found.unlink()
