"""The rollup whose lines are parsed, and whose cells are kept, by the native core.

The core adds plain lines and the usual StatsD lines of names that it knows, or that are clean and fit. Python adds all
others, one at a time and in their order, so that both rollups have the same cells and counters. Python also keeps the
values of gauges and the members of sets. The core's sketches are texts (see `sketch`), so that no bin becomes a Python
object.
"""

import sys
from collections.abc import Sequence
from typing import Any

from tally import native
from tally.engine.sketch import Cell, find_text
from tally.engine.storing import rollup
from tally.engine.storing.capacity import Capacity, weigh
from tally.engine.storing.merging import Cells
from tally.engine.storing.rollup import NO_LIMIT, Rollup
from tally.engine.storing.statsd import Gauges
from tally.lines import grammar
from tally.lines.plain import Reason, Sample, split
from tally.lines.statsd import Gauge, Line, Measures

# Any longer time allows every timestamp too.
FUTURE_MAX_S = 2**62
# From this version on, `sum` compensates for rounding errors.
COMPENSATED = (3, 12)
# The core numbers the reasons in this order.
_REASONS = tuple(Reason)
_NUMBERS = {reason: number for number, reason in enumerate(_REASONS)}


class NativeRollup(Rollup):
    """Aggregates samples as `Rollup`, several times as fast."""

    def __init__(
        self,
        resolution: int,
        *,
        max_future_s: int = 0,
        capacity: Capacity = NO_LIMIT,
        gauges: Gauges | None = None,
        sketched: bool = False,
    ) -> None:
        assert native.core is not None
        future_s = min(max_future_s, FUTURE_MAX_S)
        self._core = native.core.Rollup(resolution, future_s, sys.version_info >= COMPENSATED, sketched)
        super().__init__(resolution, max_future_s=max_future_s, capacity=capacity, gauges=gauges, sketched=sketched)

    @property
    def capacity(self) -> Capacity:
        """The limit of the weight."""
        return self._capacity

    @capacity.setter
    def capacity(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._core.free, self._core.most = capacity.free, capacity.most

    @property
    def accepted(self) -> int:
        """The number of accepted samples and lines."""
        return int(self._core.accepted)

    @property
    def size(self) -> int:
        """The weight of all cells and set members."""
        return int(self._core.size)

    @size.setter
    def size(self, size: int) -> None:
        self._core.size = size

    @property
    def _counted(self) -> int:
        return int(self._core.counted)

    @_counted.setter
    def _counted(self, counted: int) -> None:
        self._core.counted = counted

    def add(self, datagrams: Sequence[bytes], now: int) -> None:
        """Add the lines of datagrams received in the second `now`. Every line is counted."""
        try:
            self._core.add(datagrams, now, rollup.FOLD_VALUES, self)
        finally:
            self._count_rejections()

    def add_unsure(self, line: bytes, now: int) -> str | int:
        """Add a line that the core leaves to Python. Return the name as it is stored, or the number of a reason."""
        found = grammar.parse_fields(line, split(line), now, self._max_future_s)
        if isinstance(found, Reason):
            return _NUMBERS[found]
        reason = self._add_parsed(found)
        return found.name if reason is None else _NUMBERS[reason]

    def change_gauge(self, name: str, value: float, is_change: bool, _now: int) -> float | int:
        """Set a gauge or change it. Return its value, or the number of a reason."""
        values = self._gauges.values(name, (Gauge(value, is_change),))
        if isinstance(values, Reason):
            return _NUMBERS[values]
        self._gauges.store(name, values)
        return values[0]

    def add_member(self, name: str, member: str, now: int) -> int | None:
        """Add a member to a set. Return None, or the number of a reason."""
        reason = self._add_measures(Line(name, Measures([], [], {member}), now))
        return None if reason is None else _NUMBERS[reason]

    def _count_rejections(self) -> None:
        for number, count, line in self._core.rejections():
            reason = _REASONS[number]
            if reason == Reason.EMPTY:
                self.empty += count
            else:
                self.examples.setdefault(reason, line)
                self.rejected[reason] += count

    def add_sample(self, sample: Sample) -> bool:
        """Add a sample. Return False if there is no capacity for its cell."""
        if self._core.add_sample(*sample, 0):
            return True
        cells = weigh(sample.name)
        return self._has_capacity((sample.name,), cells) and bool(self._core.add_sample(*sample, cells))

    def _has_cell(self, bucket: int, name: str) -> bool:
        return bool(self._core.has_cell(bucket, name))

    def _find_cell(self, bucket: int, name: str) -> Cell | None:
        found: Cell | None = self._core.cell(bucket, name)
        return found

    def _set_cell(self, bucket: int, name: str, cell: Cell) -> None:
        bins = None if cell[4] is None else find_text(cell)
        self._core.set_cell(bucket, name, (*cell[:4], bins), weigh(name))

    def _add_bins(self, gained: int) -> None:
        self._core.add_bins(gained)

    def _fold(self) -> None:
        self._core.fold()

    def _add_cells(self, cells: Cells) -> None:
        """Merge cells. There are no values of the open bucket."""
        for second, row in cells.items():
            bucket = second // self.resolution * self.resolution
            for name, cell in row.items():
                present = self._find_cell(bucket, name)
                merged = {} if present is None else {bucket: {name: present}}
                self._merge(merged, {bucket: {name: cell}})
                self._set_cell(bucket, name, merged[bucket][name])

    def _take_cells(self) -> Cells:
        cells: Cells = self._core.take()
        return cells


BestRollup: type[Rollup] = Rollup if native.core is None else NativeRollup


def new_rollup(resolution: int, **options: Any) -> Rollup:
    """Return the fastest rollup."""
    return BestRollup(resolution, **options)
