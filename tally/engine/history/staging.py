"""Collects the cells of an import in a temporary SQLite file, and checks them, before any archive is locked.

The file has the tables that `loading` reads. Its constraints check each cell, and SQLite converts numbers from text,
which takes half of the time of doing both in Python.

    time        name                count  sum  avg  min   max
    1700000000  requests.get.index  2      1.0  0.5  0.25  0.75     one list, row after row, and its Layout
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tally.engine.files import ddl, statements
from tally.engine.files.connection import Connection
from tally.engine.files.failure import translate_errors
from tally.engine.files.temporary import temporary_file
from tally.engine.storing.cells import ROUNDING
from tally.engine.storing.ids import NameIds
from tally.errors import ArchiveUnavailable, InvalidSample
from tally.lines.plain import VALUE_MAX, stored_name

FIELDS = ("time", "name", "count", "sum", "min", "max")
# Rows in a statement; see `storing.batch`.
BATCH_ROWS = 128
CACHE_KIB = 16_384
# More names than this are looked up in the file again.
NAMES_CACHED = 100_000


class Layout(NamedTuple):
    """The number of values in a row, and the positions of FIELDS among them. Other values are ignored."""

    width: int
    places: tuple[int, ...]

    @classmethod
    def of(cls, header: Sequence[str]) -> "Layout":
        """Return the layout of rows with these columns, which include FIELDS."""
        return cls(len(header), tuple(map(header.index, FIELDS)))

    @property
    def name(self) -> int:
        """The position of the name."""
        return self.places[FIELDS.index("name")]

    def size(self, rows: int) -> int:
        """Return the number of values that `_insertion` takes for so many rows: those up to the last one used."""
        return (rows - 1) * self.width + max(self.places) + 1


PLAIN = Layout.of(FIELDS)


class InvalidRow(Exception):
    """Raised when a row is no cell; `row` is its index in the list. Readers turn it into InvalidSample."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row


class Staging:
    """The cells in a temporary file at `path`, counted by `cells`. Times after `latest` in unix seconds are invalid."""

    def __init__(self, path: Path, *, latest: int) -> None:
        self.path = path
        self.latest = latest
        self.cells = 0
        self._known: dict[str, int] = {}
        self._ids = NameIds()
        self._connection = Connection(str(path), is_long=True)
        self._connection.pragma("journal_mode", "memory")
        self._connection.pragma("synchronous", "off")
        self._connection.pragma("cache_size", -CACHE_KIB)
        schema = ddl.STAGING.format(latest=latest, most=VALUE_MAX, rounding=ROUNDING)
        self._connection.execute(schema).fetchall()
        self._connection.execute("BEGIN")

    def add(self, values: list[Any], layout: Layout = PLAIN) -> None:
        """Add the rows of `values`, and replace the names in it by ids.

        :raises InvalidRow: when a row is no cell; those before it are added.
        """
        rows = len(values) // layout.width
        with translate_errors(self.path):
            values[layout.name :: layout.width] = self._identify(values[layout.name :: layout.width])
            before = self._connection.total_changes()
            try:
                self._insert(values, layout, rows=BATCH_ROWS)
            except apsw.ConstraintError:
                added = self._connection.total_changes() - before
                self._insert_singly(values[added * layout.width :], layout, first=added)
        self.cells += rows

    def _insert(self, values: list[Any], layout: Layout, *, rows: int) -> None:
        size = layout.size(rows)
        whole = len(values) // (rows * layout.width) * rows * layout.width
        starts = range(0, whole, rows * layout.width)
        self._connection.executemany(_insertion(layout, rows), (values[start : start + size] for start in starts))
        if whole < len(values):
            self._insert(values[whole:], layout, rows=1)

    def _insert_singly(self, values: list[Any], layout: Layout, *, first: int) -> None:
        """Insert rows one by one to find the first that is not valid."""
        for row in range(len(values) // layout.width):
            one = values[row * layout.width : (row + 1) * layout.width]
            try:
                self._insert(one, layout, rows=1)
            except apsw.ConstraintError as error:
                raise InvalidRow(first + row, self._explain(str(error), layout, one)) from None

    def _explain(self, error: str, layout: Layout, row: list[Any]) -> str:
        if error.endswith(("failed: time", "data.bucket")):
            return f"time {row[layout.places[0]]!r:.100} is not valid: use whole unix seconds, from 0 to {self.latest}"
        cell = tuple(row[place] for place in layout.places[2:])
        return (
            f"count, sum, min and max {cell!r:.100} are not valid: use a count of at least 1, min <= max, both at most "
            f"{VALUE_MAX:g} in magnitude, and a sum from count * min to count * max"
        )

    def _identify(self, names: list[str]) -> list[int]:
        """Return the ids of names.

        :raises InvalidRow: when one is not valid.
        """
        try:
            return [*map(self._known.__getitem__, names)]
        except KeyError:
            self._learn(names)
        return [*map(self._known.__getitem__, names)]

    def _learn(self, names: list[str]) -> None:
        if len(self._known) > NAMES_CACHED:
            self._known = {}
        stored: dict[str, str] = {}
        for name in set(names) - self._known.keys():
            try:
                stored[name] = stored_name(name)
            except InvalidSample as error:
                raise InvalidRow(names.index(name), str(error)) from None
        ids = self._ids.resolve(self._connection, set(stored.values()), max_names=0)
        self._known |= {name: ids[each] for name, each in stored.items()}

    def finish(self) -> None:
        """Commit the cells, so that others can read the file."""
        with translate_errors(self.path):
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@lru_cache(maxsize=8)
def _insertion(layout: Layout, rows: int) -> str:
    starts = range(0, rows * layout.width, layout.width)
    places = (", ".join(f"?{start + place + 1}" for place in layout.places) for start in starts)
    return statements.STAGE.format(", ".join(f"({cell})" for cell in places))


@contextmanager
def staged(directory: Path, *, latest: int) -> Iterator[Staging]:
    """Create a staging file in `directory`, and remove it at the end.

    :raises ArchiveUnavailable: when it cannot be created.
    """
    with ExitStack() as stack:
        try:
            path = stack.enter_context(temporary_file(directory / "import.db"))
        except OSError as error:
            raise ArchiveUnavailable(f"{directory}: cannot be written: {error.strerror}") from error
        staging = Staging(path, latest=latest)
        stack.callback(staging.close)
        yield staging
