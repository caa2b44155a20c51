"""Connections to a cluster that are used again, each by one thread at a time."""

import os
import weakref

from tally import forks
from tally.cluster.address import Address
from tally.cluster.connection import ANSWER_TIMEOUT_S, Connection

# Idle connections that are kept open.
KEPT = 4


class Pool:
    """The connections to the cluster at `address`. Thread-safe. A forked child opens its own."""

    def __init__(self, address: Address, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self.address = address
        self._answer_timeout_s = answer_timeout_s
        self._lock = forks.lock()
        self._begin()
        self.release(self._connect())

    def _begin(self) -> None:
        self._process = os.getpid()
        self._idle: list[Connection] = []
        weakref.finalize(self, _close, self._idle, self._process)

    def _connect(self) -> Connection:
        return Connection(self.address, answer_timeout_s=self._answer_timeout_s)

    def take(self) -> Connection:
        """Return a connection, which may have been closed by the server; it then opens again."""
        with self._lock:
            if self._process != os.getpid():
                self._begin()  # The parent uses the other connections.
            return self._idle.pop() if self._idle else self._connect()

    def release(self, connection: Connection) -> None:
        """Keep a connection for the next one who takes one, or close it."""
        with self._lock:
            if len(self._idle) < KEPT:
                self._idle.append(connection)
                return
        connection.close()


def _close(connections: list[Connection], process: int) -> None:
    if process == os.getpid():
        for each in connections:
            each.close()
