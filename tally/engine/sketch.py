"""Sketches: how many samples of a cell fall into each bin of a logarithmic scale. Percentiles are read from them.

The scale is DDSketch's (Masson, Rim and Lee, VLDB 2019, https://doi.org/10.14778/3352063.3352135). With a = 0.01 and
gamma = (1 + a) / (1 - a), a value v > 0 falls into bin i = ceil(log(v) / log(gamma)), so the middle of the bin is
within 1 % of v. A value v < 0 falls into the bin of -v on a scale of its own, and 0 into a bin of its own.

Sketches number all bins on one axis, in the order of their values:

    -131071 ... -1      negative values: -(ORIGIN + i)
    0                   zero
    1 ... 131071        positive values: ORIGIN + i

Each level doubles log(gamma), so bins join in pairs and ORIGIN is halved: percentiles within 1, 2, 4 and 8 % are levels
0 to 3 (UDDSketch, Epicoco et al., IEEE Access 2020, https://doi.org/10.1109/ACCESS.2020.3015599).

In a file a sketch is a JSON array. For each bin with samples, in ascending order, it has the distance from the previous
bin and the count. The first distance is the bin itself.

    [65467,2,1,1,80,1]    65467: 2 samples, 65468: 1 sample, 65548: 1 sample

With 25 log-normal samples a cell, this takes 105 bytes. An object of bins and counts takes 198, and is parsed in 1.5
times the time. The file's view `bins` decodes it.

Counts are whole, or multiples of 1 / FRACTIONS where a sample rate such as 0.3 makes fractions. So their sums are
exact, and sketches merge to the same sketch in any order.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from math import ceil, exp, isfinite, log
from typing import NamedTuple

import apsw

from tally import native

# Bin -> count. In memory, sketches have level 0.
Sketch = dict[int, float]
# Count, sum, min, max and sketch, which the native core keeps as text. The sketch of a cell whose samples are all equal
# may be None; otherwise None means that it is unknown.
Cell = tuple[float, float, float, float, Sketch | str | None]

ACCURACY = 0.01
LOG_GAMMA = log((1 + ACCURACY) / (1 - ACCURACY))
ORIGIN = 65_536
# The level of each accuracy in percent.
LEVELS = {1: 0, 2: 1, 4: 2, 8: 3}
FRACTIONS = 65_536
# At this level the positive values have two bins at most.
LEVEL_MAX = 16
# The coarsest bins reach far beyond the largest float.
EXPONENT_MAX = 709.0

encode = json.JSONEncoder(separators=(",", ":")).encode
# NaN and Infinity are read as texts, which are no counts.
_decode = json.JSONDecoder(parse_constant=str).decode
_NUMBERS = frozenset((int, float))


def find_bin(value: float) -> int:
    """Return the bin of a value at level 0."""
    if value > 0:
        return ORIGIN + ceil(log(value) / LOG_GAMMA)
    return -ORIGIN - ceil(log(-value) / LOG_GAMMA) if value else 0


def make_sketch(values: list[float]) -> Sketch:
    """Return the sketch of values that each count as one sample."""
    sketch: Sketch = {}
    for each in map(find_bin, values):
        sketch[each] = sketch.get(each, 0) + 1
    return sketch


def to_weight(count: float) -> float:
    """Return a count as a sketch keeps it: whole, or the nearest multiple of 1 / FRACTIONS."""
    return int(count) if count == int(count) else round(count * FRACTIONS) / FRACTIONS


def find_sketch(cell: Cell) -> Sketch | None:
    """Return the sketch of a cell that is not from a file, or None if it is unknown. Do not change it."""
    count, _, low, high, sketch = cell
    if isinstance(sketch, str):
        return load_sketch(sketch)
    return {find_bin(low): to_weight(count)} if sketch is None and low == high else sketch


def find_text(cell: Cell, *, level: int = 0) -> str | None:
    """Return the text of the sketch of a cell that is not from a file at a level, or None if it is unknown."""
    if isinstance(cell[4], str):
        return coarsen_text(cell[4], level) if level else cell[4]
    sketch = find_sketch(cell)
    return None if sketch is None else dump(coarsen(sketch, level))


def join(one: Cell, other: Cell) -> Sketch | str | None:
    """Return the sketch of two cells together; None if one is unknown, or all samples are equal."""
    if one[4] is None and other[4] is None and one[2:4] == other[2:4] and one[2] == one[3]:
        return None
    if isinstance(one[4], str) or isinstance(other[4], str):
        return merge_texts([find_text(one), find_text(other)])
    first, second = find_sketch(one), find_sketch(other)
    return None if first is None or second is None else merge_sketches((first, second))


def merge_texts(texts: list[str | None]) -> str | None:
    """Return the merged sketch of sketches with equal levels; None if one is unknown; raises as `load`."""
    if None in texts:
        return None
    if native.core is None:
        return dump(merge_sketches(map(load_sketch, texts)))
    try:
        return str(native.core.merge_bins(texts))
    except ValueError as error:
        raise apsw.CorruptError(str(error)) from None


def coarsen_text(text: str, levels: int) -> str:
    """Return the sketch `levels` levels higher; raises as `load`."""
    if native.core is None:
        return dump(coarsen(load_sketch(text), levels))
    try:
        return str(native.core.coarsen_bins(text, levels))
    except ValueError as error:
        raise apsw.CorruptError(str(error)) from None


def count_bins(sketch: Sketch | str | None) -> int:
    """Return the number of bins of a sketch; 0 if it is unknown."""
    return sketch.count(",") // 2 + 1 if isinstance(sketch, str) else len(sketch or ())


def merge_sketches(sketches: Iterable[Mapping[int, float]]) -> Sketch:
    """Return the merged sketch of sketches with equal levels."""
    merged: Sketch = {}
    for sketch in sketches:
        if not merged:
            merged = dict(sketch)
            continue
        for each, count in sketch.items():
            merged[each] = merged.get(each, 0) + count
    return merged


def coarsen(sketch: Sketch, levels: int) -> Sketch:
    """Return the sketch `levels` levels higher."""
    if not levels:
        return sketch
    size = 1 << levels
    coarse: Sketch = {}
    for each, count in sketch.items():
        joined = -(-each // size) if each > 0 else each // size
        coarse[joined] = coarse.get(joined, 0) + count
    return coarse


def dump(sketch: Sketch) -> str:
    """Return the text of a sketch."""
    bins = sorted(sketch)
    distances = (after - before for before, after in pairwise((0, *bins)))
    return encode(list(chain.from_iterable(zip(distances, map(sketch.__getitem__, bins), strict=True))))


def load(text: object) -> Iterator[tuple[int, float]]:
    """Return the bins and counts in a text, in ascending order.

    :raises apsw.CorruptError: when it is not the text of a sketch.
    """
    numbers = _parse(text)
    return zip(accumulate(numbers[::2]), numbers[1::2], strict=True)


def load_sketch(text: object) -> Sketch:
    """Return the sketch in a text; raises as `load`."""
    return dict(load(text))


def _parse(text: object) -> list[int]:
    try:
        numbers: list[int] = _decode(text)  # type: ignore[arg-type]
        distances, counts = numbers[::2], numbers[1::2]
        first, last = distances[0], sum(distances)
        is_within = -2 * ORIGIN < first and last < 2 * ORIGIN and min(distances[1:], default=1) > 0
        are_positive = len(distances) == len(counts) and min(counts) > 0 and isfinite(max(counts))
        if is_within and are_positive and {*map(type, distances)} == {int} and _NUMBERS.issuperset(map(type, counts)):
            return numbers
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError):
        pass
    raise apsw.CorruptError(f"sketch {text!r:.100} is not valid")


class Percentile(NamedTuple):
    """A percentile: the fraction `above` / `below` of the samples are at most this large."""

    above: int
    below: int

    @classmethod
    @lru_cache(maxsize=256)
    def parse(cls, text: str) -> "Percentile":
        """Return the percentile of a decimal number from 0 to 100."""
        whole, _, decimals = text.partition(".")
        return cls(int(whole + decimals), 100 * 10 ** len(decimals))

    def rank(self, count: float) -> int:
        """Return the nearest rank among `count` samples: max(1, ceil(above / below * count)), computed exactly."""
        parts = int(count * FRACTIONS)
        return max(1, -(-self.above * parts // (self.below * FRACTIONS)))


def find_percentile(text: object, percentile: Percentile, *, level: int, low: float, high: float) -> float:
    """Return a percentile of the sketch in `text`, whose samples are from `low` to `high`; raises as `load`."""
    if percentile.above == 0:
        return low
    if percentile.above == percentile.below:
        return high
    numbers = _parse(text)
    reached = list(accumulate(numbers[1::2]))
    index = bisect_left(reached, percentile.rank(reached[-1]))
    return min(max(_middle(sum(numbers[: 2 * index + 1 : 2]), level), low), high)


def _middle(number: int, level: int) -> float:
    """Return the value that is equally far, relatively, from both ends of a bin."""
    width = LOG_GAMMA * 2**level
    size = exp(min((abs(number) - (ORIGIN >> level)) * width, EXPONENT_MAX)) * 2 / (exp(width) + 1)
    return size if number > 0 else -size if number else 0.0


def make_histogram(sketch: Sketch, *, level: int, bins: int) -> list[tuple[float, float, float]]:
    """Return `(lower, upper, count)` of at most `bins` bins, at least 3, which join in pairs until they fit.

    A positive bin includes its upper end and not its lower one. A negative bin is its mirror image.
    """
    while len(sketch) > bins and level < LEVEL_MAX:
        sketch, level = coarsen(sketch, 1), level + 1
    found = [(*_edges(each, level), count) for each, count in sorted(sketch.items())]
    return found if len(found) <= bins else _join_signs(found)


def _edges(number: int, level: int) -> tuple[float, float]:
    if not number:
        return 0.0, 0.0
    i = abs(number) - (ORIGIN >> level)
    lower, upper = (exp(min(each * LOG_GAMMA * 2**level, EXPONENT_MAX)) for each in (i - 1, i))
    return (lower, upper) if number > 0 else (0.0 - upper, 0.0 - lower)


def _join_signs(found: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    signs: dict[float, list[tuple[float, float, float]]] = {}
    for each in found:
        signs.setdefault((each[1] > 0) - (each[0] < 0), []).append(each)
    return [(same[0][0], same[-1][1], sum(count for _, _, count in same)) for same in signs.values()]
