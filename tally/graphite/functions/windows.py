"""Functions that look at other times than the target does, or at none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_offset, parse_span
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Ask, Function, Parameter
from tally.graphite.series import Series, Value
from tally.graphite.source import Window

Sum = tuple[float, int]


def constant_line(_ask: Ask, window: Window, value: float) -> list[Series]:
    """Return one value at the beginning, the middle and the end."""
    start, step = int(window.start), max(1, int((window.end - window.start) / 2))
    return [Series(str(value), f"constantLine({value})", start, step, [value] * 3, tags={"name": str(value)})]


def time_shift(ask: Ask, window: Window, _series: None, shift: str, *options: bool) -> list[Series]:
    """Return the series as they were so much earlier, at the times of the window.

    The options are `resetEnd` and `alignDST`, which changes nothing: times are in UTC, without daylight saving.
    """
    reset_end, _align_dst = options
    text = f"-{shift}" if shift[:1].isdigit() else shift
    seconds = parse_offset(text)
    last = min(window.end, window.now) if reset_end else window.end
    found = []
    for each in ask(window.moved(seconds)):
        start = max(window.first(each.step), (each.start - seconds) // each.step * each.step)
        count = max(0, int(last - start) // each.step + 1)
        cut = replace(each, start=start, values=each.values[:count], weights=each.weights and each.weights[:count])
        found.append(cut.named(f'timeShift({each.name}, "{text}")'))
    return found


class Moved(NamedTuple):
    """How the values in a window become one: the reducer, and which share of them there must be at least."""

    reducer: str
    x_files_factor: float


def moving(ask: Ask, window: Window, size: int | str, how: Moved) -> list[Series]:
    """Return for each value the aggregate of those in the window that ends with it: so many, or so much time."""
    function = f"moving{how.reducer.capitalize()}"
    if isinstance(size, str):
        seconds, shown = parse_span(size), f'"{size}"'
    else:
        if size < 1:
            raise InvalidQuestion(f"{function}: windowSize {size} is none: use at least 1, or a span such as 5min")
        # The last moment shows the steps as well as all of the window does.
        steps = [each.step for each in ask(replace(window, start=min(window.end, window.now) - 1))]
        seconds, shown = max(steps, default=0) * size, str(size)
    found = []
    for each in ask(window.widened(seconds)):
        points = seconds // each.step if isinstance(size, str) else size
        skipped = max(0, (window.first(each.step) - each.start) // each.step)
        values = _moved(each.values, points, how)[skipped:]
        changed = each.changed(f"{function}({each.name},{shown})", values)
        found.append(replace(changed, start=each.start + skipped * each.step, consolidation="average"))
    return found


def _moved(values: Sequence[Value], points: int, how: Moved) -> list[Value]:
    """Return the aggregate of the so many values that end with each, where enough of them are there.

    Sums are kept of a window's older part from each value on, and of its newer part as a whole: nothing is ever
    subtracted, so that a large value leaves no error behind.
    """
    older: list[Sum] = []
    newer: list[Value] = []
    total: Sum = (0, 0)
    found: list[Value] = []
    for index, value in enumerate(values):
        if points > 0:
            newer.append(value)
            total = _added(total, value)
        if index >= points > 0:
            if not older:
                older, newer, total = _suffixes(newer), [], (0, 0)
            older.pop()
        sums, counts = zip(older[-1] if older else (0, 0), total, strict=True)
        is_enough = sum(counts) > 0 and sum(counts) >= how.x_files_factor * points
        found.append(sum(sums) / (sum(counts) if how.reducer == "average" else 1) if is_enough else None)
    return found


def _suffixes(values: Sequence[Value]) -> list[Sum]:
    """Return the sums from each value on, that of all last."""
    found: list[Sum] = []
    total: Sum = (0, 0)
    for value in reversed(values):
        total = _added(total, value)
        found.append(total)
    return found


def _added(total: Sum, value: Value) -> Sum:
    return total if value is None else (total[0] + value, total[1] + 1)


def _moving(name: str, reducer: str, description: str) -> Function:
    def apply(ask: Ask, window: Window, _series: None, size: int | str, factor: float | None) -> list[Series]:
        return moving(ask, window, size, Moved(reducer, factor or 0))

    size = Parameter("windowSize", "intOrInterval", suggestions=(5, 10, "1min", "5min", "1h"))
    factor = Parameter("xFilesFactor", "float", required=False)
    return Function(name, "Calculate", description, (SERIES_LIST, size, factor), apply, timed=True)


FUNCTIONS = (
    Function("constantLine", "Special", "Draws a horizontal line.", (Parameter("value", "float"),), constant_line,
             timed=True),
    Function("timeShift", "Transform", "Shows series as they were earlier.",
             (SERIES_LIST, Parameter("timeShift", "string", suggestions=("1h", "1d", "7d")),
              Parameter("resetEnd", "boolean", required=False, default=True),
              Parameter("alignDST", "boolean", required=False, default=False)), time_shift, timed=True),
    _moving("movingAverage", "average", "Returns the mean of the values in the window that ends with each."),
    _moving("movingSum", "sum", "Returns the sum of the values in the window that ends with each."),
)  # fmt: skip
