"""Walks the B-trees of a damaged archive without SQLite.

Each row has a grade, which tells how well the file's structure supports it:

    SURE    the page was reached from the tree's root through whole pages, and its keys ascend within the bounds of the
            parent; or it is an orphan, and not in the list of free pages, which is complete
    TRACE   anything else that looks like a row, on pages that are not whole or may be free. The row may have been
            changed or deleted since

The walk stops at a page that is not whole. The pages below it are read as orphans: pages that no page refers to.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tally.engine.definition import PROPERTIES
from tally.engine.recovery.pages import Cell, Page, Pages, Row
from tally.engine.storing import tracking, watermarks
from tally.engine.storing.clock import ClockState
from tally.engine.storing.lineage import Lineage

TRACE, SURE = 0, 1
META = frozenset(
    (
        *PROPERTIES,
        *watermarks.KEYS,
        *ClockState._fields,
        *Lineage._fields,
        *tracking.KEYS,
        "merges",
        "slug",
    )
)
# Less and greater than all keys.
FIRST: "Key" = ()
LAST: "Key" = (math.inf,)

Key = tuple[Any, ...]


class Shape(NamedTuple):
    """The shape of a tree's rows: `fits` returns whether a row can be one; the key is its first `key` values.

    `root` is the page number that tally's DDL gives it. A row of a table begins with its rowid.
    """

    name: str
    is_table: bool
    key: int
    root: int
    fits: Callable[[Row], bool]


def _whole(*values: object) -> bool:
    return {int}.issuperset(map(type, values))


def _numbers(*values: object) -> bool:
    """Return whether the values are numbers or NULL, as which SQLite stores NaN."""
    return {int, float, type(None)}.issuperset(map(type, values))


def _is_cell(row: Row) -> bool:
    """Return whether a row has two whole numbers, four aggregates and the sealed flag."""
    return len(row) == 7 and _whole(row[0], row[1], row[6]) and _numbers(*row[2:6])


def _is_meta(row: Row) -> bool:
    return len(row) == 2 and row[0] in META


def _is_key(row: Row) -> bool:
    return len(row) == 2 and isinstance(row[0], str | bytes) and _whole(row[1])


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("meta", False, 1, 2, _is_meta),
        Shape("names", True, 1, 3, lambda row: len(row) == 2 and isinstance(row[1], str | bytes)),
        Shape("names_key", False, 1, 4, _is_key),
        Shape("data", False, 2, 5, _is_cell),
        Shape("data_by_name", False, 2, 6, _is_cell),
        Shape("totals", True, 1, 7, lambda row: len(row) == 5 and _numbers(*row[1:])),
        Shape("blocks", False, 2, 8, lambda row: len(row) == 6 and _whole(row[0], row[1]) and _numbers(*row[2:])),
        Shape("deliveries", True, 1, 9, lambda row: len(row) == 7 and isinstance(row[1], str)),
        Shape("deliveries_key", False, 1, 10, _is_key),
    )
}
_SCHEMA_NAMES = {"sqlite_autoindex_names_1": "names_key", "sqlite_autoindex_deliveries_1": "deliveries_key"}
# The trees whose traces count as a second source, and the start of their records: header size and serial types.
_TRACED = {name: SHAPES[name] for name in ("names", "names_key", "data", "data_by_name")}
_TEXT = rb"(?:[\x0d-\x7f]|[\x81-\x8f][\x00-\x7f])"
_HEADS = re.compile(rb"(?=\x08[\x01-\x09]{7}|[\x03\x04](?:\x00%b|%b[\x01-\x09]))" % (_TEXT, _TEXT), re.DOTALL)


class Found(NamedTuple):
    """A row with its grade; `low` and `high` are the keys before and after it if those are SURE, else None."""

    row: Row
    grade: int
    low: Key | None = None
    high: Key | None = None


class Trees:
    """The trees of a file. Walk all of them before reading `orphans`.

    `lost` has the unreadable pages of trees, and `read` counts the pages read so far.
    """

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.lost: set[int] = set()
        self.read = 0
        free, self._is_free_known = pages.free()
        self._free = free if self._is_free_known else set()
        self._walked: set[int] = {1}
        self._roots = self._read_roots()

    def _read_roots(self) -> dict[str, int]:
        page = self.pages.page(1)
        if page is None:
            self.lost.add(1)
        rows = [cell.row for cell in page.cells] if page else []
        found = {_SCHEMA_NAMES.get(row[1], row[1]): row[3] for row in rows if len(row) == 5 and _whole(row[3])}
        return {name: found.get(name, shape.root) for name, shape in SHAPES.items()}

    def walk(self, name: str) -> Iterator[Row | None]:
        """Yield the rows of a tree in key order, and None where rows may be missing."""
        shape = SHAPES[name]
        roots = dict.fromkeys((self._roots[name], shape.root))
        for root in roots:
            if self._fitting(root, shape, (), None) is not None:
                return self._walk(root, shape, (), None)
        self.lost.add(shape.root)
        return iter((None,))

    def found(self, name: str) -> Iterator[Found | None]:
        """Yield the rows of `walk`, each with the keys before and after it."""
        width = SHAPES[name].key
        before: Key | None = FIRST
        row: Row | None = None
        is_first = True
        for after in self.walk(name):
            if not is_first:
                yield Found(row, SURE, before, after and after[:width]) if row else None
                before = row and row[:width]
            row, is_first = after, False
        if not is_first:
            yield Found(row, SURE, before, LAST) if row else None

    def _walk(self, number: int, shape: Shape, low: Key, high: Key | None) -> Iterator[Row | None]:
        page = self._fitting(number, shape, low, high)
        if page is None:
            self.lost.update({number} - self._walked)
            yield None
            return
        self._walked.add(number)
        self.read += 1
        for cell in page.cells:
            row = _row(cell, shape)
            if not page.is_leaf:
                yield from self._walk(cell.child, shape, low, row[: shape.key])
            if page.is_leaf or not shape.is_table:
                yield row
            low = row[: shape.key]
        if not page.is_leaf:
            yield from self._walk(page.right, shape, low, high)

    def _fitting(self, number: int, shape: Shape, low: Key, high: Key | None) -> Page | None:
        """Return a page if it was not walked, fits the shape, and its keys ascend between `low` and `high`."""
        if number in self._walked:
            return None
        if number in self._free:
            self._is_free_known = False  # Either the list or the tree is wrong.
            return None
        page = self.pages.page(number)
        return page if page is not None and _fits(page, shape, low, high) else None

    def orphans(self) -> Iterator[tuple[str, Found]]:
        """Yield the rows on orphaned pages with the name of their tree, or as a trace of each possible tree."""
        free = self._free if self._is_free_known else set()
        for number in range(1, self.pages.count + 1):
            if number in self._walked or number in free:
                continue
            self.read += 1
            page = self.pages.page(number)
            names = [name for name, shape in SHAPES.items() if page and page.cells and _fits(page, shape, (), None)]
            if page and len(names) == 1 and self._is_free_known:
                yield from _read_orphan(page, SHAPES[names[0]])
            else:
                yield from self._traces(number)

    def _traces(self, number: int) -> Iterator[tuple[str, Found]]:
        for rowids, row in self.pages.traces(number, _HEADS):
            for name, shape in _TRACED.items():
                for each in ((rowid, *row[1:]) for rowid in rowids) if shape.is_table else (row,):
                    if shape.fits(each):
                        yield name, Found(each, TRACE)


def _read_orphan(page: Page, shape: Shape) -> Iterator[tuple[str, Found]]:
    """Yield the rows of an orphaned page; on an interior page other rows are between them."""
    rows = [_row(cell, shape) for cell in page.cells] if page.is_leaf or not shape.is_table else []
    keys: list[Key | None] = [None, *(row[: shape.key] if page.is_leaf else None for row in rows), None]
    for row, low, high in zip(rows, keys, keys[2:], strict=False):
        yield shape.name, Found(row, SURE, low, high)


def _row(cell: Cell, shape: Shape) -> Row:
    """Return the row of a cell. In a table, the rowid replaces the first value, for which SQLite stores NULL."""
    if not shape.is_table:
        return cell.row
    return (cell.rowid, *cell.row[1:])


def _fits(page: Page, shape: Shape, low: Key, high: Key | None) -> bool:
    if page.is_table != shape.is_table:
        return False
    rows = [_row(cell, shape) for cell in page.cells]
    if page.is_leaf or not shape.is_table:
        if not all(row and shape.fits(row) for row in rows):
            return False
    elif not rows:
        return False
    try:
        keys = [low, *(row[: shape.key] for row in rows)]
        ascends = all(map(_before, keys, keys[1:]))
        return ascends and (high is None or keys[-1] < high or (shape.is_table and keys[-1] == high))
    except TypeError:  # Keys of other types belong to another tree.
        return False


def _before(one: Key, other: Key) -> bool:
    return one < other
