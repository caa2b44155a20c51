"""Who shares a UDP port: the collectors of one data directory, and nobody else.

    TALLY_DATA_DIR/port-<number>.lock      empty, and locked by flock(2) by each collector that shares the port

Where a port is shared at all, the kernel lets any process of the same user share it, and gives it some of the senders.
So a collector that finds its port in use checks whether those that have it are of its own data directory: then what
both take meets in the same archives, as while one service takes over from another. The kernel releases the lock of a
process that ends, however it ends.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class Share:
    """A collector's share in `port`, for as long as the context lasts."""

    def __init__(self, directory: Path, port: int) -> None:
        self._path = directory / f"port-{port}.lock"
        self._descriptor = -1

    def is_held(self) -> bool:
        """Return whether some collector of the directory shares the port."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            return not _is_ours_alone(descriptor)
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        """Hold it; where the file cannot be locked others cannot join, and nothing else is wrong."""
        while self._descriptor < 0:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except OSError:
                break
            if _is_locked(descriptor) and not self._is_current(descriptor):
                os.close(descriptor)  # The last one removed it just now.
                continue
            self._descriptor = descriptor
        return self

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.lstat())
        except FileNotFoundError:
            return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Give it up; the last one removes the file."""
        if self._descriptor < 0:
            return
        if _is_ours_alone(self._descriptor):
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:  # This file system has no such locks.
        return False
    return True


def _is_ours_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
