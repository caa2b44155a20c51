"""Functions that combine several series."""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tally.errors import InvalidQuestion
from tally.graphite.functions.naming import SERIES_LIST, key
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.reducers import reduce, resolve_name
from tally.graphite.series import Grid, Series, Value


def combine(series: list[Series], word: str, *, factor: float | None = None) -> list[Series]:
    """Aggregate several series into one, by the aggregate function `word` at each time.

    A time needs values of at least the share `factor` of the series; by default as set by `setXFilesFactor`.
    """
    if not series:
        return []
    least = max(each.common_factor for each in series) if factor is None else factor
    grid, reducer, title = Grid.of(series), resolve_name(word), word.removesuffix("Series")
    name = f"{title}Series({join_expressions(series)})"
    tags = {**_common_tags(series), "aggregatedBy": title}
    values = [reduce(reducer, row) if not least or _is_enough(row, least) else None for row in grid.rows]
    combined = Series(name, name, grid.start, grid.step, values, grid.consolidation, tags={"name": name, **tags})
    return [replace(combined, x_files_factor=least)]


def _is_enough(row: Sequence[Value], least: float) -> bool:
    return sum(value is not None for value in row) / len(row) >= least


def count(series: list[Series]) -> list[Series]:
    """Return how many series there are, whether they have values or not."""
    if not series:
        return []
    grid, name = Grid.of(series), f"countSeries({join_expressions(series)})"
    values = [float(len(row)) for row in grid.rows]
    return [Series(name, name, grid.start, grid.step, values, tags={"name": name})]


def power(series: list[Series]) -> list[Series]:
    """Raise the first series to the power of the second, the result to the power of the third, and so on."""
    if not series:
        return []
    grid, name = Grid.of(series), f"powSeries({','.join(each.name for each in series)})"
    values = [functools.reduce(_power, row) for row in grid.rows]
    return [Series(name, name, grid.start, grid.step, values, tags={"name": name})]


def _power(base: Value, exponent: Value) -> Value:
    try:
        return None if base is None or exponent is None else math.pow(base, exponent)
    except (ArithmeticError, ValueError):
        return None


def multiply(series: list[Series]) -> list[Series]:
    """Return the product of all series; one series stays as it is."""
    return series if len(series) == 1 else combine(series, "multiply")


def combine_lists(first: list[Series], second: list[Series], word: str, *, factor: float | None = None) -> list[Series]:
    """Aggregate each series with the one at the same place in the second list."""
    title = word.removesuffix("Series")
    return [
        replace(combine([*both], word, factor=factor)[0], name=f"{title}Series({both[0].name},{both[1].name})")
        for both in pair("aggregateSeriesLists", first, second)
    ]


def pair(function: str, first: list[Series], second: list[Series]) -> list[tuple[Series, Series]]:
    """Return the pairs of two lists.

    :raises InvalidQuestion: when they have different lengths.
    """
    if len(first) != len(second):
        raise InvalidQuestion(f"{function}: the lists have {len(first)} and {len(second)} series: use as many in both")
    return list(zip(first, second, strict=True))


def group_series(series: list[Series], nodes: tuple[int | str, ...]) -> dict[str, list[Series]]:
    """Return the series by their nodes or tags, in the order of the first series of each."""
    groups: dict[str, list[Series]] = {}
    for each in series:
        groups.setdefault(key(each, nodes), []).append(each)
    return groups


def join_expressions(series: Iterable[Series]) -> str:
    """Return the distinct expressions of series, separated by commas, for the name of a function."""
    return ",".join(dict.fromkeys(each.expression for each in series))


def _common_tags(series: list[Series]) -> dict[str, str]:
    first, *others = (each.tags for each in series)
    return {tag: value for tag, value in first.items() if all(tags.get(tag) == value for tags in others)}


def aggregate(series: list[Series], word: str, factor: float | None) -> list[Series]:
    """Aggregate several series into one."""
    return combine(series, word, factor=factor)


def aggregate_lists(first: list[Series], second: list[Series], word: str, factor: float | None) -> list[Series]:
    """Aggregate each series with the one at the same place in the second list."""
    return combine_lists(first, second, word, factor=factor)


def _combining(word: str, description: str, *names: str) -> tuple[Function, ...]:
    lists = (Parameter("seriesLists", "seriesList", multiple=True),)
    return tuple(
        Function(name, "Combine", description, lists, lambda series: combine(series, word), listed=name not in UNLISTED)
        for name in names
    )


def _lists(name: str, word: str, description: str) -> Function:
    return Function(name, "Combine", description, _PAIR, lambda first, second: combine_lists(first, second, word))


# Short names that Graphite does not have.
UNLISTED = ("max", "min")
_FACTOR = Parameter("xFilesFactor", "float", required=False)
_FUNC = Parameter("func", "aggFunc")
_PAIR = (Parameter("seriesListFirstPos", "seriesList"), Parameter("seriesListSecondPos", "seriesList"))
FUNCTIONS = (
    *_combining("sum", "Returns the sum of all series at each time; a missing value counts as 0.", "sumSeries", "sum"),
    *_combining("average", "Returns the mean of all series at each time.", "averageSeries", "avg"),
    *_combining("min", "Returns the minimum of all series at each time.", "minSeries", "min"),
    *_combining("max", "Returns the maximum of all series at each time.", "maxSeries", "max"),
    *_combining("diff", "Subtracts all other series from the first.", "diffSeries"),
    *_combining("stddev", "Returns the standard deviation of all series at each time.", "stddevSeries"),
    *_combining("rangeOf", "Returns the maximum less the minimum of all series at each time.", "rangeOfSeries"),
    Function("multiplySeries", "Combine", "Returns the product of all series at each time.",
             (Parameter("seriesLists", "seriesList", multiple=True),), multiply),
    Function("powSeries", "Combine", "Raises the first series to the power of the second, and so on.",
             (Parameter("seriesList", "seriesList", multiple=True),), power),
    Function("countSeries", "Combine", "Returns how many series there are.",
             (Parameter("seriesLists", "seriesList", required=False, multiple=True),), count),
    Function("aggregate", "Combine", "Combines all series by an aggregate function.",
             (SERIES_LIST, _FUNC, _FACTOR), aggregate),
    Function("aggregateSeriesLists", "Combine", "Combines each series with the one at the same place in the second "
             "list.", (*_PAIR, _FUNC, _FACTOR), aggregate_lists),
    _lists("sumSeriesLists", "sum", "Adds to each series the one at the same place in the second list."),
    _lists("diffSeriesLists", "diff", "Subtracts from each series the one at the same place in the second list."),
    _lists("multiplySeriesLists", "multiply", "Multiplies each series by the one at its place in the second list."),
)  # fmt: skip
