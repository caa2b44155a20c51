"""Runs the SELECTs of a question on a connection, which another thread may close, within a time limit."""

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar
from weakref import ref

import apsw

from tally import forks
from tally.engine.asking import digits, matching, sql
from tally.engine.asking.grouping import Group
from tally.engine.asking.question import Question
from tally.engine.asking.shape import Row
from tally.engine.asking.tags import TagExpression
from tally.engine.files import failure, schema, statements
from tally.engine.files.connection import (
    Connection,
    ImmutableConnection,
    Stamp,
    check_not_forked,
    ensure_unchanged,
    is_forked,
    read_stamp,
)
from tally.engine.files.damage_marks import MarkDamage
from tally.engine.files.kept import ERRORS, KeptConnection, KeptConnections
from tally.engine.storing.watermarks import Watermarks
from tally.errors import InvalidQuestion, QueryTimeout

BATCH_ROWS, BATCH_BYTES = 500, 65_536
# Steps of SQLite's virtual machine between two checks of the time.
CHECK_STEPS = 10_000
# A reader keeps SQLite's log from restarting. A query that is not read for this long is stopped once the log has more
# than `schema.WAL_MAX_BYTES`.
STALL_S = 10.0
# The most buckets in an answer that shows every bucket of a range.
BUCKETS_MAX = 10_000_000
NO_CONTEXT = nullcontext()
NO_PERCENTILES = (
    "the archive keeps no percentiles: turn them on, as with `tally archives edit SLUG --percentiles 1`, and they are "
    "kept from then on"
)

NO_SOURCES = "only a cluster has sources: set TALLY_ANSWER_FROM=cluster to ask about them"

Item = TypeVar("Item")


class Reader:
    """Owns a query, which `close` stops. Any thread may call it.

    The query is tried on a kept connection, if `connections` has one. What is read there counts if it is complete and
    short, and the file does not change meanwhile. Otherwise the query begins again, in a transaction.
    """

    check_steps = CHECK_STEPS

    def __init__(
        self,
        path: Path,
        *,
        timeout_s: float | None = None,
        mark_damage: MarkDamage = nullcontext,
        connections: KeptConnections | None = None,
    ) -> None:
        """Open the archive at `path` and start the timeout. Later reads happen within `mark_damage`.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.connect`.
        """
        self._path = path
        self._limit = Limit(timeout_s)
        self._mark_damage = mark_damage
        self._connections = connections
        # Whether nothing was read yet from a kept connection.
        self._is_trial = self._try_kept()
        if not self._is_trial:
            self._open()

    def _begin(self) -> None:
        """Begin to read from `_query`."""

    def _try_kept(self) -> bool:
        connection = self._connections and self._connections.take(self._path)
        if not connection:
            return False
        self._query = Query(connection, self._limit, check_steps=self.check_steps, connections=self._connections)
        with suppress(*ERRORS):
            self._begin()
            if self._query.is_valid():
                return True
        self._query.close()
        return False

    def _open(self) -> None:
        self._query = Query(self._connect(), self._limit, check_steps=self.check_steps)
        try:
            with failure.translate_errors(self._path):
                self._limit.check_stopped()
                self._begin()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Connection:
        return schema.connect(self._path, is_long=True)

    def _gather(self, items: Iterator[Item], most: int) -> list[Item] | None:
        """Return all items that a kept connection yields. If they are too many or do not count, begin again: None."""
        self._is_trial = False
        with suppress(*ERRORS):
            found = list(islice(items, most + 1))
            if len(found) <= most and self._query.is_valid():
                self._query.close()
                return found
        self._query.close()
        self._open()
        return None

    def close(self) -> None:
        """Stop the query and close the file. Further calls do nothing."""
        self._limit.is_stopped = True
        self._query.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Limit:
    """Tells a query when to stop. The connection refers to it, so it refers to nothing, to avoid a reference cycle."""

    def __init__(self, timeout_s: float | None) -> None:
        self.is_stopped = False
        self.is_stalled = False
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def is_over(self) -> bool:
        """Return whether the timeout is over or the query was stopped."""
        return self.is_stopped or (self._deadline is not None and time.monotonic() > self._deadline)

    def check_stopped(self) -> None:
        """Raise an error if the query was stopped."""
        if self.is_stopped:
            raise apsw.InterruptError

    def check(self) -> None:
        """Raise an error if the query has to stop."""
        if self.is_stalled:
            raise QueryTimeout(f"the answer was not read for {STALL_S:g} s while commits waited for its reader")
        if self.is_over():
            raise apsw.InterruptError


