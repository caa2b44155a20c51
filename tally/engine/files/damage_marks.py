"""Marks damaged archives, so that every process knows about damage that one of them found.

    <slug>.damaged    {"detail": …, "found": unix seconds, "device": …, "inode": …, "bytes": …, "header": hex digits}

The mark is written atomically beside the archive. It applies only to the file that it was written for, identified by
device, inode, size and its first HEADER_BYTES bytes. A damaged archive is not written to, so these stay the same; a
file that replaces it, or is copied over it, differs.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any

import apsw

from tally.engine.files.connection import Opening
from tally.engine.files.temporary import publish, temporary_file
from tally.errors import ArchiveDamaged

logger = logging.getLogger("tally.engine")

SUFFIX = ".damaged"
HEADER_BYTES = 100

# Returns a context manager that marks the archive if ArchiveDamaged is raised in it.
MarkDamage = Callable[[], AbstractContextManager[None]]


class DamageMarks:
    """Marks the archives of a catalog, and remembers the damage of those that cannot be marked. Thread-safe."""

    def __init__(self) -> None:
        self._remembered: dict[Path, dict[str, Any]] = {}

    def mark(self, error: ArchiveDamaged) -> None:
        """Mark the damaged archive and log the error, unless it is marked already."""
        if self.find(error.path) is not None:
            return
        logger.error("%s; nothing is written to it until it is restored, or a check finds it sound", error)
        try:
            mark(error.path, error.detail)
        except OSError:
            with suppress(OSError):
                self._remembered[error.path] = {"detail": error.detail, **_identity(error.path)}

    def find(self, path: Path) -> str | None:
        """Return the known damage of the archive at `path`, or None."""
        known = self._remembered.get(path)
        return find(path) or (str(known["detail"]) if known and _is_of(known, path) else None)

    def clear(self, path: Path) -> None:
        """Remove the mark of the archive at `path`."""
        self._remembered.pop(path, None)
        clear(path)


def mark_path(path: Path) -> Path:
    """Return the path of the mark of the archive at `path`."""
    return Path(str(path).removesuffix(".db") + SUFFIX)


def mark(path: Path, detail: str) -> None:
    """Mark the archive at `path` as damaged; `detail` describes the damage.

    :raises OSError: when the mark cannot be written.
    """
    status = path.stat()
    with temporary_file(mark_path(path)) as built:
        content = {"detail": detail, "found": time.time(), **_identity(path)}
        with built.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(PermissionError):  # Whoever may read the archive may read its mark.
            os.chown(built, status.st_uid, status.st_gid)
        publish(built, mark_path(path), replace=True)


def find(path: Path) -> str | None:
    """Return the damage in the mark of the archive at `path`, or None. A mark that cannot be read counts as damage."""
    try:
        content = json.loads(mark_path(path).read_bytes())
        return str(content["detail"]) if _is_of(content, path) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"{mark_path(path)}: cannot be read: {error}"


def clear(path: Path) -> None:
    """Remove the mark of the archive at `path`, if possible."""
    with suppress(OSError):
        mark_path(path).unlink()


def header(path: Path) -> bytes:
    """Return the first HEADER_BYTES bytes of a file, or as many as it has; empty if it cannot be read.

    SQLite reads them, because closing a file opened in another way would drop the locks that SQLite holds on it.
    """
    flags = [apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_MAIN_DB, 0]
    try:
        with Opening(), closing(_File("", os.path.realpath(path), flags)) as file:
            return file.xRead(min(HEADER_BYTES, file.xFileSize()), 0)
    except apsw.Error:
        return b""


class _File(apsw.VFSFile):
    """A file opened by SQLite."""

    def close(self) -> None:
        self.xClose()


def _is_of(content: dict[str, Any], path: Path) -> bool:
    """Return whether a mark with this content applies to the current file."""
    return all(content[key] == value for key, value in _identity(path).items())


def _identity(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "device": status.st_dev,
        "inode": status.st_ino,
        "bytes": status.st_size,
        "header": header(path).hex(),
    }
