"""Runs a question and returns its answer, as chunks of bytes that SQLite has formatted, or as rows.

An answer owns a connection and a read transaction. They end when it is exhausted, closed, timed out or garbage
collected.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

from tally.engine.asking import sql
from tally.engine.asking.parquet import MEDIA_TYPE, ParquetWriter
from tally.engine.asking.query import NO_SOURCES, Limit, Reader
from tally.engine.asking.question import Question
from tally.engine.asking.shape import Row, Shape, fields, fill_gaps, make_shape
from tally.engine.files import failure
from tally.errors import InvalidQuestion

# Each chunk is made in a worker thread and sent by the event loop, which takes 0.2 ms whatever its size.
CHUNK_BYTES = 262_144
# The longest answer that is read at once.
CHUNKS_AT_ONCE, ROWS_AT_ONCE = 1, 5_000
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": MEDIA_TYPE}


class Answer(Reader):
    """Iterates over the chunks of an answer, each of at least CHUNK_BYTES except the last.

    `close` stops the query and may be called from any thread. `media_type` is that of the chunks. `tag` is an ETag:
    it changes with each commit, and differs between questions and ranges of buckets.
    """

    has_sources = False

    def __init__(
        self,
        path: Path,
        question: Question,
        *,
        latest: float = sql.FOREVER,
        **reading: Any,
    ) -> None:
        """Open the archive at `path`. `reading` is as for `Reader`.

        A series without `until` ends with the newest bucket, or at `latest` in unix seconds if that is earlier.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.connect`.
        :raises InvalidQuestion: when the archive's resolution does not divide `step` or `moving`, or a series would
            have more than BUCKETS_MAX buckets.
        :raises PackageMissing: when the format needs a package that is not installed.
        :raises QueryTimeout: when the timeout is over.
        """
        if (question.source or question.by == "source") and not self.has_sources:
            raise InvalidQuestion(NO_SOURCES)
        self.media_type = MEDIA_TYPES.get(question.format, "application/json")
        self._question = question
        self._latest = latest
        super().__init__(path, **reading)

    def _begin(self) -> None:
        question = self._question
        read, plan = self._query.begin(question, self._latest)
        self._span, reach = (sql.span(each, plan.marks.resolution) for each in (question, read))
        if question.kind == "timedata":
            self._query.check_bucket_count(read, reach)
        self.tag = self._query.remember(question, reach, lambda: _tag(question, reach, plan.marks.version))
        self._select = partial(sql.select, read, plan)
        self._read = read
        # Text is made when it is first wanted, as who reads rows wants none.
        self._chunks: Iterator[bytes] | None = None
        if question.format == "parquet":
            self._chunks = self._make_parquet()

    def start(self) -> None:
        """Read the answer if it is short. Its `tag` may change, but not later. Raises as `__next__`."""
        if self._is_trial:
            with self._mark_damage():
                chunks = self._gather(self._find_chunks(), CHUNKS_AT_ONCE)
            if chunks is not None:
                self._chunks = iter(chunks)

    def _find_chunks(self) -> Iterator[bytes]:
        if self._chunks is None:
            self._chunks = self._make_text()
        return self._chunks

    def _make_text(self) -> Iterator[bytes]:
        shape, statement = self._query.remember(self._question, self._read, self._prepare_text)
        return _join(shape.parts(self._query.batches(statement)), self._limit)

    def _prepare_text(self) -> tuple[Shape, sql.Statement]:
        shape = make_shape(self._question, self._span)
        return shape, self._select(cell=shape.cell)

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
        self.start()
        with self._mark_damage():
            chunk = self._next()
        if chunk is None:
            self.close()
            raise StopIteration
        return chunk

    def _next(self) -> bytes | None:
        try:
            with failure.translate_errors(self._path):
                return None if self._limit.is_stopped else next(self._find_chunks(), None)
        except BaseException:
            self.close()
            raise

    def rows(self) -> Iterator[Row]:
        """Yield rows instead of chunks, with keys (name before bucket) and values, then close. Raises as `__next__`."""
        with self._mark_damage(), self:
            rows = self._gather(self._rows(), ROWS_AT_ONCE) if self._is_trial else None
            with failure.translate_errors(self._path):
                yield from self._rows() if rows is None else rows

    def _rows(self) -> Iterator[Row]:
        rows: Iterable[Row] = chain.from_iterable(self._query.batches(self._select()))
        for row in fill_gaps(self._question, rows, self._span) if self._question.kind == "timedata" else rows:
            self._limit.check()
            yield row


def _tag(question: Question, span: sql.Span, version: int) -> str:
    """Return a hash of what an answer depends on. `since` and `until` count only through the range of buckets."""
    asked = replace(question, since=question.since and 0, until=question.until and 0)
    return blake2b(repr((asked, span, version)).encode(), digest_size=16).hexdigest()


def _join(parts: Iterable[bytes], limit: Limit) -> Iterator[bytes]:
    buffer: list[bytes] = []
    size = 0
    for part in parts:
        limit.check()
        buffer.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield b"".join(buffer)
            buffer.clear()
            size = 0
    if buffer:
        yield b"".join(buffer)
