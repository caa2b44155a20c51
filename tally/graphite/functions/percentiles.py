"""Functions that need the percentiles of values: those of a series, or those of several series at one time."""

import math
from collections.abc import Sequence
from dataclasses import replace

from tally.errors import InvalidQuestion
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.series import Grid, Series, Value


def percentile(values: Sequence[Value], rank: float, *, interpolate: bool = False) -> Value:
    """Return a percentile of the values that are not missing, by Graphite's rank of `rank` % of one more than these."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    place = rank / 100 * (len(known) + 1)
    whole = math.floor(place) if interpolate else math.ceil(place)
    found = known[min(max(whole, 1), len(known)) - 1]
    if interpolate and whole < len(known):
        found += (place - whole) * (known[whole] - found)
    return found


def percentile_of_series(series: list[Series], rank: float, interpolate: bool) -> list[Series]:
    """Return the percentile of all series at each time."""
    _check("percentileOfSeries", rank)
    if not series:
        return []
    grid, name = Grid.of(series), f"percentileOfSeries({series[0].expression},{rank:g})"
    values = [percentile(row, rank, interpolate=interpolate) for row in grid.rows]
    return [Series(name, name, grid.start, grid.step, values, grid.consolidation, tags={"name": name})]


def n_percentile(series: list[Series], rank: float) -> list[Series]:
    """Return the percentile of each series that has values, as a line."""
    _check("nPercentile", rank)
    found = ((each, percentile(each.values, rank)) for each in series)
    return [
        each.with_values(f"nPercentile({each.name}, {rank:g})", [value] * len(each.values))
        for each, value in found
        if value is not None
    ]


def remove_above(series: list[Series], rank: float) -> list[Series]:
    """Remove the values of each series above its own percentile."""
    return _remove("removeAbovePercentile", series, rank, above=True)


def remove_below(series: list[Series], rank: float) -> list[Series]:
    """Remove the values of each series below its own percentile."""
    return _remove("removeBelowPercentile", series, rank, above=False)


def _remove(function: str, series: list[Series], rank: float, *, above: bool) -> list[Series]:
    _check(function, rank)
    found = []
    for each in series:
        bound = percentile(each.values, rank) or 0
        values = [
            None if value is None or (value > bound if above else value < bound) else value for value in each.values
        ]
        found.append(replace(each.rename(f"{function}({each.name}, {rank:g})"), values=values))
    return found


def average_outside(series: list[Series], rank: float) -> list[Series]:
    """Return the series whose averages are not between two percentiles of all averages."""
    averages = [each.reduce("average") for each in series]
    low, high = _bounds("averageOutsidePercentile", averages, rank)
    pairs = zip(series, averages, strict=True)
    return [each for each, value in pairs if value is not None and not low < value < high]


def remove_between(series: list[Series], rank: float) -> list[Series]:
    """Return the series that have a value outside of two percentiles of all series at its time."""
    if not series:
        return []
    outside = set[int]()
    for row in Grid.of(series).rows:
        low, high = _bounds("removeBetweenPercentile", row, rank)
        outside |= {index for index, value in enumerate(row) if value is not None and not low < value < high}
    return [each for index, each in enumerate(series) if index in outside]


def _bounds(function: str, values: Sequence[Value], rank: float) -> tuple[float, float]:
    """Return the percentiles `rank` and `100 - rank`, the lower one first; infinite without values."""
    if not 0 <= rank <= 100:
        raise InvalidQuestion(f"{function}: n {rank:g} is not a percentile: use 0 to 100")
    upper = max(rank, 100 - rank)
    low, high = percentile(values, 100 - upper), percentile(values, upper)
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def _check(function: str, rank: float) -> None:
    if not 0 < rank <= 100:
        raise InvalidQuestion(f"{function}: n {rank:g} is not a percentile: use more than 0, and at most 100")


_RANK = Parameter("n", "float")
FUNCTIONS = (
    Function("percentileOfSeries", "Combine", "Returns the percentile of all series at each time.",
             (SERIES_LIST, _RANK, Parameter("interpolate", "boolean", required=False, default=False)),
             percentile_of_series),
    Function("nPercentile", "Calculate", "Returns the percentile of each series, as a line.", (SERIES_LIST, _RANK),
             n_percentile),
    Function("removeAbovePercentile", "Filter Data", "Removes the values above a percentile of their series.",
             (SERIES_LIST, _RANK), remove_above),
    Function("removeBelowPercentile", "Filter Data", "Removes the values below a percentile of their series.",
             (SERIES_LIST, _RANK), remove_below),
    Function("averageOutsidePercentile", "Filter Series", "Keeps the series whose averages are not between the "
             "percentiles n and 100 - n of all averages.", (SERIES_LIST, _RANK), average_outside),
    Function("removeBetweenPercentile", "Filter Series", "Keeps the series with a value that is not between the "
             "percentiles n and 100 - n of all series at that time.", (SERIES_LIST, _RANK), remove_between),
)  # fmt: skip
