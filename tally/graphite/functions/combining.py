"""Functions that make one series of several."""

from collections.abc import Iterable
from dataclasses import replace

from tally.errors import InvalidQuestion
from tally.graphite.functions.naming import SERIES_LIST, key
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.reducers import named, reduce
from tally.graphite.series import Grid, Series, Value


def combine(series: list[Series], word: str) -> list[Series]:
    """Return the one series of an aggregate function over several at each time; of none, none."""
    if not series:
        return []
    grid, reducer, title = Grid.of(series), named(word), word.removesuffix("Series")
    name = f"{title}Series({listed(series)})"
    tags = {**_common_tags(series), "aggregatedBy": title}
    values = [reduce(reducer, row) for row in grid.rows]
    return [Series(name, name, grid.start, grid.step, values, grid.consolidation, tags={"name": name, **tags})]


def group_by_node(series: list[Series], node: int | str, callback: str) -> list[Series]:
    """Return one series for each value of a node, or of a tag, in the order in which they come."""
    return [replace(combine(group, callback)[0], name=name) for name, group in _grouped(series, (node,)).items()]


def divide(dividends: list[Series], divisors: list[Series]) -> list[Series]:
    """Divide each series by the same one; without it, and where it is 0, there is no value."""
    if len(divisors) > 1:
        raise InvalidQuestion(f"divideSeries: divisorSeries has {len(divisors)} series: use exactly one")
    if not divisors:
        nothing = ((each, f"divideSeries({each.name},MISSING)") for each in dividends)
        return [each.changed(name, [None] * len(each.values)) for each, name in nothing]
    (divisor,) = divisors
    return [_ratio(each, divisor, f"divideSeries({each.name},{divisor.name})") for each in dividends]


def as_percent(series: list[Series], total: list[Series] | float | None, nodes: tuple[int | str, ...]) -> list[Series]:
    """Return each series as a percentage of the sum of all, of a number, of one series, or of one each.

    With `nodes` the total of a series is the sum of those that have the same nodes or tags, of `total` or of `series`.
    """
    if nodes:
        return _as_percent_by(series, total, nodes)
    if not series:
        return []
    if total is None:
        name = f"sumSeries({listed(series)})"
        return [_percent(each, replace(combine(series, "sum")[0], name=name)) for each in series]
    if not isinstance(total, list):
        scaled = ((each, f"asPercent({each.name},{total})") for each in series)
        return [replace(each.mapped(name, lambda v: _quotient(v, total, 100)), consolidation="average", weights=None)
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
    groups = _grouped(series, nodes)
    totals = {node: _sum_of(group) for node, group in _grouped(series if total is None else total, nodes).items()}
    found = []
    for node in dict.fromkeys((*groups, *totals)):
        below = totals.get(node)
        if below is None:
            found += [
                each.changed(f"asPercent({each.name},MISSING)", [None] * len(each.values)) for each in groups[node]
            ]
        elif node in groups:
            found += [_percent(each, below) for each in groups[node]]
        else:
            found.append(below.changed(f"asPercent(MISSING,{below.name})", [None] * len(below.values)))
    return found


def _grouped(series: list[Series], nodes: tuple[int | str, ...]) -> dict[str, list[Series]]:
    groups: dict[str, list[Series]] = {}
    for each in series:
        groups.setdefault(key(each, nodes), []).append(each)
    return groups


def _sum_of(group: list[Series]) -> Series:
    """Return the sum of series, or the only one as it is."""
    return group[0] if len(group) == 1 else replace(combine(group, "sum")[0], name=f"sumSeries({listed(group)})")


def listed(series: Iterable[Series]) -> str:
    """Return the expressions of series, each once, as names of functions have them."""
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


def _of_all(name: str, word: str, description: str) -> Function:
    lists = Parameter("seriesLists", "seriesList", multiple=True)
    return Function(name, "Combine", description, (lists,), lambda series: combine(series, word))


_NAMED = (
    _of_all("sumSeries", "sum", "Adds up all series at each time; where one has no value it counts as 0."),
    _of_all("averageSeries", "average", "Returns the mean of the values that all series have at each time."),
    _of_all("minSeries", "min", "Returns the least of the values that all series have at each time."),
    _of_all("maxSeries", "max", "Returns the greatest of the values that all series have at each time."),
    _of_all("diffSeries", "diff", "Takes all other series from the first."),
    Function("groupByNode", "Combine", "Makes one series of all that have the same node, counted from 0, or tag.",
             (SERIES_LIST, Parameter("nodeNum", "nodeOrTag"),
              Parameter("callback", "aggFunc", required=False, default="average")), group_by_node),
    Function("divideSeries", "Combine", "Divides each series by the one of the second list.",
             (Parameter("dividendSeriesList", "seriesList"), Parameter("divisorSeries", "seriesList")), divide),
    Function("asPercent", "Combine", "Returns each series as a percentage of the sum of all, of a number, of a series, "
             "or of as many series.",
             (SERIES_LIST, Parameter("total", "any", required=False),
              Parameter("nodes", "nodeOrTag", required=False, multiple=True)), as_percent),
)  # fmt: skip
# The short names that dashboards use.
_SHORT = {"sum": "sumSeries", "avg": "averageSeries", "max": "maxSeries", "min": "minSeries", "pct": "asPercent"}
_BY_NAME = {function.name: function for function in _NAMED}
FUNCTIONS = (*_NAMED, *(replace(_BY_NAME[name], name=short) for short, name in _SHORT.items()))
