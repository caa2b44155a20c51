"""Functions of moving windows, which read values before the range."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_span
from tally.graphite.functions.folding import fold_windows
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Context, Fetch, Function, Parameter
from tally.graphite.reducers import resolve_name
from tally.graphite.series import Series, Value
from tally.graphite.source import Window


class Aggregation(NamedTuple):
    """How to aggregate the values in a moving window: by which reducer, and the least share of values it needs.

    `shown` is what the name of the series calls the reducer, if something else.
    """

    reducer: str
    x_files_factor: float | None
    shown: str = ""


def moving(fetch: Fetch, window: Window, size: int | str, how: Aggregation) -> list[Series]:
    """Return for each value the aggregate of the moving window that ends with it; `size` is in values or a span."""
    function = f"moving{how.reducer.capitalize()}" if not how.shown else f"moving{how.shown.capitalize()}"
    seconds, shown = _find_span(function, size, fetch, window)
    found = []
    for each in fetch(window.extend(seconds)):
        points = seconds // each.step if isinstance(size, str) else size
        skipped = max(0, (window.first(each.step) - each.start) // each.step)
        factor = each.x_files_factor if how.x_files_factor is None else how.x_files_factor
        values = _aggregate(each.values, points, how._replace(x_files_factor=factor))[skipped:]
        changed = each.with_values(f"{function}({each.name},{shown})", values)
        found.append(replace(changed, start=each.start + skipped * each.step, consolidation="average"))
    return found


def _find_span(function: str, size: int | str, fetch: Fetch, window: Window) -> tuple[int, str]:
    """Return the seconds of a moving window, and its size as the name of the series shows it."""
    if isinstance(size, str):
        return parse_span(size), f'"{size}"'
    if size < 1:
        raise InvalidQuestion(f"{function}: windowSize {size} is too small: use at least 1, or a span such as 5min")
    # The last second of the window is mostly enough to find the steps. Some functions need more, or drop all series.
    try:
        series = fetch(window.last_second()) or fetch(window)
    except InvalidQuestion:
        series = fetch(window)
    return max((each.step for each in series), default=0) * size, str(size)


def _aggregate(values: Sequence[Value], points: int, how: Aggregation) -> list[Value]:
    """Return for each value the aggregate of the last `points` values, or None if too many of these are missing."""
    if points < 1:
        return [None] * len(values)
    least = max(1, (how.x_files_factor or 0) * points)
    return [value if count >= least else None for count, value in fold_windows(values, points, how.reducer)]


def exponential(context: Context, _series: None, size: int | str) -> list[Series]:
    """Return the moving average in which newer values weigh more."""
    fetch, window, function = context.fetch, context.window, "exponentialMovingAverage"
    seconds, shown = _find_span(function, size, fetch, window)
    constant, found = 2 / ((seconds if isinstance(size, str) else size) + 1), []
    for each in fetch(window.extend(seconds)):
        skipped = max(0, (window.first(each.step) - each.start) // each.step)
        known = [value for value in each.values[:skipped] if value is not None]
        average = sum(known) / len(known) if known else 0.0
        values: list[Value] = []
        for value in each.values[skipped:]:
            average = average if value is None else constant * value + (1 - constant) * average
            values.append(None if value is None else round(average, 6))
        changed = each.with_values(f"{function}({each.name},{shown})", values)
        found.append(replace(changed, start=each.start + skipped * each.step, consolidation="average"))
    return found


def deviation(series: list[Series], points: int, tolerance: float) -> list[Series]:
    """Return the standard deviation of the last `points` values, if at least the share `tolerance` is there.

    :raises InvalidQuestion: when `points` is less than 1.
    """
    if points < 1:
        raise InvalidQuestion(f"stdev: points {points} is too small: use at least 1")
    how = Aggregation("stddev", tolerance)
    changed = ((each, _aggregate(each.values, points, how)) for each in series)
    return [
        replace(each.with_values(f"stdev({each.name},{points})", values), consolidation="average")
        for each, values in changed
    ]


def moving_window(context: Context, _series: None, size: int | str, *how: Any) -> list[Series]:
    """Return for each value the aggregate of the moving window that ends with it, by any aggregate function."""
    func, factor = how
    return moving(context.fetch, context.window, size, Aggregation(resolve_name(func), factor, func))


def _moving(name: str, reducer: str, description: str) -> Function:
    def apply(context: Context, _series: None, size: int | str, factor: float | None) -> list[Series]:
        return moving(context.fetch, context.window, size, Aggregation(reducer, factor))

    return Function(name, "Calculate", description, (SERIES_LIST, _SIZE, _FACTOR), apply, takes_context=True)


_SIZE = Parameter("windowSize", "intOrInterval", suggestions=(5, 7, 10, "1min", "5min", "10min", "30min", "1h"))
_FACTOR = Parameter("xFilesFactor", "float", required=False)
FUNCTIONS = (
    _moving("movingAverage", "average", "Returns the mean of the moving window that ends with each value."),
    _moving("movingSum", "sum", "Returns the sum of the moving window that ends with each value."),
    _moving("movingMin", "min", "Returns the minimum of the moving window that ends with each value."),
    _moving("movingMax", "max", "Returns the maximum of the moving window that ends with each value."),
    _moving("movingMedian", "median", "Returns the median of the moving window that ends with each value."),
    Function("movingWindow", "Calculate", "Returns an aggregate of the moving window that ends with each value.",
             (SERIES_LIST, _SIZE, Parameter("func", "aggFunc", required=False, default="average"), _FACTOR),
             moving_window, takes_context=True),
    Function("exponentialMovingAverage", "Calculate", "Returns the moving mean in which newer values weigh more.",
             (SERIES_LIST, _SIZE), exponential, takes_context=True),
    Function("stdev", "Calculate", "Returns the standard deviation of the last points values.",
             (SERIES_LIST, Parameter("points", "integer"),
              Parameter("windowTolerance", "float", required=False, default=0.1)), deviation),
)  # fmt: skip
