"""Aggregates samples in memory before they are committed: count, sum, min and max per bucket and name.

Most samples have no timestamp and belong to the second of receipt, so they arrive in the open bucket. Its values are
collected in one list per name and folded with `sum`, `min` and `max` when the bucket closes or FOLD_VALUES have
arrived. Samples for other buckets, and all StatsD samples, are merged into their cells immediately.

    values   {name: [value, ...]}            open bucket only
    cells    {bucket: {name: (count, sum, min, max, sketch)}}

Cells have a sketch if an archive keeps percentiles (see `sketch`); otherwise it is None. Bins take capacity too. Beyond
the capacity new sketches are not made: the cells are stored without percentiles.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from tally.engine.sketch import Cell, join, make_sketch
from tally.engine.storing.capacity import Capacity, weigh, weigh_all, weigh_heaviest
from tally.engine.storing.merging import CELL_BINS, Cells, count, count_bins, merge
from tally.engine.storing.statsd import Gauges, Sets
from tally.lines import grammar
from tally.lines.plain import (
    PARSE_MAX_BYTES,
    Columns,
    Reason,
    Sample,
    decode_names,
    lines,
    parse_columns,
    parse_value,
    split,
)
from tally.lines.statsd import Line, Observed

FOLD_VALUES = 100_000
# Beside one alias for each name. Lines with further spellings are parsed one at a time.
ALIASES_MAX = 4096
NO_LIMIT = Capacity()


class Rollup:
    """Aggregates samples into buckets of `resolution` seconds, up to `capacity`. Not thread-safe.

    `rejected` counts rejected lines by reason, and `examples` has the first line of each reason; `empty` counts lines
    without a measurement. `size` is the weight of all cells, bins and set members. `sketched` adds sketches to the
    cells. Pass the same `gauges` to successive rollups. After a MemoryError the counters still agree with the cells.
    """

    def __init__(
        self,
        resolution: int,
        *,
        max_future_s: int = 0,
        capacity: Capacity = NO_LIMIT,
        gauges: Gauges | None = None,
        sketched: bool = False,
    ) -> None:
        self.resolution = resolution
        self.capacity = capacity
        self.empty = 0
        self.rejected: Counter[Reason] = Counter()
        self.examples: dict[str, bytes] = {}
        self.size = 0
        self.sketched = sketched
        self._bins = 0
        self._max_future_s = max_future_s
        self._counted = 0
        self._cells: Cells = {}
        self._open = -1
        self._values: dict[bytes, list[float]] = {}
        # Spellings of names that share the list of the stored name.
        self._aliases: list[bytes] = []
        self._pending = 0
        self._gauges = Gauges() if gauges is None else gauges
        self._sets = Sets()

    @property
    def accepted(self) -> int:
        """The number of accepted samples and lines."""
        aliases = set(self._aliases)
        return self._counted + sum(len(values) for name, values in self._values.items() if name not in aliases)

    def add(self, datagrams: Sequence[bytes], now: int) -> None:
        """Add the lines of datagrams received in the second `now`. Every line is counted."""
        self._open_bucket(now)
        if self._add_plain(datagrams, now):
            return
        if len(datagrams) > 1 and sum(map(len, datagrams)) > PARSE_MAX_BYTES:
            for datagram in datagrams:
                self.add([datagram], now)
        else:
            self._add_lines(lines(b"\n".join(datagrams)), now)

    def _add_lines(self, found: list[bytes], now: int) -> None:
        """Add lines one at a time when some are not plain. A plain line of a known name costs 0.7 µs."""
        rejected: list[Reason] = []  # Counting them together takes a quarter of the time.
        try:
            for line in found:
                fields = split(line)
                series = self._values.get(fields[0]) if len(fields) == 2 else None
                value = None if series is None else parse_value(fields[1])
                if series is not None and value is not None:
                    series.append(value)
                    self._pending += 1
                    continue
                parsed = grammar.parse_fields(line, fields, now, self._max_future_s)
                if (reason := self._add_parsed(parsed)) is not None:
                    rejected.append(reason)
                    self.examples.setdefault(reason, line)
        finally:
            self._count_rejected(rejected)

    def add_line(self, line: bytes, now: int) -> Reason | None:
        """Add a line received in the second `now`, as `add` does. Return the reason if it is rejected."""
        reason = self._add_parsed(grammar.parse_line(line, now, self._max_future_s))
        if reason is not None:
            self.reject(line, reason)
        return reason

    def _open_bucket(self, now: int) -> None:
        """Open the bucket of `now`. Fold the collected values if it is a new bucket or FOLD_VALUES are collected."""
        bucket = now // self.resolution * self.resolution
        if bucket != self._open or self._pending >= FOLD_VALUES:
            self._fold()
            self._open = bucket

    def _add_plain(self, datagrams: Sequence[bytes], now: int) -> bool:
        """Add all lines at once; if that is not possible, add none and return False."""
        columns = parse_columns(datagrams)
        if columns is None:
            return False
        if columns.timestamps and not self._are_in_open_bucket(columns.timestamps, now):
            return self._add_timed(columns, now)
        try:
            series = list(map(self._values.__getitem__, columns.names))
        except KeyError:
            if not self._start_series(columns.names):
                return False
            series = list(map(self._values.__getitem__, columns.names))
        deque(map(list.append, series, columns.values), maxlen=0)  # The loop runs in C.
        self._pending += len(series)
        return True

    def _are_in_open_bucket(self, timestamps: list[int], now: int) -> bool:
        """Return whether all timestamps are valid and in the open bucket, which costs a third of `_add_timed`."""
        latest = min(self._open + self.resolution - 1, now + self._max_future_s)
        return self._open <= min(timestamps) and max(timestamps) <= latest

    def _start_series(self, names: list[bytes]) -> bool:
        """Start a list for each new name in the open bucket. Start none if a name is invalid or capacity is short."""
        new = [name for name in dict.fromkeys(names) if name not in self._values]
        texts = decode_names(new)
        if texts is None:
            return False
        stored = " ".join(texts).encode().split(b" ")
        aliases = [] if stored == new else [pair for pair in zip(new, stored, strict=True) if pair[0] != pair[1]]
        known = self._cells.get(self._open, {})
        cells = [text for text in texts if text not in known]
        if aliases:
            own = dict(zip(texts, stored, strict=True))
            cells = [text for text, name in own.items() if text not in known and name not in self._values]
        size = weigh_all(cells)
        names_before = len(self._values) - len(self._aliases)
        has_room = len(self._aliases) + len(aliases) <= ALIASES_MAX + names_before + len(cells)
        if not has_room or not self._has_capacity(cells, size):
            return False
        self.size += size
        self._aliases += [alias for alias, _ in aliases]
        self._values.update([(name, []) for name in new])
        for alias, name in aliases:
            self._values[alias] = self._values.setdefault(name, [])
        return True

    def _has_capacity(self, names: Iterable[str], cells: int) -> bool:
        """Return whether cells of these names fit, whose weight is `cells`."""
        size, capacity = self.size + cells, self.capacity
        return size <= capacity.free or (size <= capacity.most and all(map(capacity.admits, names)))

    def _add_timed(self, columns: Columns, now: int) -> bool:
        if max(columns.timestamps) > now + self._max_future_s:
            return False
        names = [*set(columns.names)]
        found = decode_names(names)
        if found is None or self.size + len(columns.names) * weigh_heaviest(found) > self.capacity.free:
            return False
        texts = dict(zip(names, found, strict=True))
        for name, value, timestamp in zip(*columns, strict=True):
            self.add_sample(Sample(texts[name], value, timestamp))
        return True

    def _add_parsed(self, found: Sample | Line | Reason) -> Reason | None:
        """Add the content of a parsed line. Return the reason if it is rejected."""
        if isinstance(found, Sample):
            return None if self.add_sample(found) else Reason.CARDINALITY
        return self._add_measures(found) if isinstance(found, Line) else found

    def reject(self, line: bytes, reason: Reason) -> None:
        """Count a rejected line."""
        self.examples.setdefault(reason, line)
        self._count_rejected([reason])

    def _count_rejected(self, reasons: list[Reason]) -> None:
        self.rejected.update(reasons)
        self.empty += self.rejected.pop(Reason.EMPTY, 0)
        self.examples.pop(Reason.EMPTY, None)

    def reject_unmatched(self, cells: Cells) -> None:
        """Count the samples of cells whose names match no archive."""
        for row in cells.values():
            self.examples.setdefault(Reason.UNMATCHED, next(iter(row)).encode())
        if cells:
            self.rejected[Reason.UNMATCHED] += count(cells)

    def _add_measures(self, found: Line) -> Reason | None:
        """Add every measurement of a StatsD line, or none and return the reason."""
        name, measures = found.name, found.measures
        values = self._gauges.values(name, measures.gauges)
        if isinstance(values, Reason):
            return values
        observed = [*measures.observed, *(Observed(value, 1) for value in values)]
        bucket = found.timestamp // self.resolution * self.resolution
        is_new = bool(observed) and not self._has_cell(bucket, name)
        cells = is_new * weigh(name) + self._sets.count_new(name, measures.members)
        if cells and not self._has_capacity([name], cells):
            return Reason.CARDINALITY
        present = self._find_cell(bucket, name) if observed else None
        cell = self._merge_observed(bucket, name, present, observed) if observed else None
        size, counted = self.size + cells, self._counted + 1
        self._sets.add(name, measures.members, found.timestamp)
        self._gauges.store(name, values)
        if cell is not None:
            self._set_cell(bucket, name, cell)
        self.size, self._counted = size, counted
        self._weigh_bins(present, cell)
        return None

    def _has_cell(self, bucket: int, name: str) -> bool:
        return name in self._cells.get(bucket, ()) or (bucket == self._open and name.encode() in self._values)

    def _merge_observed(self, bucket: int, name: str, present: Cell | None, observed: list[Observed]) -> Cell:
        """Return a cell merged with further samples."""
        cells = {} if present is None else {bucket: {name: present}}
        for value, weight in observed:
            self._merge(cells, {bucket: {name: (weight, value * weight, value, value, None)}})
        return cells[bucket][name]

    def _find_cell(self, bucket: int, name: str) -> Cell | None:
        """Return a cell without the values of the open bucket."""
        return self._cells.get(bucket, {}).get(name)

    def _set_cell(self, bucket: int, name: str, cell: Cell) -> None:
        row = self._cells.get(bucket)
        if row is None:
            self._cells[bucket] = {name: cell}
        else:
            row[name] = cell

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Add samples, as far as capacity allows."""
        for sample in samples:
            self.add_sample(sample)

    def add_sample(self, sample: Sample) -> bool:
        """Add a sample. Return False if there is no capacity for its cell."""
        bucket = sample.timestamp // self.resolution * self.resolution
        return self._add_open(sample) if bucket == self._open else self._add_cell(bucket, sample)

    def add_cell(self, name: str, second: int, cell: Cell) -> bool:
        """Add samples that were counted elsewhere, as one. Return False if there is no capacity for their cell."""
        bucket = second // self.resolution * self.resolution
        cells = 0 if self._has_cell(bucket, name) else weigh(name)
        if cells and not self._has_capacity([name], cells):
            return False
        if not self._makes_sketches():
            cell = (*cell[:4], None)
        present = self._find_cell(bucket, name)
        merged: Cells = {} if present is None else {bucket: {name: present}}
        self._merge(merged, {bucket: {name: cell}})
        size, counted = self.size + cells, self._counted + 1
        self._set_cell(bucket, name, merged[bucket][name])
        self.size, self._counted = size, counted
        self._weigh_bins(present, merged[bucket][name])
        return True

    def _add_open(self, sample: Sample) -> bool:
        name = sample.name.encode()
        series = self._values.get(name)
        if series is None:
            if not self._has_cell(self._open, sample.name):
                cells = weigh(sample.name)
                if not self._has_capacity([sample.name], cells):
                    return False
                self.size += cells
            series = self._values[name] = []
        series.append(sample.value)
        self._pending += 1
        return True

    def _add_cell(self, bucket: int, sample: Sample) -> bool:
        name, value, _ = sample
        counted = self._counted + 1
        row = self._cells.get(bucket)
        cell = None if row is None else row.get(name)
        if row is not None and cell is not None:
            count, total, low, high, _ = cell
            sketch = join(cell, (1, value, value, value, None)) if self._makes_sketches() else None
            merged = (
                count + 1,
                total + value,
                value if value < low else low,
                value if value > high else high,
                sketch,
            )
            row[name] = merged
            self._weigh_bins(cell, merged)
        elif self._has_capacity((name,), cells := weigh(name)):
            size = self.size + cells
            self._set_cell(bucket, name, (1, value, value, value, None))
            self.size = size
        else:
            return False
        self._counted = counted
        return True

    def _fold(self) -> None:
        """Merge the values of the open bucket into its cells. A MemoryError leaves both unchanged."""
        for alias in self._aliases:
            self._values.pop(alias, None)
        self._aliases.clear()
        sketched = self._makes_sketches()
        folded: dict[str, Cell] = {
            name.decode(): (
                len(values),
                sum(values, 0.0),
                min(values),
                max(values),
                make_sketch(values) if sketched and len(values) > 1 else None,
            )
            for name, values in self._values.items()
            if values
        }
        present = self._cells.get(self._open)
        if present and folded:
            cells = {self._open: present.copy()}
            self._merge(cells, {self._open: folded})
            folded = cells[self._open]
        counted, values = self.accepted, dict[bytes, list[float]]()
        if folded:
            self._cells[self._open] = folded
        self._counted, self._values, self._pending = counted, values, 0
        if self.sketched and folded:
            self._add_bins(count_bins(folded.values()) - count_bins((present or {}).values()))

    def _add_cells(self, cells: Cells) -> None:
        self._merge(self._cells, cells)

    def _merge(self, target: Cells, cells: Cells) -> None:
        merge(target, cells, self.resolution, sketched=self._makes_sketches())

    def _makes_sketches(self) -> bool:
        return self.sketched and self.size < self.capacity.most

    def _weigh_bins(self, *cells: Cell | None) -> None:
        """Add the weight of the bins that the second of two cells has more than the first."""
        if self.sketched:
            before, after = (count_bins(() if cell is None else (cell,)) for cell in cells)
            self._add_bins(after - before)

    def _add_bins(self, gained: int) -> None:
        bins = self._bins + gained
        self.size += bins // CELL_BINS - self._bins // CELL_BINS
        self._bins = bins

    def take(self) -> Cells:
        """Remove and return all cells. The counters keep their values."""
        self._fold()
        for name, second, members in self._sets.counts():
            self._add_cells({second: {name: (1, members, members, members, None)}})
        self._sets = Sets()
        cells = self._take_cells()
        self.size = self._bins = 0
        return cells

    def _take_cells(self) -> Cells:
        cells, self._cells = self._cells, {}
        return cells
