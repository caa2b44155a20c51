"""Answers a question from cells that another database has merged to the names and buckets of the answer.

    cells, reduced elsewhere ── store ──▶ a temporary archive ── Answer ──▶ the same text as from a file

The temporary archive has the answer's resolution and only the names, or groups of names, that the question is about. It
is a private file of SQLite's, which is in memory until it outgrows the page cache.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from tally import forks
from tally.engine.asking.answer import MEDIA_TYPES, Answer
from tally.engine.asking.question import Question
from tally.engine.asking.shape import Row
from tally.engine.asking.sql import FOREVER
from tally.engine.definition import Definition
from tally.engine.files import ddl, failure, schema
from tally.engine.files.connection import Connection

CACHE_KIB = 65_536
NEW_NAME = "INSERT INTO names (name, id) VALUES (?, ?)"
NEW_CELL = "INSERT INTO data VALUES (?, ?, ?, ?, ?, ?, 1)"
NEW_SKETCH = "INSERT INTO data_sketches VALUES (?, ?, ?)"
# Totals are shown only if there is one name. Otherwise only their buckets matter.
NEW_TOTAL = "INSERT OR IGNORE INTO totals VALUES (?, ?, ?, ?, ?)"
NEW_TOTAL_SKETCH = "INSERT OR IGNORE INTO totals_sketches VALUES (?, ?)"

# Name, bucket, count, sum, min, max, and the text of the sketch or None.
ReducedCell = tuple[str, int, float, float, float, float, str | None]


class Reduced(NamedTuple):
    """The cells in batches, and the definition of an archive that has them."""

    definition: Definition
    batches: Iterable[list[ReducedCell]]


class Reduction(Protocol):
    """What reads the cells of an answer."""

    def read(self) -> Reduced:
        """Return the cells. May be called again, after the batches turned out to be inconsistent."""

    def is_consistent(self) -> bool:
        """Return whether the batches that were read belong together."""

    def close(self) -> None:
        """Stop reading. Any thread may call it, more than once."""


class ReducedAnswer(Answer):
    """Answers from the cells that `reduction` reads when the first chunk or row is read. It has no tag."""

    has_sources = True

    def __init__(
        self, path: Path, question: Question, reduction: Reduction, *, timeout_s: float | None, latest: float
    ) -> None:
        """Open nothing yet. `path` names the archive in errors; the rest is as for `Answer`."""
        self.media_type = MEDIA_TYPES.get(question.format, "application/json")
        self.tag = ""
        self._given = (path, question, timeout_s, latest)
        self._reduction = reduction
        self._is_closed = False
        self._loading = forks.lock()

    def _load(self) -> None:
        with self._loading:
            if self._has_query() or self._is_closed:
                return
            path, question, timeout_s, latest = self._given
            with failure.translate_errors(path):
                self._stored = _store_consistent(self._reduction)
            own = replace(question, q=(), where=(), source=(), group=None)
            super().__init__(path, own, timeout_s=timeout_s, latest=latest)

    def _connect(self) -> Connection:
        return self._stored

    def _has_query(self) -> bool:
        return "_query" in vars(self)

    def __next__(self) -> bytes:
        """Return the next chunk; raises as `Answer` and as the reduction."""
        self._load()
        if not self._has_query():
            raise StopIteration
        return super().__next__()

    def rows(self) -> Iterator[Row]:
        """Yield rows instead of chunks."""
        self._load()
        if self._has_query():
            yield from super().rows()

    def close(self) -> None:
        """Stop the reduction and the query. Further calls do nothing."""
        self._is_closed = True
        self._reduction.close()
        with self._loading:
            if self._has_query():
                super().close()


def _store_consistent(reduction: Reduction) -> Connection:
    while True:
        connection = store(reduction.read())
        try:
            if reduction.is_consistent():
                return connection
        except BaseException:
            schema.close(connection)
            raise
        schema.close(connection)


def store(reduced: Reduced) -> Connection:
    """Return a connection to a temporary archive that has the cells. Closing it deletes the archive."""
    connection = Connection("", is_long=True)
    try:
        connection.pragma("journal_mode", "off")
        connection.pragma("cache_size", -CACHE_KIB)
        connection.execute("BEGIN")
        schema.initialize(connection, reduced.definition)
        connection.execute(ddl.DROP_INDEX)
        _insert(connection, reduced)
        connection.execute(ddl.CREATE_INDEX)
        # All rows are sealed, and none are in blocks.
        for mark in ("sealed_before", "blocks_from"):
            schema.write_meta(connection, mark, FOREVER)
        connection.execute("COMMIT")
    except BaseException:
        schema.close(connection)
        raise
    return connection


def _insert(connection: Connection, reduced: Reduced) -> None:
    ids: dict[str, int] = {}
    for batch in reduced.batches:
        cells = [(bucket, ids.setdefault(name, len(ids)), *numbers) for name, bucket, *numbers, _ in batch]
        connection.executemany(NEW_CELL, cells)
        connection.executemany(NEW_TOTAL, [(bucket, *numbers) for bucket, _, *numbers in cells])
        if reduced.definition.percentiles:
            sketches = [(bucket, ids[name], bins) for name, bucket, *_, bins in batch if bins is not None]
            connection.executemany(NEW_SKETCH, sketches)
            connection.executemany(NEW_TOTAL_SKETCH, [(bucket, bins) for bucket, _, bins in sketches])
    connection.executemany(NEW_NAME, ids.items())
