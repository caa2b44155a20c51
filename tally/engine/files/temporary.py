"""Temporary files: a file is built under a temporary name and then renamed, so that nobody sees an incomplete file.

    .<file name>.<16 hex digits>    in the same directory, mode 0600

A temporary file of a killed process is removed when the next one is made, once it is STALE_S old.
"""

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STALE_S = 86_400
# Suffixes of the files that SQLite keeps beside a database in use.
SIDE_FILES = ("-wal", "-shm", "-journal")


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Create an empty file beside `path`, and remove it and its side files at the end, except in a forked child.

    :raises OSError: when it cannot be created.
    """
    _sweep(path)
    maker = os.getpid()
    built = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(built, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield built
    finally:
        if os.getpid() == maker:
            _unlink(built)  # Nobody else has this name, so no lock is needed.


def publish(built: Path, path: Path, *, replace: bool = False) -> None:
    """Move a temporary file durably to `path`.

    :raises FileExistsError: when `path` exists and `replace` is false.
    :raises OSError: when it cannot be moved.
    """
    with _locked(path.parent):
        if not os.path.lexists(path):
            remove_side_files(path)  # SQLite would apply the log of a deleted archive to the new one.
        if replace:
            built.replace(path)
        else:
            os.link(built, path)
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file and its side files, if they exist."""
    with _locked(path.parent):
        _unlink(path)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    remove_side_files(path)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, so that nobody removes the side files of a file that was published meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # A child that was forked meanwhile has the descriptor, too.
        os.close(descriptor)


def remove_side_files(path: Path) -> None:
    """Remove the files that SQLite keeps beside `path`."""
    for suffix in SIDE_FILES:
        beside(path, suffix).unlink(missing_ok=True)


def beside(path: Path, suffix: str) -> Path:
    """Return `path` with `suffix` appended to its name."""
    return path.with_name(path.name + suffix)


def sync_directory(path: Path) -> None:
    """Sync a directory, so that links and unlinks in it survive power loss."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sweep(path: Path) -> None:
    """Remove temporary files older than STALE_S, for `path` or any archive beside it."""
    built = re.compile(rf"\.({re.escape(path.name)}|[a-z0-9_-]+\.db)\.[0-9a-f]{{16}}({'|'.join(SIDE_FILES)})?")
    for found in filter(lambda each: built.fullmatch(each.name), path.parent.iterdir()):
        with suppress(FileNotFoundError):  # Another process may remove its own at any time.
            if found.lstat().st_mtime < time.time() - STALE_S:
                found.unlink()
