"""Count, sum, min and max of samples in memory, before they are committed.

A sample without timestamp belongs to the second of its receipt, so those of one bucket come together: their values are
kept as they are, a list a name, until the bucket is over or FOLD_VALUES have come, and are then folded by `sum`, `min`
and `max`. A sample with a timestamp is merged at once into the cell of its bucket.

    values   {name: [value, ...]}            of the open bucket
    cells    {bucket: {name: (count, sum, min, max)}}
"""

from collections import Counter
from collections.abc import Iterable

from tally.wire import Columns, Reason, Sample, decode_name, lines, parse_columns, parse_line

FOLD_VALUES = 100_000
# Fewer lines than this are sooner parsed one by one.
PLAIN_LINES = 4

Cell = tuple[float, float, float, float]
Cells = dict[int, dict[str, Cell]]


class _Full(Exception):
    """Raised when there is no room for another cell."""


class _NotAName(Exception):
    """Raised when bytes do not name a metric."""


class _Values(dict[bytes, list[float]]):
    """Values by name; a name is judged when it comes first."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __missing__(self, name: bytes) -> list[float]:
        if decode_name(name) is None:
            raise _NotAName
        if len(self) >= self.room:
            raise _Full
        values = self[name] = []
        return values


class Rollup:
    """Samples in buckets of `resolution` seconds, at most `max_cells` of them, a cell a bucket and name.

    `accepted` counts the samples taken, `rejected` the lines that were not, by reason. Not safe to use from several
    threads at once.
    """

    def __init__(self, resolution: int, *, max_future_s: int = 0, max_cells: int = 2**62) -> None:
        self.resolution = resolution
        self.accepted = 0
        self.rejected: Counter[Reason] = Counter()
        self._max_future_s = max_future_s
        self._max_cells = max_cells
        self._cells: Cells = {}
        self._size = 0
        self._bucket = 0
        self._values = _Values(max_cells)
        self._pending = 0

    @property
    def size(self) -> int:
        """Return how many cells there are at most."""
        return self._size + len(self._values)

    def add(self, datagrams: list[bytes], now: int) -> None:
        """Take the lines of one or more datagrams that came in the second `now`; every line is counted."""
        self._turn(now)
        if datagrams and not self._add_plain(datagrams, now):
            for datagram in datagrams:
                found = lines(datagram)
                if len(datagrams) == 1 or len(found) < PLAIN_LINES or not self._add_plain([datagram], now):
                    for line in found:
                        self._add_line(line, now)

    def _turn(self, now: int) -> None:
        """Open the bucket of `now`."""
        bucket = now // self.resolution * self.resolution
        if bucket != self._bucket or self._pending >= FOLD_VALUES:
            self._fold()
            self._bucket = bucket

    def _add_plain(self, datagrams: list[bytes], now: int) -> bool:
        """Add all lines at once, or none and return False."""
        columns = parse_columns(datagrams)
        if columns is None:
            return False
        if columns.timestamps:
            return self._add_timed(columns, now)
        try:
            series = list(map(self._values.__getitem__, columns.names))
        except (_NotAName, _Full):
            return False
        for values, value in zip(series, columns.values, strict=True):
            values.append(value)
        self._pending += len(series)
        self.accepted += len(series)
        return True

    def _add_timed(self, columns: Columns, now: int) -> bool:
        latest = now + self._max_future_s
        names = [decode_name(name) for name in columns.names]
        if None in names or max(columns.timestamps) > latest or self.size + len(names) > self._max_cells:
            return False
        for sample in map(Sample, names, columns.values, columns.timestamps):  # type: ignore[arg-type]
            self.add_sample(sample)
        return True

    def _add_line(self, line: bytes, now: int) -> None:
        sample = parse_line(line, now, self._max_future_s)
        if isinstance(sample, Reason):
            self.rejected[sample] += 1
        elif not self.add_sample(sample):
            self.rejected[Reason.CARDINALITY] += 1

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Take samples, as many as there are; only lines have a bound."""
        for sample in samples:
            self.add_sample(sample)

    def add_sample(self, sample: Sample) -> bool:
        """Take a sample unless there is no room for its cell; return whether it was taken."""
        name, value, timestamp = sample
        row = self._cells.setdefault(timestamp // self.resolution * self.resolution, {})
        cell = row.get(name)
        if cell is None:
            if self.size >= self._max_cells:
                return False
            self._size += 1
            row[name] = (1, value, value, value)
        else:
            count, total, low, high = cell
            row[name] = (count + 1, total + value, value if value < low else low, value if value > high else high)
        self.accepted += 1
        return True

    def _fold(self) -> None:
        folded = {
            name.decode(): (len(values), sum(values, 0.0), min(values), max(values))
            for name, values in self._values.items()
            if values
        }
        self._values = _Values(self._max_cells - self._size)
        self._pending = 0
        if folded:
            known = self._cells.get(self._bucket, {})
            self._size += len(folded.keys() - known.keys())
            merge(self._cells, {self._bucket: folded}, self.resolution)

    def take(self) -> Cells:
        """Return all cells, and begin anew; the counters go on."""
        self._fold()
        cells, self._cells = self._cells, {}
        self._size = 0
        self._values = _Values(self._max_cells)
        return {bucket: row for bucket, row in cells.items() if row}


def merge(target: Cells, cells: Cells, resolution: int) -> None:
    """Merge `cells` into those of `target`, whose buckets have `resolution` seconds: a multiple of their own."""
    for bucket, row in cells.items():
        bucket = bucket // resolution * resolution
        if bucket not in target:
            target[bucket] = row.copy()
            continue
        merged = target[bucket]
        for name, (count, total, low, high) in row.items():
            present = merged.get(name)
            if present is None:
                merged[name] = (count, total, low, high)
            else:
                merged[name] = (
                    present[0] + count,
                    present[1] + total,
                    low if low < present[2] else present[2],
                    high if high > present[3] else present[3],
                )


def count(cells: Cells) -> int:
    """Return how many samples are in `cells`."""
    return int(sum(cell[0] for row in cells.values() for cell in row.values()))