class Query:
    """A connection that one thread reads and any thread may close.

    In a forked child it is not used, and neither is its lock, which a thread of the parent may have held.
    """

    def __init__(
        self,
        connection: Connection,
        limit: Limit,
        *,
        check_steps: int = CHECK_STEPS,
        connections: KeptConnections | None = None,
    ) -> None:
        """Take over a connection. `close` gives it back to `connections` if it is one of those."""
        self._connection = connection
        self._limit = limit
        self._connections = connections
        self._is_closed = self._is_reading = False
        self._lock = threading.Lock()
        self._wal = Path(f"{connection.filename}-wal")
        self._is_watched = False
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()
        self._read_at = time.monotonic()
        if isinstance(connection, KeptConnection):
            is_over = partial(_is_over, limit, connection.path, connection.stamp)
            connection.set_progress_handler(is_over, check_steps)
        else:
            digits.register(connection)
            connection.set_progress_handler(limit.is_over, check_steps)

    def _reading(self) -> AbstractContextManager[None]:
        is_checked = isinstance(self._connection, ImmutableConnection) and not self.is_kept
        return ensure_unchanged(self._connection) if is_checked else NO_CONTEXT

    @property
    def is_kept(self) -> bool:
        """Whether what is read counts only if the file does not change meanwhile."""
        return isinstance(self._connection, KeptConnection)

    def is_valid(self) -> bool:
        """Return whether what was read from a kept connection counts."""
        return isinstance(self._connection, KeptConnection) and not self._connection.is_changed()

    def register(self, where: tuple[TagExpression, ...], group: Group | None = None) -> None:
        """Register the functions for tag expressions and groups."""
        matching.register(self._connection, where, group=group, check=self._limit.check)

    def begin(self, question: Question, latest: float) -> tuple[Question, sql.Plan]:
        """Begin the read transaction, in which watermarks and rows are consistent.

        Return the question, with `until` set to `latest` if needed, and the plan.
        """
        with self._reading():
            self._connection.execute("BEGIN")
            read = self._limit_series(question, latest)
            return read, self._plan(read)

    def _limit_series(self, question: Question, latest: float) -> Question:
        """End a series at `latest` if a wrong clock has left a later bucket: it would have millions of buckets."""
        if question.kind != "timedata" or question.until is not None or (question.since or 0) > latest:
            return question
        _, newest = self._connection.execute(statements.FIRST_LAST).get
        return replace(question, until=latest) if newest is not None and newest > latest else question

    def _plan(self, question: Question) -> sql.Plan:
        self.register(question.where, question.group)
        return self.remember(question, "plan", lambda: self._make_plan(question))

    def _make_plan(self, question: Question) -> sql.Plan:
        marks = Watermarks.read(dict(self._connection.execute(statements.META)))
        if question.needs_sketches and not marks.percentiles:
            raise InvalidQuestion(NO_PERCENTILES)
        planning = sql.planning(question, marks)
        few, packed, names, folded = self._connection.execute(planning.text, planning.bindings).get
        return sql.Plan(marks, bool(few), bool(packed), names, bool(folded))

    def remember(self, question: Question, what: Hashable, make: Callable[[], Item]) -> Item:
        """Return what `make` returns, or what it returned before for the question if the file is the same.

        With tag expressions it would contain all names that match.
        """
        if isinstance(self._connection, KeptConnection) and not question.where:
            return self._connection.remember((question, what), make)
        return make()

    def check_bucket_count(self, question: Question, span: sql.Span) -> None:
        """Raise InvalidQuestion if the series has too many buckets. An open end of `span` is that of the data."""
        with self._reading():
            first, last = self._connection.execute(statements.FIRST_LAST).get
        begin = span.first if question.since is not None else first
        end = span.end if question.until is not None else last and last + span.resolution
        count = 0 if begin is None or end is None else (end - begin) // span.resolution
        if count > BUCKETS_MAX:
            raise InvalidQuestion(
                f"the range has {count} buckets, more than {BUCKETS_MAX}: give since and until nearer to each other, "
                "or a longer step"
            )

    def batches(self, statement: sql.Statement, *, most: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Yield the rows in batches of up to `most`; packed rows in batches of at least BATCH_BYTES except the last."""
        cursor = None
        while True:
            self.check_process()
            with self._lock:
                self._limit.check()
                with self._reading():
                    if cursor is None:
                        cursor = self._connection.execute(statement.text, statement.bindings)
                        self._connection.set_cursor(cursor)
                        self._is_reading = True
                    batch = _take_packed(cursor) if statement.is_packed else list(islice(cursor, most))
                self._read_at = time.monotonic()
            if not batch:
                self._is_reading = False
                return
            self._watch()
            yield batch

    def _watch(self) -> None:
        """From the second batch on, start a thread that closes a query which holds the log and is not read."""
        if self.is_kept:
            return
        if self._is_watched and self._watcher is None:
            self._watcher = threading.Thread(target=_close_stalled, args=(ref(self), self._closed), daemon=True)
            self._watcher.start()
        self._is_watched = True

    def close_if_stalled(self) -> None:
        """Close if the answer was not read for STALL_S and the log has grown too large."""
        if not self._lock.acquire(blocking=False):
            return  # It is being read.
        try:
            is_stalled = time.monotonic() - self._read_at > STALL_S
            if is_stalled and (schema.file_size(self._wal) or 0) > schema.WAL_MAX_BYTES:
                self._limit.is_stalled = True
                schema.close(self._connection)
        finally:
            self._lock.release()

    def check_process(self) -> None:
        """Raise ArchiveUnavailable if the process was forked while the connection was open."""
        forks.detect_fork()
        check_not_forked(self._connection)

    def close(self) -> None:
        """Close the file, after waiting for a read in progress."""
        forks.detect_fork()
        if not is_forked(self._connection):
            self._closed.set()
            with self._lock:
                if not self._is_closed:
                    self._is_closed = True
                    self._release()

    def _release(self) -> None:
        if not isinstance(self._connection, KeptConnection):
            schema.close(self._connection)
        elif self._connections is None or self._is_reading or self._connection.is_changed():
            self._connection.close()
        else:
            self._connections.give_back(self._connection)


def _take_packed(packed: Iterable[Row]) -> list[Row]:
    """Return the next packed rows until they have BATCH_BYTES: one for each of their texts that is not NULL."""
    taken: list[Row] = []
    size = 0
    for name, bucket, *texts in packed:
        for text in texts:
            if isinstance(text, bytes):
                taken.append((name, bucket, text))
                size += len(text)
        if size >= BATCH_BYTES:
            break
    return taken


def _is_over(limit: Limit, path: Path, stamp: Stamp | None) -> bool:
    return limit.is_over() or read_stamp(path) != stamp


def _close_stalled(query: "ref[Query]", closed: threading.Event) -> None:
    """Watch a query until it is closed or garbage collected."""
    while not closed.wait(STALL_S / 2):
        watched = query()
        if watched is None:
            return
        watched.close_if_stalled()
        del watched
