"""Runs one question and gives its answer: as chunks of bytes written by SQLite, or as rows.

An answer owns a connection and a read transaction, which end with it: run out, closed, or out of time. The shapes that
the chunks take, JSON in two depths, rows and CSV, are each an expression around the question's SELECT.
"""

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import apsw

from tally.engine import schema, sql
from tally.engine.question import Question
from tally.engine.schema import Value
from tally.engine.shape import Shape, shaped

CHUNK_BYTES = 65_536
CHECK_STEPS = 10_000


class Answer:
    """Chunks of the answer to one question, each of CHUNK_BYTES or more but for the last.

    `close` may come from any thread and stops the query. `media_type` is the chunks'.
    """

    def __init__(self, path: Path, question: Question, *, timeout_s: float | None = None) -> None:
        """Open the archive at `path`; the time runs from now.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.connect` tells.
        :raises InvalidQuestion: when the archive's resolution does not fit the question's `step` or `moving`.
        """
        self.media_type = "text/csv; charset=utf-8" if question.format == "csv" else "application/json"
        self._path = path
        self._lock = threading.Lock()
        self._stopped = False
        self._connection = schema.connect(path)
        try:
            with schema.translated(path):
                self._limit(timeout_s)
                self._shape = self._prepare(question)
        except BaseException:
            self._connection.close()
            raise
        self._chunks = _chunked(self._shape.parts(self._rows(self._shape.statement)))

    def _limit(self, timeout_s: float | None) -> None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s

        def is_over() -> bool:
            return self._stopped or (deadline is not None and time.monotonic() > deadline)

        self._is_over = is_over
        self._connection.set_progress_handler(is_over, CHECK_STEPS)

    def _prepare(self, question: Question) -> Shape:
        """Begin the read transaction, in which the writer's marks and the rows belong together."""
        self._connection.execute("BEGIN")
        meta = dict(self._connection.execute(sql.META))
        few = sql.few_names(question.q)
        [(is_few,)] = self._connection.execute(few.text, few.bindings).fetchall()
        statement = sql.select(
            question, meta["resolution"], meta["sealed_before"], few=bool(is_few) or question.limit is not None
        )
        return shaped(question, statement, sql.span(question, meta["resolution"]))

    def _rows(self, statement: sql.Statement) -> Iterator[tuple[Value, ...]]:
        with schema.translated(self._path):
            for row in self._connection.execute(statement.text, statement.bindings):
                if self._is_over():
                    raise apsw.InterruptError
                yield row

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; after `close` there is none.

        :raises QueryTimeout: when the time is over.
        :raises NotAnArchive, ArchiveUnavailable: when the file cannot be read on.
        """
        with self._lock:
            if self._stopped:
                raise StopIteration
            try:
                return next(self._chunks)
            except BaseException:
                self._end()
                raise

    def rows(self) -> Iterator[tuple[Value, ...]]:
        """Yield the rows that the chunks would be made from, and close; raises as `__next__`."""
        with self:
            yield from self._shape.rows(self._rows(self._shape.plain))

    def close(self) -> None:
        """Stop the query and let go of the file; further calls do nothing."""
        self._stopped = True
        with self._lock:
            self._end()

    def _end(self) -> None:
        self._stopped = True
        self._chunks.close()
        self._connection.close()

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _chunked(parts: Iterable[str]) -> Generator[bytes, None, None]:
    buffer: list[str] = []
    size = 0
    for part in parts:
        buffer.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield "".join(buffer).encode()
            buffer.clear()
            size = 0
    if buffer:
        yield "".join(buffer).encode()
