"""Functions that select series, or values of series."""

import math
from collections.abc import Callable
from itertools import islice

from tally.graphite.expression import Expression
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.series import Series


def highest(series: list[Series], count: int, reducer: str) -> list[Series]:
    """Return the `count` series whose aggregates by `reducer` are highest, highest first."""
    return _sorted(series, reducer)[: max(count, 0)]


def sort_by_maxima(series: list[Series]) -> list[Series]:
    """Sort the series by their maxima, highest first."""
    return _sorted(series, "max")


def limit(series: list[Series], count: int) -> list[Series]:
    """Return the first `count` series."""
    return list(islice(series, max(count, 0)))


def grep(series: list[Series], pattern: str) -> list[Series]:
    """Return the series whose names match a regular expression."""
    expression = Expression(pattern)
    return [each for each in series if expression.is_in(each.name)]


def exclude(series: list[Series], pattern: str) -> list[Series]:
    """Return the series whose names do not match a regular expression."""
    expression = Expression(pattern)
    return [each for each in series if not expression.is_in(each.name)]


def remove_below_value(series: list[Series], bound: float) -> list[Series]:
    """Remove all values below a bound."""
    named = ((each, f"removeBelowValue({each.name}, {bound:g})") for each in series)
    return [each.map(name, lambda value: value if value >= bound else None) for each, name in named]


def remove_above_value(series: list[Series], bound: float) -> list[Series]:
    """Remove all values above a bound."""
    named = ((each, f"removeAboveValue({each.name}, {bound:g})") for each in series)
    return [each.map(name, lambda value: value if value <= bound else None) for each, name in named]


def _sorted(series: list[Series], reducer: str) -> list[Series]:
    def rank(each: Series) -> float:
        value = each.reduce(reducer)
        return -math.inf if value is None else value

    return sorted(series, key=rank, reverse=True)


def _highest(name: str, reducer: str, description: str) -> Function:
    def apply(series: list[Series], count: int) -> list[Series]:
        return highest(series, count, reducer)

    return _filter(name, description, apply, Parameter("n", "integer"))


def _filter(name: str, description: str, apply: Callable[..., list[Series]], *parameters: Parameter) -> Function:
    return Function(name, "Filter Series", description, (SERIES_LIST, *parameters), apply)


FUNCTIONS = (
    _highest("highestMax", "max", "Keeps the series with the highest maxima."),
    _highest("highestAverage", "average", "Keeps the series with the highest averages."),
    _highest("highestCurrent", "last", "Keeps the series with the highest last values."),
    Function("sortByMaxima", "Sorting", "Sorts series by their maxima, highest first.", (SERIES_LIST,), sort_by_maxima),
    _filter("limit", "Keeps the first n series.", limit, Parameter("n", "integer")),
    _filter("exclude", "Keeps the series whose names do not match a regular expression.", exclude,
            Parameter("pattern", "string")),
    _filter("grep", "Keeps the series whose names match a regular expression.", grep,
            Parameter("pattern", "string")),
    Function("removeBelowValue", "Filter Data", "Removes all values below a bound.",
             (SERIES_LIST, Parameter("n", "float")), remove_below_value),
    Function("removeAboveValue", "Filter Data", "Removes all values above a bound.",
             (SERIES_LIST, Parameter("n", "float")), remove_above_value),
)  # fmt: skip
