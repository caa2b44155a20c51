"""Marks of damaged archives: whoever finds the damage marks the archive, and every process knows it from then on.

    <slug>.damaged    {"detail": …, "found": unix seconds, "device": …, "inode": …, "bytes": …, "header": hex digits}

It stands beside the archive and is written atomically. It counts only for the file that it was written for: the same
inode, with the same size and the same first HEADER_BYTES bytes. Nothing is written into a damaged archive, so these
stay as they are; a file that is put in its place, or copied over it, has others.
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
from tally.engine.files.temporary import aside, publish
from tally.errors import ArchiveDamaged

logger = logging.getLogger("tally.engine")

SUFFIX = ".damaged"
HEADER_BYTES = 100

# Gives a context that learns of the damage that is raised within.
Noted = Callable[[], AbstractContextManager[None]]


class Damages:
    """Marks the archives of one catalog, and remembers the damage of those that cannot be marked; from any thread."""

    def __init__(self) -> None:
        self._remembered: dict[Path, dict[str, Any]] = {}

    def mark(self, error: ArchiveDamaged) -> None:
        """Mark the archive that is damaged; the log tells it once, with the path."""
        if self.find(error.path) is not None:
            return
        logger.error("%s; nothing is written to it until it is restored, or a check finds it sound", error)
        try:
            mark(error.path, error.detail)
        except OSError:
            with suppress(OSError):
                self._remembered[error.path] = {"detail": error.detail, **_identity(error.path)}

    def find(self, path: Path) -> str | None:
        """Return what was found to be wrong with the archive at `path`, None where nothing is known."""
        known = self._remembered.get(path)
        return find(path) or (str(known["detail"]) if known and _is_of(known, path) else None)

    def clear(self, path: Path) -> None:
        """Forget the damage of the archive at `path`, and remove its mark."""
        self._remembered.pop(path, None)
        clear(path)


def mark_path(path: Path) -> Path:
    """Return the path of the mark of the archive at `path`."""
    return Path(str(path).removesuffix(".db") + SUFFIX)


def mark(path: Path, detail: str) -> None:
    """Mark the archive at `path` as damaged; `detail` says what was found.

    :raises OSError: when the mark cannot be written.
    """
    status = path.stat()
    with aside(mark_path(path)) as built:
        content = {"detail": detail, "found": time.time(), **_identity(path)}
        with built.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(PermissionError):  # So that whoever may use the archive may read its mark.
            os.chown(built, status.st_uid, status.st_gid)
        publish(built, mark_path(path), replace=True)


def find(path: Path) -> str | None:
    """Return what was found to be wrong with the archive at `path`, None where it is not marked.

    A mark that cannot be read counts, until `clear`.
    """
    try:
        content = json.loads(mark_path(path).read_bytes())
        return str(content["detail"]) if _is_of(content, path) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"{mark_path(path)}: cannot be read: {error}"


def clear(path: Path) -> None:
    """Remove the mark of the archive at `path`, if there is one; where that is not possible it stays."""
    with suppress(OSError):
        mark_path(path).unlink()


def header(path: Path) -> bytes:
    """Return the first HEADER_BYTES bytes of a file, fewer where it has no more, none where it cannot be read.

    SQLite reads them: to close a file that was opened otherwise would drop the locks that SQLite holds on it.
    """
    flags = [apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_MAIN_DB, 0]
    try:
        with Opening(), closing(_File("", os.path.realpath(path), flags)) as file:
            return file.xRead(min(HEADER_BYTES, file.xFileSize()), 0)
    except apsw.Error:
        return b""


class _File(apsw.VFSFile):
    """A file as SQLite opens it."""

    def close(self) -> None:
        self.xClose()


def _is_of(content: dict[str, Any], path: Path) -> bool:
    """Return whether a mark with this content is of the file that is there now."""
    return all(content[key] == value for key, value in _identity(path).items())


def _identity(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "device": status.st_dev,
        "inode": status.st_ino,
        "bytes": status.st_size,
        "header": header(path).hex(),
    }
