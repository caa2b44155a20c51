"""Functions that divide series by others: ratios, percentages and weighted means."""

from dataclasses import replace

from tally.errors import InvalidQuestion
from tally.graphite.functions.combining import combine, group_series, join_expressions, pair
from tally.graphite.functions.naming import SERIES_LIST, key
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.series import Grid, Series, Value


def divide(dividends: list[Series], divisors: list[Series]) -> list[Series]:
    """Divide each series by one divisor. There is no value where the divisor is 0 or missing."""
    if len(divisors) > 1:
        raise InvalidQuestion(f"divideSeries: divisorSeries has {len(divisors)} series: use exactly one")
    if not divisors:
        nothing = ((each, f"divideSeries({each.name},MISSING)") for each in dividends)
        return [each.with_values(name, [None] * len(each.values)) for each, name in nothing]
    (divisor,) = divisors
    return [_ratio(each, divisor, f"divideSeries({each.name},{divisor.name})") for each in dividends]


def divide_lists(dividends: list[Series], divisors: list[Series]) -> list[Series]:
    """Divide each series by the one at the same place in the second list."""
    pairs = pair("divideSeriesLists", dividends, divisors)
    return [_ratio(above, below, f"divideSeries({above.name},{below.name})") for above, below in pairs]


def weighted_average(series: list[Series], weights: list[Series], nodes: tuple[int | str, ...]) -> list[Series]:
    """Return the mean of all series, each weighted by the series of `weights` with the same nodes or tags."""
    pair("weightedAverage", series, weights)
    keyed, weight_by = ({key(each, nodes): each for each in given} for given in (series, weights))
    products = []
    for node, each in keyed.items():
        if node in weight_by:
            grid = Grid.of((each, weight_by[node]))
            values = [_product(*row) for row in grid.rows]
            products.append(replace(each, start=grid.start, step=grid.step, values=values, weights=None))
    if not products:
        return []
    shown = (",".join(sorted({each.expression for each in given})) for given in (series, weights))
    name = f"weightedAverage({', '.join(shown)}, {','.join(map(str, nodes))})"
    return [_ratio(combine(products, "sum")[0], combine(weights, "sum")[0], name)]


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
        return [_percent(each, replace(combine(series, "sum", factor=0)[0], name=name)) for each in series]
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
    groups = group_series(series, nodes)
    totals = {node: _sum(group) for node, group in group_series(series if total is None else total, nodes).items()}
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


def _product(value: Value, weight: Value) -> Value:
    return None if value is None or weight is None else value * weight


def _sum(group: list[Series]) -> Series:
    """Return the sum of series, or the only series unchanged."""
    if len(group) == 1:
        return group[0]
    return replace(combine(group, "sum", factor=0)[0], name=f"sumSeries({join_expressions(group)})")


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


_PERCENT = Function(
    "asPercent",
    "Combine",
    "Returns each series as a percentage of the sum of all series, of a number, of one series, or of one series for "
    "each.",
    (
        SERIES_LIST,
        Parameter("total", "any", required=False),
        Parameter("nodes", "nodeOrTag", required=False, multiple=True),
    ),
    as_percent,
)
_DIVIDENDS = Parameter("dividendSeriesList", "seriesList")
FUNCTIONS = (
    Function("divideSeries", "Combine", "Divides each series by the series in the second argument.",
             (_DIVIDENDS, Parameter("divisorSeries", "seriesList")), divide),
    Function("divideSeriesLists", "Combine", "Divides each series by the one at the same place in the second list.",
             (_DIVIDENDS, Parameter("divisorSeriesList", "seriesList")), divide_lists),
    _PERCENT,
    replace(_PERCENT, name="pct"),
    Function("weightedAverage", "Combine", "Returns the mean of all series, weighted by those of another list.",
             (Parameter("seriesListAvg", "seriesList"), Parameter("seriesListWeight", "seriesList"),
              Parameter("nodes", "nodeOrTag", required=False, multiple=True)), weighted_average),
)  # fmt: skip
