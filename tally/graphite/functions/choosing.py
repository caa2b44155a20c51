"""Functions that keep series by their names or places, and values by their size."""

from itertools import islice

from tally.graphite.expression import Expression
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.series import Series


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


def use_series_above(context: Context, _series: None, value: float, search: str, replacement: str) -> list[Series]:
    """Return the series whose names are those of series with a value above `value`, with a replacement."""
    expression = Expression(search)
    targets = [
        expression.sub(replacement, each.name)
        for each in context.series
        if (highest := each.reduce("max")) is not None and highest > value
    ]
    return [each for target in targets for each in context.ask(target)]


def fall_back(series: list[Series], fallback: list[Series]) -> list[Series]:
    """Return the series, or `fallback` if there are none."""
    return series or fallback


def group(series: list[Series]) -> list[Series]:
    """Return all series."""
    return series


_BOUND = Parameter("n", "float")
_PATTERN = Parameter("pattern", "string")
FUNCTIONS = (
    Function("limit", "Filter Series", "Keeps the first n series.", (SERIES_LIST, Parameter("n", "integer")), limit),
    Function("exclude", "Filter Series", "Keeps the series whose names do not match a regular expression.",
             (SERIES_LIST, _PATTERN), exclude),
    Function("grep", "Filter Series", "Keeps the series whose names match a regular expression.",
             (SERIES_LIST, _PATTERN), grep),
    Function("removeBelowValue", "Filter Data", "Removes all values below a bound.", (SERIES_LIST, _BOUND),
             remove_below_value),
    Function("removeAboveValue", "Filter Data", "Removes all values above a bound.", (SERIES_LIST, _BOUND),
             remove_above_value),
    Function("useSeriesAbove", "Filter Series", "Shows other series for those with a value above a bound, found by "
             "replacing in their names.",
             (SERIES_LIST, Parameter("value", "float"), Parameter("search", "string"), Parameter("replace", "string")),
             use_series_above, takes_context=True),
    Function("fallbackSeries", "Special", "Shows the series of the second argument if there are none in the first.",
             (SERIES_LIST, Parameter("fallback", "seriesList")), fall_back),
    Function("group", "Combine", "Returns the series of all arguments.",
             (Parameter("seriesLists", "seriesList", required=False, multiple=True),), group),
)  # fmt: skip
