"""Count, sum, min and max of samples in memory, before they are committed.

A sample without timestamp belongs to the second of its receipt, so those of one bucket come together: the values of the
open bucket are kept as they are, a list a name, until it is over or FOLD_VALUES have come, and are then folded by
`sum`, `min` and `max`. A sample of another bucket is merged at once into its cell, as is one that StatsD clients sent.

    values   {name: [value, ...]}            of the open bucket
    cells    {bucket: {name: (count, sum, min, max)}}
"""

from collections import Counter, deque
from collections.abc import Iterable
from itertools import islice

from tally.engine.storing.capacity import Room, place, places
from tally.engine.storing.gauges import Gauges
from tally.engine.storing.sets import Members
from tally.lines import grammar
from tally.lines.plain import (
    COLUMNS_MAX_BYTES,
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
NO_BOUND = Room()

Cell = tuple[float, float, float, float]
Cells = dict[int, dict[str, Cell]]


class Rollup:
    """Samples in buckets of `resolution` seconds, as many as there is `room` for, a cell a bucket and name.

    `empty` counts the lines that hold no measurement, and `rejected` those that were not taken, by reason, of each of
    which `examples` has the first. `size` is as how many cells all that there is counts: cells, members of sets, and
    other ways in which names were written. `gauges` remembers from one rollup to the next. Where a call ends in
    MemoryError, what was added and what was counted are the same. Not safe to use from several threads at once.
    """

    def __init__(
        self, resolution: int, *, max_future_s: int = 0, room: Room = NO_BOUND, gauges: Gauges | None = None
    ) -> None:
        self.resolution = resolution
        self.room = room
        self.empty = 0
        self.rejected: Counter[Reason] = Counter()
        self.examples: dict[str, bytes] = {}
        self.size = 0
        self._max_future_s = max_future_s
        self._counted = 0
        self._cells: Cells = {}
        self._open = -1
        self._values: dict[bytes, list[float]] = {}
        # Names as they came, that share the list of the name as it is stored.
        self._aliases: list[bytes] = []
        self._pending = 0
        self._gauges = Gauges() if gauges is None else gauges
        self._members = Members()

    @property
    def accepted(self) -> int:
        """How many samples and lines were taken."""
        aliases = set(self._aliases)
        return self._counted + sum(len(values) for name, values in self._values.items() if name not in aliases)

    def add(self, datagrams: list[bytes], now: int) -> None:
        """Take the lines of one or more datagrams that came in the second `now`; every line is counted."""
        self._turn(now)
        if self._add_plain(datagrams, now):
            return
        if len(datagrams) > 1 and sum(map(len, datagrams)) > COLUMNS_MAX_BYTES:
            for datagram in datagrams:
                self.add([datagram], now)
        else:
            self._add_lines(lines(b"\n".join(datagrams)), now)

    def _add_lines(self, found: list[bytes], now: int) -> None:
        """Add lines one by one, where some are not plain; a plain one of a known name costs 0.7 µs."""
        refused: list[Reason] = []  # Counting them together takes a quarter of the time.
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
                    refused.append(reason)
                    self.examples.setdefault(reason, line)
        finally:
            self._refuse(refused)

    def add_line(self, line: bytes, now: int) -> Reason | None:
        """Take a line that came in the second `now`, as `add` does, and return the reason why it is not taken."""
        reason = self._add_parsed(grammar.parse_line(line, now, self._max_future_s))
        if reason is not None:
            self.reject(line, reason)
        return reason

    def _turn(self, now: int) -> None:
        """Open the bucket of `now`; fold the values of the one before, or as many as are enough."""
        bucket = now // self.resolution * self.resolution
        if bucket != self._open or self._pending >= FOLD_VALUES:
            self._fold()
            self._open = bucket

    def _add_plain(self, datagrams: list[bytes], now: int) -> bool:
        """Add all lines at once, or none and return False."""
        columns = parse_columns(datagrams)
        if columns is None:
            return False
        if columns.timestamps and not self._are_open(columns.timestamps, now):
            return self._add_timed(columns, now)
        try:
            series = list(map(self._values.__getitem__, columns.names))
        except KeyError:
            if not self._admit(columns.names):
                return False
            series = list(map(self._values.__getitem__, columns.names))
        deque(map(list.append, series, columns.values), maxlen=0)  # A loop that runs in C.
        self._pending += len(series)
        return True

    def _are_open(self, timestamps: list[int], now: int) -> bool:
        """Return whether all timestamps are in the open bucket, and none is ahead: a third of `_add_timed`'s cost."""
        latest = min(self._open + self.resolution - 1, now + self._max_future_s)
        return self._open <= min(timestamps) and max(timestamps) <= latest

    def _admit(self, names: list[bytes]) -> bool:
        """Begin the lists of new names in the open bucket; of none when one is no name, or there is no room for all."""
        new = [name for name in dict.fromkeys(names) if name not in self._values]
        texts = decode_names(new)
        if texts is None:
            return False
        known = self._cells.get(self._open, {})
        cells = [text for text in texts if text not in known]
        size = places(cells)
        if not self._has_room(cells, size):
            return False
        self.size += size
        self._values.update([(name, []) for name in new])
        self._share(new, texts)
        return True

    def _has_room(self, names: Iterable[str], cells: int) -> bool:
        """Return whether there is room for cells of these names, which count as so many."""
        size = self.size + cells
        return size <= self.room.free or (size <= self.room.most and all(map(self.room.admits, names)))

    def _share(self, names: list[bytes], texts: list[str]) -> None:
        """Let names that came in other ways than they are stored share the lists of these; each takes up room."""
        stored = " ".join(texts).encode()
        if stored == b" ".join(names):
            return
        for name, own in zip(names, stored.split(b" "), strict=True):
            if name != own:
                self.size += 1
                self._aliases.append(name)
                self._values[name] = self._values.setdefault(own, [])

    def _add_timed(self, columns: Columns, now: int) -> bool:
        if max(columns.timestamps) > now + self._max_future_s:
            return False
        names = [*set(columns.names)]
        found = decode_names(names)
        if found is None or self.size + len(columns.names) * max(map(place, found)) > self.room.free:
            return False
        texts = dict(zip(names, found, strict=True))
        for name, value, timestamp in zip(*columns, strict=True):
            self.add_sample(Sample(texts[name], value, timestamp))
        return True

    def _add_parsed(self, found: Sample | Line | Reason) -> Reason | None:
        """Take what stands in a line, or return the reason why it is not taken."""
        if isinstance(found, Sample):
            return None if self.add_sample(found) else Reason.CARDINALITY
        return self._add_measures(found) if isinstance(found, Line) else found

    def reject(self, line: bytes, reason: Reason) -> None:
        """Count a line that is not taken."""
        self.examples.setdefault(reason, line)
        self._refuse([reason])

    def _refuse(self, reasons: list[Reason]) -> None:
        self.rejected.update(reasons)
        self.empty += self.rejected.pop(Reason.EMPTY, 0)
        self.examples.pop(Reason.EMPTY, None)

    def leave(self, cells: Cells) -> None:
        """Count the samples of cells that match no archive."""
        for row in cells.values():
            self.examples.setdefault(Reason.UNMATCHED, next(iter(row)).encode())
        if cells:
            self.rejected[Reason.UNMATCHED] += count(cells)

    def _add_measures(self, found: Line) -> Reason | None:
        """Take all that a line of StatsD measures, or return the reason why nothing of it is taken."""
        name, measures = found.name, found.measures
        values = self._gauges.values(name, measures.gauges)
        if isinstance(values, Reason):
            return values
        observed = [*measures.observed, *(Observed(value, 1) for value in values)]
        bucket = found.timestamp // self.resolution * self.resolution
        is_new = bool(observed) and not self._has_cell(bucket, name)
        cells = is_new * place(name) + self._members.new(name, measures.members)
        if cells and not self._has_room([name], cells):
            return Reason.CARDINALITY
        cell = self._with(bucket, name, observed) if observed else None
        size, counted = self.size + cells, self._counted + 1
        self._members.add(name, measures.members, found.timestamp)
        self._gauges.remember(name, values)
        if cell is not None:
            self._put(bucket, name, cell)
        self.size, self._counted = size, counted
        return None

    def _has_cell(self, bucket: int, name: str) -> bool:
        return name in self._cells.get(bucket, ()) or (bucket == self._open and name.encode() in self._values)

    def _with(self, bucket: int, name: str, observed: list[Observed]) -> Cell:
        """Return the cell of a name with further samples."""
        cells = {bucket: {name: self._cells[bucket][name]}} if name in self._cells.get(bucket, ()) else {}
        for value, weight in observed:
            merge(cells, {bucket: {name: (weight, value * weight, value, value)}}, self.resolution)
        return cells[bucket][name]

    def _put(self, bucket: int, name: str, cell: Cell) -> None:
        row = self._cells.get(bucket)
        if row is None:
            self._cells[bucket] = {name: cell}
        else:
            row[name] = cell

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Take samples, as many as there is room for."""
        for sample in samples:
            self.add_sample(sample)

    def add_sample(self, sample: Sample) -> bool:
        """Take a sample unless there is no room for its cell; return whether it was taken."""
        bucket = sample.timestamp // self.resolution * self.resolution
        return self._add_open(sample) if bucket == self._open else self._add_cell(bucket, sample)

    def _add_open(self, sample: Sample) -> bool:
        name = sample.name.encode()
        series = self._values.get(name)
        if series is None:
            if not self._has_cell(self._open, sample.name):
                cells = place(sample.name)
                if not self._has_room([sample.name], cells):
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
            count, total, low, high = cell
            row[name] = (count + 1, total + value, value if value < low else low, value if value > high else high)
        elif self._has_room((name,), cells := place(name)):
            size = self.size + cells
            self._put(bucket, name, (1, value, value, value))
            self.size = size
        else:
            return False
        self._counted = counted
        return True

    def _fold(self) -> None:
        """Merge the values of the open bucket into its cells: all of them or, when there is no memory, none."""
        for alias in self._aliases:
            self._values.pop(alias, None)
        self._aliases.clear()
        folded: dict[str, Cell] = {
            name.decode(): (len(values), sum(values, 0.0), min(values), max(values))
            for name, values in self._values.items()
            if values
        }
        present = self._cells.get(self._open)
        if present and folded:
            cells = {self._open: present.copy()}
            merge(cells, {self._open: folded}, self.resolution)
            folded = cells[self._open]
        counted, values = self.accepted, dict[bytes, list[float]]()
        if folded:
            self._cells[self._open] = folded
        self._counted, self._values, self._pending = counted, values, 0

    def _add_cells(self, cells: Cells) -> None:
        merge(self._cells, cells, self.resolution)

    def take(self) -> Cells:
        """Return all cells, and begin anew; the counters go on."""
        self._fold()
        for name, second, members in self._members.counts():
            self._add_cells({second: {name: (1, members, members, members)}})
        self._members = Members()
        cells, self._cells = self._cells, {}
        self.size = 0
        return cells


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
    """Return how many samples are in `cells`; as whole ones, where some stand for a part of one more."""
    return round(sum(cell[0] for row in cells.values() for cell in row.values()))


def cut(cells: Cells, most: int) -> Cells:
    """Take cells out of `cells`, `most` of them or all where there are fewer, and return them."""
    taken: Cells = {}
    while cells and most > 0:
        bucket, row = next(iter(cells.items()))
        taken[bucket] = {name: row.pop(name) for name in list(islice(row, most))}
        most -= len(taken[bucket])
        if not row:
            del cells[bucket]
    return taken
