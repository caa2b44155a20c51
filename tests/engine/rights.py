"""Directories that cannot be written, also where the tests run as a user who may do anything."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534


@contextmanager
def open_directory() -> Iterator[Path]:
    """Give a directory that every user may reach and write."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o777)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def unprivileged(path: Path, mode: int) -> Iterator[None]:
    """Give a file or directory this mode, and be a user for whom it counts, meanwhile."""
    before = path.stat().st_mode
    path.chmod(mode)
    is_root = os.geteuid() == 0
    if is_root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        path.chmod(before)
