"""Lets only the collectors of one data directory share a UDP port.

    TALLY_DATA_DIR/port-<number>.lock      an empty file, locked with flock(2) by each collector that shares the port

Once a port is shared, the kernel lets any process of the same user join, and gives it some of the senders. So a
collector that finds its port in use joins only if the lock shows that a collector of the same data directory holds it:
then both write to the same archives, as during a restart. The kernel releases the lock when a process ends.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class PortLock:
    """A shared lock for `port`, held inside a `with` block."""

    def __init__(self, directory: Path, port: int) -> None:
        self._path = directory / f"port-{port}.lock"
        self._descriptor = -1

    def is_held(self) -> bool:
        """Return whether a collector of the directory holds the lock."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            return not _is_ours_alone(descriptor)
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        """Take the lock. If the file cannot be locked, other collectors cannot join; nothing else depends on it."""
        while self._descriptor < 0:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except OSError:
                break
            if _is_locked(descriptor) and not self._is_current(descriptor):
                os.close(descriptor)  # The last holder has just removed it.
                continue
            self._descriptor = descriptor
        return self

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.lstat())
        except FileNotFoundError:
            return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Release the lock; the last holder removes the file."""
        if self._descriptor < 0:
            return
        if _is_ours_alone(self._descriptor):
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:  # The file system does not support these locks.
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
