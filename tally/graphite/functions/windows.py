"""Functions that need the window of the target: they read series at other times, or read none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_offset, parse_span
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Fetch, Function, Parameter
from tally.graphite.series import Series, Value
from tally.graphite.source import Window

Sum = tuple[float, int]


def constant_line(_fetch: Fetch, window: Window, value: float) -> list[Series]:
    """Return the same value at the beginning, the middle and the end of the window."""
    start, step = int(window.start), max(1, int((window.end - window.start) / 2))
    return [Series(str(value), f"constantLine({value})", start, step, [value] * 3, tags={"name": str(value)})]


def time_shift(fetch: Fetch, window: Window, _series: None, shift: str, *options: bool) -> list[Series]:
    """Return the series of an earlier or later time, moved to the times of the window.

    The options are `resetEnd` and `alignDST`, which has no effect: times are in UTC, without daylight saving.
    """
    reset_end, _align_dst = options
    text = f"-{shift}" if shift[:1].isdigit() else shift
    seconds = parse_offset(text)
    last = min(window.end, window.now) if reset_end else window.end
    found = []
    for each in fetch(window.shift(seconds)):
        start = max(window.first(each.step), (each.start - seconds) // each.step * each.step)
        count = max(0, int(last - start) // each.step + 1)
        cut = replace(each, start=start, values=each.values[:count], weights=each.weights and each.weights[:count])
        found.append(cut.rename(f'timeShift({each.name}, "{text}")'))
    return found


class Aggregation(NamedTuple):
    """How to aggregate the values in a moving window: by which reducer, and the least share of values it needs."""

    reducer: str
    x_files_factor: float


def moving(fetch: Fetch, window: Window, size: int | str, how: Aggregation) -> list[Series]:
    """Return for each value the aggregate of the moving window that ends with it; `size` is in values or a span."""
    function = f"moving{how.reducer.capitalize()}"
    if isinstance(size, str):
        seconds, shown = parse_span(size), f'"{size}"'
    else:
        if size < 1:
            raise InvalidQuestion(f"{function}: windowSize {size} is too small: use at least 1, or a span such as 5min")
        # The last second of the window is enough to find the steps.
        steps = [each.step for each in fetch(window.last_second())]
        seconds, shown = max(steps, default=0) * size, str(size)
    found = []
    for each in fetch(window.extend(seconds)):
        points = seconds // each.step if isinstance(size, str) else size
        skipped = max(0, (window.first(each.step) - each.start) // each.step)
        values = _aggregate(each.values, points, how)[skipped:]
        changed = each.with_values(f"{function}({each.name},{shown})", values)
        found.append(replace(changed, start=each.start + skipped * each.step, consolidation="average"))
    return found


def _aggregate(values: Sequence[Value], points: int, how: Aggregation) -> list[Value]:
    """Return for each value the aggregate of the last `points` values, or None if too many of these are missing.

    For the older part of the window, the function keeps the sum from each value on; for the newer part, one sum.
    Nothing is ever subtracted, so a large value leaves no rounding error after it has left the window.
    """
    older: list[Sum] = []
    newer: list[Value] = []
    total: Sum = (0, 0)
    found: list[Value] = []
    for index, value in enumerate(values):
        if points > 0:
            newer.append(value)
            total = _add(total, value)
        if index >= points > 0:
            if not older:
                older, newer, total = _suffixes(newer), [], (0, 0)
            older.pop()
        sums, counts = zip(older[-1] if older else (0, 0), total, strict=True)
        is_enough = sum(counts) > 0 and sum(counts) >= how.x_files_factor * points
        found.append(sum(sums) / (sum(counts) if how.reducer == "average" else 1) if is_enough else None)
    return found


def _suffixes(values: Sequence[Value]) -> list[Sum]:
    """Return the sums of all suffixes of `values`, the shortest suffix first."""
    found: list[Sum] = []
    total: Sum = (0, 0)
    for value in reversed(values):
        total = _add(total, value)
        found.append(total)
    return found


def _add(total: Sum, value: Value) -> Sum:
    return total if value is None else (total[0] + value, total[1] + 1)


def _moving(name: str, reducer: str, description: str) -> Function:
    def apply(fetch: Fetch, window: Window, _series: None, size: int | str, factor: float | None) -> list[Series]:
        return moving(fetch, window, size, Aggregation(reducer, factor or 0))

    size = Parameter("windowSize", "intOrInterval", suggestions=(5, 10, "1min", "5min", "1h"))
    factor = Parameter("xFilesFactor", "float", required=False)
    return Function(name, "Calculate", description, (SERIES_LIST, size, factor), apply, takes_window=True)


FUNCTIONS = (
    Function("constantLine", "Special", "Draws a horizontal line.", (Parameter("value", "float"),), constant_line,
             takes_window=True),
    Function("timeShift", "Transform", "Shows series of an earlier time.",
             (SERIES_LIST, Parameter("timeShift", "string", suggestions=("1h", "1d", "7d")),
              Parameter("resetEnd", "boolean", required=False, default=True),
              Parameter("alignDST", "boolean", required=False, default=False)), time_shift, takes_window=True),
    _moving("movingAverage", "average", "Returns the mean of the moving window that ends with each value."),
    _moving("movingSum", "sum", "Returns the sum of the moving window that ends with each value."),
)  # fmt: skip
