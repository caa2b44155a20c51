"""Functions that keep or sort series by an aggregate of all their values."""

import re
from collections.abc import Callable
from typing import Any

from tally.errors import InvalidQuestion
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.reducers import resolve_name
from tally.graphite.series import Series, Value

Test = Callable[[Value, float], bool]
# A series without values is neither equal to a number nor above it, but different and below.
OPERATORS: dict[str, Test] = {
    "!=": lambda value, bound: value is None or value != bound,
    "<": lambda value, bound: value is None or value < bound,
    "<=": lambda value, bound: value is None or value <= bound,
    "=": lambda value, bound: value is not None and value == bound,
    ">": lambda value, bound: value is not None and value > bound,
    ">=": lambda value, bound: value is not None and value >= bound,
}


def filter_series(series: list[Series], func: str, operator: str, threshold: float) -> list[Series]:
    """Return the series whose aggregate compares with a threshold as asked."""
    if operator not in OPERATORS:
        raise InvalidQuestion(f"filterSeries: operator {operator!r:.100} is unknown: use {' or '.join(OPERATORS)}")
    reducer, compare = resolve_name(func), OPERATORS[operator]
    return [each for each in series if compare(each.total(reducer), threshold)]


def sort_by(series: list[Series], func: str, reverse: bool) -> list[Series]:
    """Sort the series by an aggregate; those without values are lowest."""
    reducer = resolve_name(func)

    def rank(each: Series) -> float:
        value = each.total(reducer)
        return float("-inf") if value is None else value

    return sorted(series, key=rank, reverse=reverse)


def sort_by_minima(series: list[Series]) -> list[Series]:
    """Sort the series that have a value above 0 by their minima."""
    return sort_by([each for each in series if (each.reduce("max") or 0) > 0], "min", reverse=False)


def sort_by_name(series: list[Series], natural: bool, reverse: bool) -> list[Series]:
    """Sort the series by name; naturally, numbers in names are compared as numbers."""

    def key(each: Series) -> str:
        return re.sub(r"[0-9]+", lambda found: found[0].lstrip("0").zfill(10), each.name) if natural else each.name

    return sorted(series, key=key, reverse=reverse)


def pick(series: list[Series], count: int, func: str, *, highest: bool) -> list[Series]:
    """Return the `count` highest or lowest series by an aggregate, in this order."""
    return sort_by(series, func, reverse=highest)[: max(count, 0)]


def keep_deviant(series: list[Series], count: int) -> list[Series]:
    """Return the `count` series whose values deviate most from their mean."""
    return pick([each for each in series if each.reduce("stddev") is not None], count, "stddev", highest=True)


def remove_empty(series: list[Series], factor: float | None) -> list[Series]:
    """Return the series that have a value, and at least the share `factor` of their values."""
    counted = ((each, each.total("count") or 0) for each in series)
    return [each for each, count in counted if count and count / len(each.values) >= (factor or 0)]


def unique(series: list[Series]) -> list[Series]:
    """Return the first series of each name."""
    found: dict[str, Series] = {}
    for each in series:
        found.setdefault(each.name, each)
    return list(found.values())


def _filter(name: str, description: str, apply: Callable[..., list[Series]], *parameters: Parameter) -> Function:
    return Function(name, "Filter Series", description, (SERIES_LIST, *parameters), apply)


def _compare(name: str, reducer: str, operator: str) -> Function:
    word = {"last": "last value", "average": "average", "max": "maximum", "min": "minimum"}[reducer]
    side = "above n" if operator == ">" else "at most n"

    def apply(series: list[Series], bound: float) -> list[Series]:
        return filter_series(series, reducer, operator, bound)

    return _filter(name, f"Keeps the series whose {word} is {side}.", apply, Parameter("n", "float"))


def _pick(name: str, reducer: str, word: str) -> Function:
    is_highest = name.startswith("highest")

    def apply(series: list[Series], count: int) -> list[Series]:
        return pick(series, count, reducer, highest=is_highest)

    side = "highest" if is_highest else "lowest"
    return _filter(name, f"Keeps the series with the {side} {word}.", apply, Parameter("n", "integer"))


def _pick_by(name: str, *, highest: bool) -> Function:
    def apply(series: list[Series], count: int, func: str) -> list[Series]:
        return pick(series, count, func, highest=highest)

    return _filter(name, f"Keeps the {name} series by an aggregate function.", apply, Parameter("n", "integer"), _FUNC)


def _sort(name: str, description: str, apply: Callable[..., list[Series]], *parameters: Parameter) -> Function:
    return Function(name, "Sorting", description, (SERIES_LIST, *parameters), apply)


def _flag(name: str) -> Parameter:
    return Parameter(name, "boolean", required=False, default=False)


def _descending(reducer: str) -> Callable[[list[Series]], list[Series]]:
    def apply(series: list[Series]) -> list[Series]:
        return sort_by(series, reducer, reverse=True)

    return apply


_FUNC = Parameter("func", "aggFunc", required=False, default="average")
_OPERATOR: Any = Parameter("operator", "string", options=tuple(OPERATORS))
FUNCTIONS = (
    _pick("highestMax", "max", "maxima"),
    _pick("highestAverage", "average", "averages"),
    _pick("highestCurrent", "last", "last values"),
    _pick("lowestAverage", "average", "averages"),
    _pick("lowestCurrent", "last", "last values"),
    _pick_by("highest", highest=True),
    _pick_by("lowest", highest=False),
    _compare("currentAbove", "last", ">"),
    _compare("currentBelow", "last", "<="),
    _compare("averageAbove", "average", ">"),
    _compare("averageBelow", "average", "<="),
    _compare("maximumAbove", "max", ">"),
    _compare("maximumBelow", "max", "<="),
    _compare("minimumAbove", "min", ">"),
    _compare("minimumBelow", "min", "<="),
    _filter("filterSeries", "Keeps the series whose aggregate compares with a threshold.", filter_series,
            Parameter("func", "aggFunc"), _OPERATOR, Parameter("threshold", "float")),
    _filter("mostDeviant", "Keeps the n series that deviate most from their means.", keep_deviant,
            Parameter("n", "integer")),
    _filter("removeEmptySeries", "Keeps the series with values.", remove_empty,
            Parameter("xFilesFactor", "float", required=False)),
    Function("unique", "Filter Series", "Keeps the first series of each name.",
             (Parameter("seriesLists", "seriesList", multiple=True),), unique),
    _sort("sortBy", "Sorts series by an aggregate function.", sort_by, _FUNC, _flag("reverse")),
    _sort("sortByName", "Sorts series by their names.", sort_by_name, _flag("natural"), _flag("reverse")),
    _sort("sortByTotal", "Sorts series by their sums, highest first.", _descending("sum")),
    _sort("sortByMaxima", "Sorts series by their maxima, highest first.", _descending("max")),
    _sort("sortByMinima", "Sorts the series with values above 0 by their minima.", sort_by_minima),
)  # fmt: skip
