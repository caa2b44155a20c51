"""One series: values at even distances, and how several of its values become one.

Consolidation follows the aggregate that a series is of: sums and counts add up, the least and the greatest stay what
they are, and an average is weighted by the samples that it is of, so that a view of any width shows the same totals.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tally.graphite.budget import check_points
from tally.graphite.reducers import reduce, weighted_mean

Value = float | None
# Names grow with the functions around them; what is beyond is cut off.
NAME_MAX = 4096


@dataclass(frozen=True)
class Series:
    """`values` from `start` on, `step` seconds each, in unix seconds; None where there is no data.

    `name` is what is shown, `expression` what names of functions are made of. `consolidation` is a name in REDUCERS;
    where it is the average, `weights` has how many samples each value is of, or is None where nobody knows.
    """

    name: str
    expression: str
    start: int
    step: int
    values: Sequence[Value]
    consolidation: str = "average"
    weights: Sequence[float] | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("name", "expression"):
            object.__setattr__(self, name, getattr(self, name)[:NAME_MAX])

    @property
    def end(self) -> int:
        """The first second after the last value."""
        return self.start + len(self.values) * self.step

    def reduce(self, name: str, *, begin: int = 0, end: int | None = None) -> Value:
        """Return one value for those from `begin` before `end`; averages weigh."""
        if name == "average" and self.weights is not None:
            return weighted_mean(self.values[begin:end], self.weights[begin:end])
        return reduce(name, self.values[begin:end])

    def named(self, name: str) -> "Series":
        """Return the same values under a name that functions around it are called by, too."""
        return replace(self, name=name, expression=name)

    def mapped(self, name: str, change: Callable[[float], Value]) -> "Series":
        """Return the series with each value changed that there is; the weights stay."""
        values = [None if value is None else change(value) for value in self.values]
        return replace(self, name=name, expression=name, values=values)

    def changed(self, name: str, values: Sequence[Value]) -> "Series":
        """Return a series of other values at the same times, which have no weights."""
        return replace(self, name=name, expression=name, values=values, weights=None)

    def coarser(self, step: int) -> "Series":
        """Return the series consolidated to a multiple of its step; the bands begin at multiples of `step`.

        The first and the last band may have fewer values than the others, but none is left out.
        """
        if step == self.step or not self.values:
            return self
        points = step // self.step
        early = self.start % step // self.step
        bounds = [max(0, begin) for begin in range(-early, len(self.values), points)] + [len(self.values)]
        bands = list(pairwise(bounds))
        values = [self.reduce(self.consolidation, begin=begin, end=end) for begin, end in bands]
        weights = None if self.weights is None else [sum(self.weights[begin:end]) for begin, end in bands]
        return replace(self, start=self.start - self.start % step, step=step, values=values, weights=weights)

    def fitted(self, points_max: int) -> "Series":
        """Return the series with at most so many values, consolidated where it has more."""
        count = len(self.values)
        if count <= points_max:
            return self
        if points_max == 1:
            return replace(self, step=self.step * count, values=[self.reduce(self.consolidation)], weights=None)
        for divisor in (points_max, points_max - 1):
            fitted = self.coarser(math.ceil(count / divisor) * self.step)
            if len(fitted.values) <= points_max:
                break
        return fitted


@dataclass(frozen=True)
class Grid:
    """Several series at the same times: `rows` has the values of each time."""

    series: list[Series]
    start: int
    step: int

    @classmethod
    def of(cls, series: Iterable[Series]) -> "Grid":
        """Consolidate series, at least one, to the least step that all have, from the earliest of them."""
        given = list(series)
        step = math.lcm(*(each.step for each in given))
        aligned = [each.coarser(step) for each in given]
        return cls(aligned, min(each.start for each in aligned), step)

    @property
    def rows(self) -> list[tuple[Value, ...]]:
        """The values of each time, one of each series.

        :raises InvalidQuestion: when there are more than POINTS_MAX in all.
        """
        count = max(_index(self, each.end) for each in self.series)
        check_points(count * len(self.series))
        return list(zip(*(self._padded(each, count) for each in self.series), strict=True))

    @property
    def consolidation(self) -> str:
        """The consolidation that all series have, else the average."""
        words = {each.consolidation for each in self.series}
        return words.pop() if len(words) == 1 else "average"

    def _padded(self, series: Series, count: int) -> list[Value]:
        before = _index(self, series.start)
        return [*[None] * before, *series.values, *[None] * (count - before - len(series.values))]


def _index(grid: Grid, time: int) -> int:
    return -((grid.start - time) // grid.step)
