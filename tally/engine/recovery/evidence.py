"""Collects the rows of a damaged file from all of its trees into temporary tables, in bounded memory.

copies        rows of `data` and `data_by_name` with their grades (see `trees`)
named         names from their table and its index, with their grades
kept_totals   SURE rows of `totals`
kept_blocks   SURE rows of `blocks`
receipts      SURE rows of `deliveries`
receipt_keys  rows of the index of `deliveries`, with any grade
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import apsw

from tally.engine.asking.sql import FOREVER
from tally.engine.recovery import queries
from tally.engine.recovery.pages import Row
from tally.engine.recovery.proof import Candidate, Total
from tally.engine.recovery.trees import SURE, Found, Key, Trees
from tally.errors import InvalidSample
from tally.lines.plain import check_name

BATCH_ROWS = 10_000
# In the order in which they are read.
READ = ("names", "names_key", "totals", "blocks", "deliveries", "deliveries_key", "data", "data_by_name")

Report = Callable[[], None]
Gap = tuple[int | None, int | None]


class Name(NamedTuple):
    """A metric name, and whether it is proven."""

    text: str
    is_proven: bool


class Bucket(NamedTuple):
    """A bucket in the file: its total, None if unreadable, and its candidates, sorted by id."""

    second: int
    total: Total | None
    candidates: list[Candidate]


class Evidence:
    """The rows of an archive with `resolution` seconds a bucket, in temporary tables of `connection`.

    `gaps` are pairs of buckets between which totals may be missing; None means before or after all buckets. Of the SURE
    rows of `totals`, `fits` counts those whose bucket is a multiple of the resolution, and `misfits` the others. Rows
    before `expired_before` are hidden (see `storing.expiry`), unless a total says otherwise.
    """

    def __init__(
        self,
        trees: Trees,
        connection: apsw.Connection,
        *,
        resolution: int,
        block_buckets: int,
        expired_before: int = 0,
    ) -> None:
        self.gaps: list[Gap] = []
        self.fits = self.misfits = 0
        # The buckets next to which totals may be missing, and whether they are missing after it.
        self._edges: list[tuple[int, bool]] = []
        self._trees = trees
        self._connection = connection
        self._resolution = resolution
        self._block_s = resolution * block_buckets
        self._expired_before = expired_before
        self._ids: list[int] = []
        self._batches: dict[str, list[Row]] = {name: [] for name in queries.EVIDENCE}

    def gather(self, report: Report) -> None:
        """Read all trees; `report` is called for each row."""
        self._connection.execute(queries.EVIDENCE_TABLES).fetchall()
        are_whole = {name: self._read(name, report) for name in READ}
        for name, found in self._trees.orphans():
            if name in self._batches:
                self._add(name, found)
            report()
        for name in self._batches:
            self._flush(name)
        self._connection.execute(queries.EVIDENCE_INDEXES).fetchall()
        self.gaps = [] if are_whole["totals"] else self._find_gaps()
        if are_whole["names"] or are_whole["names_key"]:
            self._ids = [row[0] for row in self._connection.execute(queries.EVIDENT_IDS)]

    def _read(self, name: str, report: Report) -> bool:
        """Read a tree. Return whether it is complete."""
        is_whole = True
        for found in self._trees.found(name):
            report()
            is_whole &= found is not None and self._add(name, found)
        return is_whole

    def _find_gaps(self) -> list[Gap]:
        """Return the pairs of buckets between which totals may be missing."""
        gaps: list[Gap] = []
        before: int | None = None
        for bucket, is_end in sorted(self._edges):
            if not is_end and (before is None or bucket - before > self._resolution):
                gaps.append((before, bucket))
            before = bucket
        is_open = not self._edges or max(self._edges)[1]
        return [*gaps, *([(before, None)] if is_open else [])]

    def _add(self, name: str, found: Found) -> bool:
        """Add a row. Return whether it is valid."""
        row: Row | None = getattr(self, f"_{name}")(found)
        if row is None:
            return False
        batch = self._batches[name]
        batch.append(row)
        if len(batch) >= BATCH_ROWS:
            self._flush(name)
        return True

    def _flush(self, name: str) -> None:
        self._connection.executemany(queries.EVIDENCE[name], self._batches[name])
        self._batches[name].clear()

    def _names(self, found: Found) -> Row:
        return (*found.row, found.grade)

    def _names_key(self, found: Found) -> Row:
        name, each = found.row
        return each, name, found.grade

    def _totals(self, found: Found) -> Row | None:
        bucket, *values = found.row
        if found.grade != SURE:
            return None
        if bucket % self._resolution:
            self.misfits += 1
            self._edges += [(key[0], is_end) for key, is_end in ((found.low, True), (found.high, False)) if key]
            return None
        self.fits += 1
        self._edges += [(bucket, is_end) for key, is_end in ((found.low, False), (found.high, True)) if key is None]
        return bucket, *(values if _are_numbers(values) else [None] * len(values))

    def _blocks(self, found: Found) -> Row | None:
        return found.row[:3] if found.grade == SURE else None

    def _deliveries(self, found: Found) -> Row | None:
        _, _, digest, *numbers = found.row
        is_one = isinstance(digest, bytes) and all(type(number) is int for number in numbers)
        return found.row if is_one and found.grade == SURE else None

    def _deliveries_key(self, found: Found) -> Row:
        return found.row

    def _data(self, found: Found) -> Row | None:
        bucket, each = found.row[:2]
        return self._copy(bucket, each, found, (_low(found.low, bucket), _high(found.high, bucket)))

    def _data_by_name(self, found: Found) -> Row | None:
        each, bucket = found.row[:2]
        return self._copy(bucket, each, found, (None, None))

    def _copy(self, bucket: int, each: int, found: Found, ends: tuple[int | None, int | None]) -> Row | None:
        count, *values, _ = found.row[2:]
        if bucket % self._resolution or not _are_numbers((count, *values)):
            return None
        return bucket, each, count, *map(float, values), found.grade, *ends

    def names(self) -> dict[int, Name]:
        """Return the names by id. A name is proven by both places, or by one if the other has a damaged copy of it."""
        found: list[Row] = self._connection.execute(queries.EVIDENT_NAMES).fetchall()
        times = Counter(row[1] for row in found if _is_present(row))
        names: dict[int, Name] = {}
        for each, group in groupby(found, itemgetter(0)):
            rows = list(group)
            present = [row for row in rows if _is_present(row)]
            if len(present) == 1 and times[present[0][1]] == 1:
                _, text, *places = present[0]
                names[each] = Name(text, None not in places or any(_is_nearly(text, row[1]) for row in rows))
        return names

    def buckets(self) -> Iterator[Bucket]:
        """Yield the buckets in order, without hidden ones."""
        earliest = self._connection.execute(queries.FIRST_TOTAL).get
        first = self._expired_before if earliest is not None and earliest >= self._expired_before else 0
        totals = ((row[0], Total(*row[1:])) for row in self._connection.execute(queries.EVIDENT_TOTALS))
        cells = ((row[0], Candidate(*row[1:])) for row in self._connection.execute(queries.CANDIDATES))
        for second, group in groupby(merge(totals, cells, key=itemgetter(0)), itemgetter(0)):
            found = [each for _, each in group]
            kept = {each for each in found if isinstance(each, Total)}
            total = next(iter(kept)) if len(kept) == 1 else None
            candidates = [each for each in found if isinstance(each, Candidate)]
            is_visible = second >= first
            if is_visible and (kept or any(candidate.is_sure for candidate in candidates)):
                # Otherwise it was deleted or never existed.
                yield Bucket(second, None if total is None or None in total else total, candidates)

    def is_only_name(self, bucket: int, cell: Candidate) -> bool:
        """Return whether no other name can be at the place of a cell: none fits there, or the name's block adds up."""
        if self._ids and cell.low is not None and cell.high is not None:
            between = bisect_left(self._ids, cell.high) - bisect_right(self._ids, cell.low)
            if between == 1 and cell.low < cell.id < cell.high:
                return True
        block = bucket // self._block_s * self._block_s
        bounds = {"block": block, "end": block + self._block_s, "id": cell.id}
        return bool(self._connection.execute(queries.BLOCK_ADDS_UP, bounds).get)

    def sealed_before(self) -> int:
        """Return the end of the last bucket that has a total and a cell in `data_by_name`; 0 if there is none."""
        last = self._connection.execute(queries.LAST_INDEXED).get
        return 0 if last is None else int(last) + self._resolution

    def receipts(self) -> list[Row]:
        """Return the rows of `deliveries` whose key and id are in the table and its index."""
        return self._connection.execute(queries.EVIDENT_RECEIPTS).fetchall()

    def short_names(self) -> list[int]:
        """Return the ids of names whose blocks have more samples than the cells in the archive's `data`."""
        return [row[0] for row in self._connection.execute(queries.SHORT_NAMES, {"block_s": self._block_s})]


def _are_numbers(values: Sequence[Any]) -> bool:
    """Return whether all values are finite numbers."""
    return None not in values and math.isfinite(sum(values))


def _low(key: Key | None, bucket: int) -> int | None:
    """Return the previous id in the bucket, or -FOREVER if the previous key is in another bucket."""
    if key is None:
        return None
    return int(key[1]) if key[:1] == (bucket,) else -FOREVER


def _high(key: Key | None, bucket: int) -> int | None:
    if key is None:
        return None
    return int(key[1]) if key[:1] == (bucket,) else FOREVER


def _is_present(row: Row) -> bool:
    """Return whether a row has a valid name, and is more than a trace in one place."""
    _, text, *places = row
    return _is_name(text) and (SURE in places or None not in places)


def _is_name(text: object) -> bool:
    try:
        return check_name(text) == text
    except InvalidSample:
        return False


def _is_nearly(name: str, other: object) -> bool:
    """Return whether `other` is not a valid name and differs from `name` in one byte."""
    theirs = other.encode() if isinstance(other, str) else other
    ours = name.encode()
    if not isinstance(theirs, bytes) or _is_name(other) or len(ours) != len(theirs):
        return False
    return sum(one != another for one, another in zip(ours, theirs, strict=True)) == 1
