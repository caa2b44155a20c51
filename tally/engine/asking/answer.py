"""Runs one question and gives its answer: as chunks of bytes whose cells SQLite has written, or as rows.

An answer owns a connection and a read transaction, which end with it: run out, closed, out of time, or forgotten.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from weakref import ref

import apsw

from tally import forks
from tally.engine.asking import digits, sql
from tally.engine.asking.question import Question
from tally.engine.asking.shape import Row, filled, shaped
from tally.engine.files import failure, schema, statements
from tally.engine.files.connection import Connection, check, is_lost
from tally.engine.files.damage_marks import Noted
from tally.engine.files.immutable import Frozen, steady
from tally.engine.files.temporary import beside
from tally.engine.storing.watermarks import Watermarks
from tally.errors import InvalidQuestion, QueryTimeout

CHUNK_BYTES = 65_536
BATCH_ROWS = 500
# So many steps of SQLite's machine are run before the time is looked at.
CHECK_STEPS = 10_000
# A reader keeps SQLite's log from beginning anew. One that does not read on for so long has to let go of it, once the
# log has more than `schema.WAL_MAX_BYTES`.
STALL_S = 10.0
# So many buckets of a range are shown one by one at most, with data or without.
BUCKETS_MAX = 10_000_000
# Of a connection that SQLite keeps right by itself.
ORDINARY = nullcontext()


class Answer:
    """Chunks of the answer to one question, each of CHUNK_BYTES or more but for the last.

    `close` may come from any thread and stops the query. `media_type` is the chunks'. `tag` is a short text, another
    one wherever the answer may be: after each commit, and for another question or range of buckets.
    """

    def __init__(
        self,
        path: Path,
        question: Question,
        *,
        timeout_s: float | None = None,
        latest: float = sql.FOREVER,
        noted: Noted = nullcontext,
    ) -> None:
        """Open the archive at `path`; the time runs from now. `noted` surrounds what is read later.

        A series without `until` ends with the newest bucket, or with `latest`, in unix seconds, where that is earlier.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.connect` tells.
        :raises InvalidQuestion: when the archive's resolution does not fit the question's `step` or `moving`, or a
            series would have more than BUCKETS_MAX buckets.
        :raises QueryTimeout: when the time is over.
        """
        self.media_type = "text/csv; charset=utf-8" if question.format == "csv" else "application/json"
        self._path = path
        self._question = question
        self._noted = noted
        self._limit = Limit(timeout_s)
        self._query = Query(schema.connect(path, is_long=True), self._limit)
        try:
            with failure.translated(path):
                read, plan = self._query.begin(question, latest)
                self._span, reach = (sql.span(each, plan.marks.resolution) for each in (question, read))
                if question.kind == "timedata":
                    self._query.check(read, reach)
            self.tag = _tag(question, reach, plan.marks.version)
            self._select = partial(sql.select, read, plan)
            shape = shaped(question, self._span)
            self._chunks = _chunked(shape.parts(self._query.batches(self._select(cell=shape.cell))), self._limit)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; after `close` there is none.

        :raises QueryTimeout: when the time is over, or `close` came meanwhile.
        :raises NotAnArchive, ArchiveUnavailable: when the file cannot be read on, and in a process that was forked
            while the answer was open.
        """
        self._query.check_process()
        with self._noted():
            chunk = self._next()
        if chunk is None:
            self.close()
            raise StopIteration
        return chunk

    def _next(self) -> bytes | None:
        try:
            with failure.translated(self._path):
                return None if self._limit.is_stopped else next(self._chunks, None)
        except BaseException:
            self.close()
            raise

    def rows(self) -> Iterator[Row]:
        """Yield the keys and values that the chunks would be made of, name before bucket, and close.

        Raises as `__next__`.
        """
        with self._noted(), self, failure.translated(self._path):
            rows: Iterable[Row] = chain.from_iterable(self._query.batches(self._select()))
            for row in filled(self._question, rows, self._span) if self._question.kind == "timedata" else rows:
                self._limit.check()
                yield row

    def close(self) -> None:
        """Stop the query and let go of the file; further calls do nothing."""
        self._limit.is_stopped = True
        self._query.close()

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Limit:
    """When a query has to end. The connection holds it, so it must hold nothing: what is forgotten is freed at once."""

    def __init__(self, timeout_s: float | None) -> None:
        self.is_stopped = False
        self.is_stalled = False
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def is_over(self) -> bool:
        """Return whether the time is over, or the query was stopped."""
        return self.is_stopped or (self._deadline is not None and time.monotonic() > self._deadline)

    def check(self) -> None:
        """Raise when the query has to end."""
        if self.is_stalled:
            raise QueryTimeout(f"the answer was not read on for {STALL_S:g} s, and commits could wait no longer for it")
        if self.is_over():
            raise apsw.InterruptError


class Query:
    """A connection that one thread reads from and any thread closes.

    In the child of a fork it is left alone, and so is its lock, which a thread of the parent may have held.
    """

    def __init__(self, connection: Connection, limit: Limit, *, check_steps: int = CHECK_STEPS) -> None:
        self._connection = connection
        self._limit = limit
        self._lock = threading.Lock()
        self._wal = beside(Path(connection.filename), "-wal")
        self._is_watched = False
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()
        self._read_at = time.monotonic()
        digits.register(connection)
        connection.set_progress_handler(limit.is_over, check_steps)

    def _steady(self) -> AbstractContextManager[None]:
        return steady(self._connection) if isinstance(self._connection, Frozen) else ORDINARY

    def begin(self, question: Question, latest: float) -> tuple[Question, sql.Plan]:
        """Begin the read transaction, in which the writer's marks and the rows belong together.

        Return what is read for a question, up to `latest` where `Answer` says so, and the plan.
        """
        with self._steady():
            self._connection.execute("BEGIN")
            read = self._bounded(question, latest)
            return read, self._plan(read)

    def _bounded(self, question: Question, latest: float) -> Question:
        """Return a question that reaches no bucket that a wrong clock has left far ahead: a series of millions."""
        if question.kind != "timedata" or question.until is not None or (question.since or 0) > latest:
            return question
        _, newest = self._connection.execute(statements.FIRST_LAST).get
        return replace(question, until=latest) if newest is not None and newest > latest else question

    def _plan(self, question: Question) -> sql.Plan:
        marks = Watermarks.read(dict(self._connection.execute(statements.META)))
        planning = sql.planning(question, marks)
        few, packed = self._connection.execute(planning.text, planning.bindings).get
        return sql.Plan(marks, bool(few), bool(packed))

    def check(self, question: Question, span: sql.Span) -> None:
        """Raise InvalidQuestion when every bucket of `span`, as far as there is data where it is open, is too many."""
        with self._steady():
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
        """Yield the rows, at most so many at a time; those that are packed one at a time, without the empty ones."""
        cursor = None
        most = 1 if statement.is_packed else most
        while True:
            self.check_process()
            with self._lock:
                self._limit.check()
                with self._steady():
                    if cursor is None:
                        cursor = self._connection.execute(statement.text, statement.bindings)
                        self._connection.note(cursor)
                    batch = list(islice(cursor, most))
                self._read_at = time.monotonic()
            if not batch:
                return
            self._watch()
            if batch[0][-1] is not None or not statement.is_packed:
                yield batch

    def _watch(self) -> None:
        """See to it, from the second batch on, that a reader who does not read on lets SQLite's log begin anew."""
        if self._is_watched and self._watcher is None:
            self._watcher = threading.Thread(target=_let_go, args=(ref(self), self._closed), daemon=True)
            self._watcher.start()
        self._is_watched = True

    def let_go(self) -> None:
        """Close when the answer has not been read on for STALL_S and the log has become too long meanwhile."""
        if not self._lock.acquire(blocking=False):
            return  # It is at work.
        try:
            is_stalled = time.monotonic() - self._read_at > STALL_S
            if is_stalled and (schema.file_size(self._wal) or 0) > schema.WAL_MAX_BYTES:
                self._limit.is_stalled = True
                schema.close(self._connection)
        finally:
            self._lock.release()

    def check_process(self) -> None:
        """Raise ArchiveUnavailable in a process that was forked while the connection was open."""
        forks.look()
        check(self._connection)

    def close(self) -> None:
        """Let go of the file, once nothing is read from it."""
        forks.look()
        if not is_lost(self._connection):
            self._closed.set()
            with self._lock:
                schema.close(self._connection)


def _let_go(query: "ref[Query]", closed: threading.Event) -> None:
    """Look after a query until it is closed or forgotten."""
    while not closed.wait(STALL_S / 2):
        watched = query()
        if watched is None:
            return
        watched.let_go()
        del watched


def _tag(question: Question, span: sql.Span, version: int) -> str:
    """Return a text for what an answer depends on: of `since` and `until` only what they make of the range."""
    asked = replace(question, since=question.since and 0, until=question.until and 0)
    return blake2b(repr((asked, span, version)).encode(), digest_size=16).hexdigest()


def _chunked(parts: Iterable[str], limit: Limit) -> Iterator[bytes]:
    buffer: list[str] = []
    size = 0
    for part in parts:
        limit.check()
        buffer.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield "".join(buffer).encode()
            buffer.clear()
            size = 0
    if buffer:
        yield "".join(buffer).encode()
