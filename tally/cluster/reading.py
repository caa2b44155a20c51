"""Runs the statements of one question in a cluster, within limits of time and memory, and stops them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

from tally import forks
from tally.cluster.cluster import Cluster
from tally.cluster.connection import TOO_LONG, Connection, Rows
from tally.cluster.pool import Pool
from tally.cluster.shared import SharedArchive, share_archives
from tally.cluster.sql import Statement
from tally.errors import ClusterUnavailable, QueryTimeout

# A statement that needs more fails. From half of it on, groups and rows to sort are kept on the server's disk.
MEMORY_MAX_BYTES = 2 * 2**30
STOPPED = "the question was stopped"


class Reading:
    """Runs statements one after the other. Any thread may close it, which ends the statement that runs.

    Every method raises ClusterUnavailable if the cluster cannot be used, and QueryTimeout if the time is over, the
    statement needs too much memory, or the reading was closed.
    """

    def __init__(self, pool: Pool, *, timeout_s: float | None = None) -> None:
        self._pool = pool
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._lock = forks.lock()
        self._connection: Connection | None = None
        self._is_closed = False

    def stream(self, statement: Statement) -> Iterator[Rows]:
        """Yield the rows of a statement in batches."""
        text = statement.text.format(database=self._pool.address.database)
        with self._connected() as connection:
            for rows in connection.stream(text, statement.parameters, **self._limits()):
                self._left_s()
                yield rows

    def read(self, statement: Statement) -> Rows:
        """Return all rows of a statement."""
        return [row for rows in self.stream(statement) for row in rows]

    def read_size_bytes(self, slug: str) -> int:
        """Return the size of an archive on one replica of each shard."""
        with self._connected() as connection:
            return Cluster(self._pool.address, connection).read_size_bytes(slug)

    def read_shared(self) -> dict[str, SharedArchive]:
        """Return the archives of all sources by slug."""
        with self._connected() as connection:
            return share_archives(Cluster(self._pool.address, connection).read_archives())

    def close(self) -> None:
        """Stop. Further calls do nothing."""
        with self._lock:
            self._is_closed = True
            if self._connection is not None:
                self._connection.interrupt()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        connection = self._pool.take()
        try:
            with self._lock:
                self._check_open()
                self._connection = connection
            yield connection
        except ClusterUnavailable:
            self._check_open()
            raise
        finally:
            with self._lock:
                self._connection = None
            self._pool.release(connection)

    def _check_open(self) -> None:
        if self._is_closed:
            raise QueryTimeout(STOPPED)

    def _left_s(self) -> float | None:
        left_s = None if self._deadline is None else self._deadline - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise QueryTimeout(TOO_LONG)
        return left_s

    def _limits(self) -> dict[str, Any]:
        """Return the settings of ClickHouse for a statement."""
        left_s = self._left_s()
        half = MEMORY_MAX_BYTES // 2
        return {
            "max_memory_usage": MEMORY_MAX_BYTES,
            "max_bytes_before_external_group_by": half,
            "max_bytes_before_external_sort": half,
            **({} if left_s is None else {"max_execution_time": ceil(left_s)}),
        }
