"""Series: values at regular times, and their consolidation into fewer values.

The aggregate of a series decides how its values are consolidated: sums and counts are added, minima and maxima stay
exact, averages are weighted by their numbers of samples, and percentiles are read again, in longer buckets. So a chart
shows the same totals at any width.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from tally.graphite.budget import check_points
from tally.graphite.reducers import reduce, weighted_mean

Value = float | None
# Each function makes a name longer. Longer names are cut off.
NAME_MAX = 4096


class Origin(NamedTuple):
    """Values as an archive has them, from `start`. `read` reads them in longer buckets, or with None in one."""

    values: Sequence[Value]
    start: int
    read: Callable[[int | None], Sequence[Value]]


@dataclass(frozen=True)
class Series:
    """One value for every `step` seconds from `start`, in unix seconds; None where there is no data.

    `name` is shown to users; `expression` becomes part of the names that functions give. `consolidation` is a name in
    REDUCERS. For averages, `weights` are the numbers of samples of the values, or None if unknown. A consolidated value
    needs at least the share `x_files_factor` of its values. `common_factor` is that of all that is computed from the
    series, as `setXFilesFactor` sets it. `origin` is where the values were read, if they cannot be consolidated.
    """

    name: str
    expression: str
    start: int
    step: int
    values: Sequence[Value]
    consolidation: str = "average"
    weights: Sequence[float] | None = None
    tags: dict[str, str] = field(default_factory=dict)
    x_files_factor: float = 0
    common_factor: float = 0
    origin: Origin | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("name", "expression"):
            object.__setattr__(self, name, getattr(self, name)[:NAME_MAX])

    @property
    def end(self) -> int:
        """The time at which the last value ends."""
        return self.start + len(self.values) * self.step

    def reduce(self, name: str, *, begin: int = 0, end: int | None = None) -> Value:
        """Aggregate the values from index `begin` to before `end`; an average is weighted."""
        if name == "average" and self.weights is not None:
            return weighted_mean(self.values[begin:end], self.weights[begin:end])
        return reduce(name, self.values[begin:end])

    def total(self, name: str) -> Value:
        """Aggregate all values; the number of no values is 0."""
        found = self.reduce(name)
        return 0 if found is None and name in ("count", "avg_zero") else found

    def rename(self, name: str) -> "Series":
        """Return the series with another name and expression."""
        return replace(self, name=name, expression=name)

    def map(self, name: str, change: Callable[[float], Value]) -> "Series":
        """Return a series with `change` applied to each value that is not missing, and the same weights."""
        values = [None if value is None else change(value) for value in self.values]
        return replace(self, name=name, expression=name, values=values)

    def with_values(self, name: str, values: Sequence[Value]) -> "Series":
        """Return a series with other values at the same times, without weights."""
        return replace(self, name=name, expression=name, values=values, weights=None)

    def has_enough(self, needed: float, *, begin: int = 0, end: int | None = None) -> bool:
        """Return whether the values from `begin` to before `end` are enough for `needed` ones."""
        if not self.x_files_factor:
            return True
        known = sum(value is not None for value in self.values[begin:end])
        return known > 0 and known / needed >= self.x_files_factor

    def coarsen(self, step: int) -> "Series":
        """Consolidate the series to a larger step, a multiple of its own.

        The new values begin at multiples of `step`. The first and the last may be of fewer old values than the others.
        """
        if step == self.step or not self.values:
            return self
        points = step // self.step
        early = self.start % step // self.step
        bounds = [max(0, begin) for begin in range(-early, len(self.values), points)] + [len(self.values)]
        bands = list(pairwise(bounds))
        known = self._read(step)
        values = [
            None
            if not self.has_enough(points, begin=begin, end=end)
            else self.reduce(self.consolidation, begin=begin, end=end)
            if known is None
            else known[index]
            for index, (begin, end) in enumerate(bands)
        ]
        weights = None if self.weights is None else [sum(self.weights[begin:end]) for begin, end in bands]
        return replace(self, start=self.start - self.start % step, step=step, values=values, weights=weights)

    def fit(self, points_max: int) -> "Series":
        """Consolidate the series to at most `points_max` values."""
        count = len(self.values)
        if count <= points_max:
            return self
        if points_max == 1:
            values = self._read(None) or [self.reduce(self.consolidation)]
            return replace(
                self, step=self.step * count, values=values if self.has_enough(count) else [None], weights=None
            )
        for divisor in (points_max, points_max - 1):
            fitted = self.coarsen(math.ceil(count / divisor) * self.step)
            if len(fitted.values) <= points_max:
                break
        return fitted

    def _read(self, step: int | None) -> Sequence[Value] | None:
        """Return the values of longer buckets, or None if they follow from the values of the series."""
        if self.origin is None or self.origin.values is not self.values or self.origin.start != self.start:
            return None
        return self.origin.read(step)


@dataclass(frozen=True)
class Grid:
    """Several series with the same step and start; `rows` has the values of all series at each time."""

    series: list[Series]
    start: int
    step: int

    @classmethod
    def of(cls, series: Iterable[Series]) -> "Grid":
        """Consolidate one or more series to the least common multiple of their steps."""
        given = list(series)
        step = math.lcm(*(each.step for each in given))
        aligned = [each.coarsen(step) for each in given]
        return cls(aligned, min(each.start for each in aligned), step)

    @property
    def rows(self) -> list[tuple[Value, ...]]:
        """The values of all series at each time.

        :raises InvalidQuestion: when there are more than POINTS_MAX values.
        """
        count = max(_index(self, each.end) for each in self.series)
        check_points(count * len(self.series))
        return list(zip(*(self._pad(each, count) for each in self.series), strict=True))

    @property
    def consolidation(self) -> str:
        """The consolidation that all series have in common, or else the average."""
        words = {each.consolidation for each in self.series}
        return words.pop() if len(words) == 1 else "average"

    def _pad(self, series: Series, count: int) -> list[Value]:
        before = _index(self, series.start)
        return [*[None] * before, *series.values, *[None] * (count - before - len(series.values))]


def _index(grid: Grid, time: int) -> int:
    return -((grid.start - time) // grid.step)
