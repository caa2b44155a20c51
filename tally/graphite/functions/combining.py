"""Functions that combine several series."""

from collections.abc import Iterable
from dataclasses import replace

from tally.errors import InvalidQuestion
from tally.graphite.functions.naming import SERIES_LIST, key
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.reducers import reduce, resolve_name
from tally.graphite.series import Grid, Series, Value


def combine(series: list[Series], word: str) -> list[Series]:
    """Aggregate several series into one, by the aggregate function `word` at each time."""
    if not series:
        return []
    grid, reducer, title = Grid.of(series), resolve_name(word), word.removesuffix("Series")
    name = f"{title}Series({join_expressions(series)})"
    tags = {**_common_tags(series), "aggregatedBy": title}
    values = [reduce(reducer, row) for row in grid.rows]
    return [Series(name, name, grid.start, grid.step, values, grid.consolidation, tags={"name": name, **tags})]


def group_by_node(series: list[Series], node: int | str, callback: str) -> list[Series]:
    """Combine the series that have the same node or tag, in the order of their first series."""
    return [replace(combine(group, callback)[0], name=name) for name, group in _group_series(series, (node,)).items()]


def divide(dividends: list[Series], divisors: list[Series]) -> list[Series]:
    """Divide each series by one divisor. There is no value where the divisor is 0 or missing."""
    if len(divisors) > 1:
        raise InvalidQuestion(f"divideSeries: divisorSeries has {len(divisors)} series: use exactly one")
    if not divisors:
        nothing = ((each, f"divideSeries({each.name},MISSING)") for each in dividends)
        return [each.with_values(name, [None] * len(each.values)) for each, name in nothing]
    (divisor,) = divisors
    return [_ratio(each, divisor, f"divideSeries({each.name},{divisor.name})") for each in dividends]


def as_percent(series: list[Series], total: list[Series] | float | None, nodes: tuple[int | str, ...]) -> list[Series]:
    """Return each series as a percentage of a total: the sum of all series, a number, one series, or one for each.

    With `nodes`, series that have the same nodes or tags share a total: the sum of those series in `total`, or in
    `series` if there is no `total`.
    """
    if nodes:
        return _as_percent_by(series, total, nodes)
    if not series:
        return []
    if total is None:
        name = f"sumSeries({join_expressions(series)})"
        return [_percent(each, replace(combine(series, "sum")[0], name=name)) for each in series]
    if not isinstance(total, list):
        scaled = ((each, f"asPercent({each.name},{total})") for each in series)
        return [replace(each.map(name, lambda v: _quotient(v, total, 100)), consolidation="average", weights=None)
                for each, name in scaled]  # fmt: skip
    if len(total) == 1:
        return [_percent(each, total[0]) for each in series]
    if len(total) != len(series):
        raise InvalidQuestion(f"asPercent: total has {len(total)} series: use one, or {len(series)} as the first list")
    return [_percent(*pair) for pair in zip(_sorted(series), _sorted(total), strict=True)]


def _as_percent_by(
    series: list[Series], total: list[Series] | float | None, nodes: tuple[int | str, ...]
) -> list[Series]:
    if not (total is None or isinstance(total, list)):
        raise InvalidQuestion("asPercent: total is a number: with nodes use None or series")
    groups = _group_series(series, nodes)
    totals = {node: _sum(group) for node, group in _group_series(series if total is None else total, nodes).items()}
    found = []
    for node in dict.fromkeys((*groups, *totals)):
        below = totals.get(node)
        if below is None:
            found += [
                each.with_values(f"asPercent({each.name},MISSING)", [None] * len(each.values)) for each in groups[node]
            ]
        elif node in groups:
            found += [_percent(each, below) for each in groups[node]]
        else:
            found.append(below.with_values(f"asPercent(MISSING,{below.name})", [None] * len(below.values)))
    return found


def _group_series(series: list[Series], nodes: tuple[int | str, ...]) -> dict[str, list[Series]]:
    groups: dict[str, list[Series]] = {}
    for each in series:
        groups.setdefault(key(each, nodes), []).append(each)
    return groups


def _sum(group: list[Series]) -> Series:
    """Return the sum of series, or the only series unchanged."""
    if len(group) == 1:
        return group[0]
    return replace(combine(group, "sum")[0], name=f"sumSeries({join_expressions(group)})")


def join_expressions(series: Iterable[Series]) -> str:
    """Return the distinct expressions of series, separated by commas, for the name of a function."""
    return ",".join(dict.fromkeys(each.expression for each in series))


def _sorted(series: list[Series]) -> list[Series]:
    return sorted(series, key=lambda each: each.name)


def _percent(series: Series, total: Series) -> Series:
    return _ratio(series, total, f"asPercent({series.name},{total.name})", factor=100)


def _ratio(above: Series, below: Series, name: str, *, factor: int = 1) -> Series:
    grid = Grid.of((above, below))
    values = [_quotient(value, divisor, factor) for value, divisor in grid.rows]
    return Series(name, name, grid.start, grid.step, values, tags={"name": name})


def _quotient(value: Value, divisor: Value, factor: int) -> Value:
    return None if value is None or not divisor else value / divisor * factor


def _common_tags(series: list[Series]) -> dict[str, str]:
    first, *others = (each.tags for each in series)
    return {tag: value for tag, value in first.items() if all(tags.get(tag) == value for tags in others)}


def _combining(name: str, word: str, description: str) -> Function:
    lists = Parameter("seriesLists", "seriesList", multiple=True)
    return Function(name, "Combine", description, (lists,), lambda series: combine(series, word))


_NAMED = (
    _combining("sumSeries", "sum", "Returns the sum of all series at each time; a missing value counts as 0."),
    _combining("averageSeries", "average", "Returns the mean of all series at each time."),
    _combining("minSeries", "min", "Returns the minimum of all series at each time."),
    _combining("maxSeries", "max", "Returns the maximum of all series at each time."),
    _combining("diffSeries", "diff", "Subtracts all other series from the first."),
    Function("groupByNode", "Combine", "Combines the series that have the same node, counted from 0, or tag.",
             (SERIES_LIST, Parameter("nodeNum", "nodeOrTag"),
              Parameter("callback", "aggFunc", required=False, default="average")), group_by_node),
    Function("divideSeries", "Combine", "Divides each series by the series in the second argument.",
             (Parameter("dividendSeriesList", "seriesList"), Parameter("divisorSeries", "seriesList")), divide),
    Function("asPercent", "Combine", "Returns each series as a percentage of the sum of all series, of a number, of "
             "one series, or of one series for each.",
             (SERIES_LIST, Parameter("total", "any", required=False),
              Parameter("nodes", "nodeOrTag", required=False, multiple=True)), as_percent),
)  # fmt: skip
# The short names that dashboards use.
_SHORT = {"sum": "sumSeries", "avg": "averageSeries", "max": "maxSeries", "min": "minSeries", "pct": "asPercent"}
_BY_NAME = {function.name: function for function in _NAMED}
FUNCTIONS = (*_NAMED, *(replace(_BY_NAME[name], name=short) for short, name in _SHORT.items()))
