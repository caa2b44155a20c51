"""Connections that are kept open between small questions. Opening an archive takes longer than answering most of them.

A kept connection reads the file without locks and creates no side files. So an archive that is not in use remains one
file, which other programs may copy, replace or delete. What was read counts only if the file did not change meanwhile:

1. `take` returns a connection only if the file has no log, did not change since it was opened, and not for SETTLED_S.
   Such a file is a consistent state. Commits change it only later, when they copy their log into it.
2. The caller reads, and calls `is_changed` afterwards. A change since the first step has a later time.
3. If the file has changed, or there was an error, the caller reads again by `schema.connect`, in a transaction.

A kept connection also remembers what questions needed before their SELECT. The file of a connection that counts has
never changed, so neither has what was read from it.

SETTLED_S is longer than the steps in which file systems store times, so that a later change has another time.
"""

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from weakref import ref

import apsw

from tally import forks
from tally.engine.asking import digits
from tally.engine.files import schema
from tally.engine.files.connection import ImmutableConnection, Stamp, is_forked, leak, read_stamp
from tally.engine.files.temporary import beside
from tally.errors import TallyError

# Linux stores times in steps of up to 10 ms. Some file systems store whole seconds, or even ones.
SETTLED_S, WHOLE_SECONDS_SETTLED_S = 0.1, 2.5
# The most connections that are kept while nobody uses them, and for how long.
KEPT_MOST, KEPT_S = 8, 2.0
# The pages that a connection keeps. A name's sketches are on a page a bucket, of which SQLite's default keeps 480.
CACHE_KIB = 4_096
# The most results that a connection remembers.
REMEMBERED_MOST = 64
# What reading may raise while the file changes.
ERRORS = (TallyError, apsw.Error, TypeError, ValueError, AssertionError, OverflowError)

Result = TypeVar("Result")


class KeptConnection(ImmutableConnection):
    """A connection to the archive at `path` that can be kept."""

    def __init__(self, path: Path, side_files: tuple[Path, ...]) -> None:
        super().__init__(path, is_long=True)
        self.path = path
        self.side_files = side_files
        self.used_at = 0.0
        self._remembered: dict[Hashable, Any] = {}

    def remember(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """Return what `make` returned for `key` before, or call it. It depends on the key and the file only."""
        found: Result | None = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= REMEMBERED_MOST:
                self._remembered.clear()
            found = self._remembered[key] = make()
        return found


class KeptConnections:
    """The kept connections of a catalog. Thread-safe, and safe across forks."""

    def __init__(self) -> None:
        # The one that was used last is at the end.
        self._idle: list[KeptConnection] = []
        # Closes unused connections, while there are any.
        self._watcher: threading.Thread | None = None
        self._lock = forks.lock()
        forks.register(self)

    def take(self, path: Path) -> KeptConnection | None:
        """Return a connection to the archive at `path`, or None if it has to be opened by `schema.connect`."""
        forks.detect_fork()
        while (connection := self._pop(path)) is not None:
            if is_settled(connection.stamp, connection.side_files, time.time()) and not connection.is_changed():
                connection.resume()
                return connection
            connection.close()
        return _open(path)

    def _pop(self, path: Path) -> KeptConnection | None:
        with self._lock:
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index].path == path:
                    return self._idle.pop(index)
        return None

    def give_back(self, connection: KeptConnection) -> None:
        """Keep a connection on which no statement runs."""
        if is_forked(connection):
            return
        try:
            connection.set_progress_handler(None)
            if connection.in_transaction:
                connection.execute("COMMIT")
        except apsw.Error:  # It has seen damage.
            connection.close()
            return
        connection.used_at = time.monotonic()
        connection.rest()
        with self._lock:
            self._idle.append(connection)
            oldest = self._idle.pop(0) if len(self._idle) > KEPT_MOST else None
            if self._watcher is None or not self._watcher.is_alive():
                self._watcher = threading.Thread(target=_close_unused, args=(ref(self),), daemon=True)
                self._watcher.start()
        if oldest is not None:
            oldest.close()

    def read(self, path: Path, work: Callable[[apsw.Connection], Result]) -> Result | None:
        """Return what `work` reads, which is never None, or None if it has to read by `schema.connect`."""
        connection = self.take(path)
        if connection is None:
            return None
        try:
            result = work(connection)
        except ERRORS:
            result = None
        if result is None or connection.is_changed():
            connection.close()
            return None
        self.give_back(connection)
        return result

    def close_unused(self) -> bool:
        """Close the connections that were not used for KEPT_S, and return whether any are left."""
        before = time.monotonic() - KEPT_S
        with self._lock:
            unused = [each for each in self._idle if each.used_at <= before]
            self._idle = [each for each in self._idle if each.used_at > before]
            if not self._idle:
                self._watcher = None
            is_watched = self._watcher is not None
        for connection in unused:
            connection.close()
        return is_watched

    def close(self) -> None:
        """Close all connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def after_fork(self) -> None:
        """Close the inherited connections, which hold no locks."""
        idle, self._idle = self._idle, []
        for connection in idle:
            if forks.has_interrupted_work():
                leak(connection)  # A lock of SQLite's may be held for ever.
            else:
                connection.close()


def _open(path: Path) -> KeptConnection | None:
    real_path = Path(os.path.realpath(path))
    side_files = tuple(beside(real_path, suffix) for suffix in ("-wal", "-journal"))
    if not is_settled(read_stamp(path), side_files, time.time()):
        return None
    connection = None
    try:
        connection = KeptConnection(path, side_files)
        schema.check_format(connection, path)
        connection.pragma("cache_size", -CACHE_KIB)
        digits.register(connection)
        if is_settled(connection.stamp, side_files, time.time()) and not connection.is_changed():
            return connection
    except ERRORS:
        pass
    if connection is not None:
        connection.close()
    return None


def is_settled(stamp: Stamp | None, side_files: Iterable[Path], now: float) -> bool:
    """Return whether a file has a consistent state, and has had it for so long that a change would be noticed."""
    if stamp is None or any(map(_has_content, side_files)):
        return False
    times = (stamp.written_ns, stamp.changed_ns)
    is_coarse = any(time_ns % 1_000_000_000 == 0 for time_ns in times)
    return now - max(times) / 1e9 > (WHOLE_SECONDS_SETTLED_S if is_coarse else SETTLED_S)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _close_unused(connections: "ref[KeptConnections]") -> None:
    """Close unused connections until none is left."""
    while True:
        time.sleep(KEPT_S / 2)
        found = connections()
        if found is None or not found.close_unused():
            return
        del found
