"""The identity of a data directory in a cluster, and the lock of its replicator.

    TALLY_DATA_DIR/cluster.json     {"identity": "32 hexadecimal digits", "inode": 1234}

A copied directory has a copy of the file, whose inode is another one. It is refused: if both replicated under one name,
each would overwrite what the other one has. The process that replicates holds a lock on the file.
"""

import fcntl
import json
import os
import secrets
from pathlib import Path
from types import TracebackType

from tally.engine.files.temporary import publish, temporary_file
from tally.errors import ArchiveUnavailable, ClusterRefused

FILE = "cluster.json"


class Identity:
    """Holds the lock of the data directory within a `with` block. `text` is its identity."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self.text = ""
        self._descriptor = -1

    def __enter__(self) -> "Identity":
        try:
            if not self.path.exists():
                self._create()
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise ArchiveUnavailable(f"{self.path}: cannot be used now: {error.strerror}") from error
        try:
            self._lock()
            self.text = self._read()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, _type: type | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        os.close(self._descriptor)

    def _create(self) -> None:
        try:
            with temporary_file(self.path) as built:
                built.touch()
                content = {"identity": secrets.token_hex(16), "inode": built.stat().st_ino}
                built.write_text(json.dumps(content), encoding="utf-8")
                publish(built, self.path)
        except FileExistsError:
            pass  # Another process created it first.

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ArchiveUnavailable(f"{self.path.parent}: another process replicates it already") from None

    def _read(self) -> str:
        try:
            identity, inode = _parse(os.pread(self._descriptor, 4096, 0))
        except (ValueError, KeyError, TypeError):
            raise ClusterRefused(f"{self.path}: is damaged: restore it from a backup") from None
        if inode != os.fstat(self._descriptor).st_ino:
            raise ClusterRefused(
                f"{self.path.parent}: is a copy of a directory that is replicated. To replicate it as a new source, "
                f"delete {FILE} in it and choose another TALLY_SOURCE. If it has taken the place of the other one, use "
                "`tally replicate --moved`"
            )
        return identity


def _parse(content: bytes) -> tuple[str, int]:
    fields = json.loads(content)
    return str(fields["identity"]), int(fields["inode"])


def read_identity(directory: Path) -> str | None:
    """Return the identity of a data directory: empty if it has none yet, None if it is a copy or cannot be read."""
    path = directory / FILE
    try:
        identity, inode = _parse(path.read_bytes())
        return identity if inode == path.stat().st_ino else None
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        return None


def accept_move(directory: Path) -> None:
    """Accept that the directory was moved or restored, and replaces the one that it is a copy of.

    :raises ArchiveUnavailable: when the file is missing or cannot be written.
    """
    path = directory / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["inode"] = path.stat().st_ino
        path.write_text(json.dumps(content), encoding="utf-8")
    except (OSError, ValueError, TypeError) as error:
        raise ArchiveUnavailable(f"{path}: cannot be used now: {error}") from error
