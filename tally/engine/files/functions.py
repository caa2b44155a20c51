"""SQL functions on the text of sketches (see `sketch`). NULL is an unknown sketch.

    merge_bins(bins)                       aggregate and window function: the merged sketch; NULL if one is unknown
    join_bins(bins, bins)                  the two sketches merged
    subtract_bins(bins, bins)              the first sketch without the samples of the second, which are among its own
    coarsen_bins(bins, levels)             the sketch some levels higher
    count_bins(bins)                       the number of samples
    percentile(bins, p, level, min, max)   the percentile `p`, a decimal number as text
    cell_bins(count, min, max)             the sketch of equal samples; NULL of others, whose sketch is unknown
    histogram(bins, level, most)           JSON: [[lower, upper, count], ...], at most `most`

`merge_bins` ignores an empty text, which stands for a bucket without a cell.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import apsw

from tally import native
from tally.engine import sketch
from tally.engine.sketch import Percentile, Sketch, dump, load, load_sketch


def register(connection: apsw.Connection) -> None:
    """Register the functions with a connection; the native core has its own merge_bins and percentile."""
    define: Callable[..., None] = partial(connection.create_scalar_function, deterministic=True)
    connection.create_window_function("merge_bins", _Merge, 1)
    define("join_bins", _join, 2)
    define("subtract_bins", _subtract, 2)
    define("coarsen_bins", _coarsen, 2)
    define("count_bins", _count, 1)
    define("cell_bins", _cell, 3)
    define("percentile", _percentile, 5)
    define("histogram", _histogram, 3)
    if native.can_extend(type(connection)):
        native.register(connection)


class _Merge:
    """Merges sketches. The text of a single one is returned as it is."""

    def __init__(self) -> None:
        self._merged: Sketch = {}
        self._known = self._unknown = 0
        self._only: Any = None

    def step(self, bins: Any) -> None:
        if bins is None:
            self._unknown += 1
        elif bins and self._known == 0:
            self._only, self._merged, self._known = bins, {}, 1
        elif bins:
            self._read_only()
            self._add(bins, 1)

    def inverse(self, bins: Any) -> None:
        """Take out a sketch that `step` has merged, which is exact because the sums of counts are."""
        self._read_only()
        if bins is None:
            self._unknown -= 1
        elif bins:
            self._add(bins, -1)

    def value(self) -> str | None:
        """Return the merged sketch."""
        if self._unknown or not self._known:
            return None
        return self._only or dump(self._merged)

    final = value

    def _read_only(self) -> None:
        if self._only is not None:
            self._merged, self._only = load_sketch(self._only), None

    def _add(self, bins: Any, sign: int) -> None:
        merged = self._merged
        self._known += sign
        for each, count in load(bins):
            merged[each] = merged.get(each, 0) + sign * count
            if not merged[each]:
                del merged[each]


def _join(one: Any, other: Any) -> str | None:
    return None if one is None or other is None else dump(sketch.merge_sketches(map(load_sketch, (one, other))))


def _subtract(one: Any, other: Any) -> str | None:
    if one is None or other is None:
        return None
    left = load_sketch(one)
    for each, count in load(other):
        left[each] = left.get(each, 0) - count
    return dump({each: count for each, count in left.items() if count})


def _coarsen(bins: Any, levels: Any) -> str | None:
    return None if bins is None else dump(sketch.coarsen(load_sketch(bins), levels))


def _count(bins: Any) -> float | None:
    return None if bins is None else sum(count for _, count in load(bins))


def _cell(count: Any, low: Any, high: Any) -> str | None:
    found = sketch.find_sketch((count, 0, low, high, None))
    return None if found is None else dump(found)


def _percentile(bins: Any, percentile: Any, level: Any, low: Any, high: Any) -> float | None:
    if bins is None:
        return None
    return sketch.find_percentile(bins, Percentile.parse(percentile), level=level, low=low, high=high)


def _histogram(bins: Any, level: Any, most: Any) -> str | None:
    if bins is None:
        return None
    found: list[tuple[float, ...]] = [*sketch.make_histogram(load_sketch(bins), level=level, bins=most)]
    return sketch.encode([(*edges, int(count) if count == int(count) else count) for *edges, count in found])
