"""Forked children, each of which has to end by itself within LIMIT_S."""

import os
import signal
import sys
import time
from collections.abc import Callable

LIMIT_S = 20.0
HUNG = -1
# The status of a child that was forked while another thread's commit went on for longer than a fork waits.
REFUSED = 3
# What daemons close, and what takes the numbers then.
DESCRIPTORS = 1024
FILES = 30


# With more at once, one waits longer for the others' commits than SQLite has patience.
AT_ONCE = 4


class Children:
    """The children of this process, AT_ONCE of them at once."""

    def __init__(self) -> None:
        self._running: list[tuple[int, float]] = []
        self._statuses: list[int] = []

    def fork(self, work: Callable[[], object]) -> None:
        """Start a child that does `work` and exits with 0, or with 1 when that raises anything but SystemExit."""
        process = os.fork()
        if process == 0:
            status = 1
            try:
                work()
                status = 0
            except SystemExit as ending:
                status = int(ending.code or 0)
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
            finally:
                os._exit(status)
        self.watch(process)

    def watch(self, process: int) -> None:
        """Wait for a child that was started elsewhere as for the others."""
        while len(self._running) >= AT_ONCE:
            self._statuses.append(_status(*self._running.pop(0)))
        self._running.append((process, time.monotonic() + LIMIT_S))

    def statuses(self) -> list[int]:
        """Wait for all children and return their exit statuses, HUNG for one that did not end."""
        self._statuses += [_status(process, deadline) for process, deadline in self._running]
        self._running.clear()
        return self._statuses


def _status(process: int, deadline: float) -> int:
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return HUNG


def close_all(directory: str) -> list[int]:
    """Close all descriptors but the standard ones, as daemons do, and open files in `directory` under their numbers."""
    os.closerange(3, DESCRIPTORS)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    return [os.open(f"{directory}/foreign-{os.getpid()}-{number}", flags) for number in range(FILES)]
