"""Runs a question and returns its answer, as chunks of bytes that SQLite has formatted, or as rows.

An answer owns a connection and a read transaction. They end when it is exhausted, closed, timed out or garbage
collected.
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
from typing import Self
from weakref import ref

import apsw

from tally import forks
from tally.engine.asking import digits, matching, sql
from tally.engine.asking.parquet import MEDIA_TYPE, ParquetWriter
from tally.engine.asking.question import Question
from tally.engine.asking.shape import Row, fields, fill_gaps, make_shape
from tally.engine.files import failure, schema, statements
from tally.engine.files.connection import Connection, ImmutableConnection, check_not_forked, ensure_unchanged, is_forked
from tally.engine.files.damage_marks import MarkDamage
from tally.engine.files.temporary import beside
from tally.engine.storing.watermarks import Watermarks
from tally.errors import InvalidQuestion, QueryTimeout

CHUNK_BYTES = 65_536
BATCH_ROWS = 500
# Steps of SQLite's virtual machine between two checks of the time.
CHECK_STEPS = 10_000
# A reader keeps SQLite's log from restarting. A query that is not read for this long is stopped once the log has more
# than `schema.WAL_MAX_BYTES`.
STALL_S = 10.0
# The most buckets in an answer that shows every bucket of a range.
BUCKETS_MAX = 10_000_000
NO_CONTEXT = nullcontext()
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": MEDIA_TYPE}
NO_PERCENTILES = (
    "the archive keeps no percentiles: turn them on, as with `tally archives edit SLUG --percentiles 1`, and they are "
    "kept from then on"
)


class Reader:
    """Owns a query, which `close` stops. Any thread may call it."""

    _limit: "Limit"
    _query: "Query"

    def close(self) -> None:
        """Stop the query and close the file. Further calls do nothing."""
        self._limit.is_stopped = True
        self._query.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Answer(Reader):
    """Iterates over the chunks of an answer, each of at least CHUNK_BYTES except the last.

    `close` stops the query and may be called from any thread. `media_type` is that of the chunks. `tag` is an ETag:
    it changes with each commit, and differs between questions and ranges of buckets.
    """

    def __init__(
        self,
        path: Path,
        question: Question,
        *,
        timeout_s: float | None = None,
        latest: float = sql.FOREVER,
        mark_damage: MarkDamage = nullcontext,
    ) -> None:
        """Open the archive at `path` and start the timeout. Later reads happen within `mark_damage`.

        A series without `until` ends with the newest bucket, or at `latest` in unix seconds if that is earlier.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.connect`.
        :raises InvalidQuestion: when the archive's resolution does not divide `step` or `moving`, or a series would
            have more than BUCKETS_MAX buckets.
        :raises PackageMissing: when the format needs a package that is not installed.
        :raises QueryTimeout: when the timeout is over.
        """
        self.media_type = MEDIA_TYPES.get(question.format, "application/json")
        self._path = path
        self._question = question
        self._mark_damage = mark_damage
        self._limit = Limit(timeout_s)
        self._query = Query(schema.connect(path, is_long=True), self._limit)
        try:
            with failure.translate_errors(path):
                read, plan = self._query.begin(question, latest)
                self._span, reach = (sql.span(each, plan.marks.resolution) for each in (question, read))
                if question.kind == "timedata":
                    self._query.check_bucket_count(read, reach)
            self.tag = _tag(question, reach, plan.marks.version)
            self._select = partial(sql.select, read, plan)
            self._chunks = self._make_parquet() if question.format == "parquet" else self._make_text()
        except BaseException:
            self.close()
            raise

    def _make_text(self) -> Iterator[bytes]:
        shape = make_shape(self._question, self._span)
        return _join(shape.parts(self._query.batches(self._select(cell=shape.cell))), self._limit)

    def _make_parquet(self) -> Iterator[bytes]:
        columns = fields(self._question)
        writer = ParquetWriter(columns)
        rows = self._rows()
        if columns[:2] == ("time", "name"):
            # The rows of values begin with the name.
            rows = ((bucket, name, *values) for name, bucket, *values in rows)
        return writer.chunks(rows)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; there is none after `close`.

        :raises QueryTimeout: when the timeout is over, or `close` is called meanwhile.
        :raises NotAnArchive, ArchiveUnavailable: when the file becomes unreadable, or the process was forked while the
            answer was open.
        """
        self._query.check_process()
        with self._mark_damage():
            chunk = self._next()
        if chunk is None:
            self.close()
            raise StopIteration
        return chunk

    def _next(self) -> bytes | None:
        try:
            with failure.translate_errors(self._path):
                return None if self._limit.is_stopped else next(self._chunks, None)
        except BaseException:
            self.close()
            raise

    def rows(self) -> Iterator[Row]:
        """Yield rows instead of chunks, with keys (name before bucket) and values, then close. Raises as `__next__`."""
        with self._mark_damage(), self, failure.translate_errors(self._path):
            yield from self._rows()

    def _rows(self) -> Iterator[Row]:
        rows: Iterable[Row] = chain.from_iterable(self._query.batches(self._select()))
        for row in fill_gaps(self._question, rows, self._span) if self._question.kind == "timedata" else rows:
            self._limit.check()
            yield row


class Limit:
    """Tells a query when to stop. The connection refers to it, so it refers to nothing, to avoid a reference cycle."""

    def __init__(self, timeout_s: float | None) -> None:
        self.is_stopped = False
        self.is_stalled = False
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def is_over(self) -> bool:
        """Return whether the timeout is over or the query was stopped."""
        return self.is_stopped or (self._deadline is not None and time.monotonic() > self._deadline)

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

    def _reading(self) -> AbstractContextManager[None]:
        return ensure_unchanged(self._connection) if isinstance(self._connection, ImmutableConnection) else NO_CONTEXT

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
        marks = Watermarks.read(dict(self._connection.execute(statements.META)))
        if question.needs_sketches and not marks.percentiles:
            raise InvalidQuestion(NO_PERCENTILES)
        planning = sql.planning(question, marks)
        matching.register(self._connection, question.where, group=question.group, check=self._limit.check)
        few, packed, names = self._connection.execute(planning.text, planning.bindings).get
        return sql.Plan(marks, bool(few), bool(packed), names)

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
        """Yield the rows in batches of up to `most`; packed rows one at a time, without empty ones."""
        cursor = None
        most = 1 if statement.is_packed else most
        while True:
            self.check_process()
            with self._lock:
                self._limit.check()
                with self._reading():
                    if cursor is None:
                        cursor = self._connection.execute(statement.text, statement.bindings)
                        self._connection.set_cursor(cursor)
                    batch = list(islice(cursor, most))
                self._read_at = time.monotonic()
            if not batch:
                return
            self._watch()
            if batch[0][-1] is not None or not statement.is_packed:
                yield batch

    def _watch(self) -> None:
        """From the second batch on, start a thread that closes the query if its reader stalls."""
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
                schema.close(self._connection)


def _close_stalled(query: "ref[Query]", closed: threading.Event) -> None:
    """Watch a query until it is closed or garbage collected."""
    while not closed.wait(STALL_S / 2):
        watched = query()
        if watched is None:
            return
        watched.close_if_stalled()
        del watched


def _tag(question: Question, span: sql.Span, version: int) -> str:
    """Return a hash of what an answer depends on. `since` and `until` count only through the range of buckets."""
    asked = replace(question, since=question.since and 0, until=question.until and 0)
    return blake2b(repr((asked, span, version)).encode(), digest_size=16).hexdigest()


def _join(parts: Iterable[str], limit: Limit) -> Iterator[bytes]:
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
