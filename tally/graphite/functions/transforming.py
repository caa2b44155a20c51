"""Functions that transform the values of each series."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat

from tally.graphite.attime import parse_span
from tally.graphite.budget import check_points
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.reducers import resolve_name
from tally.graphite.series import Series, Value


def scale(series: list[Series], factor: float) -> list[Series]:
    """Multiply each value."""
    return [each.map(f"scale({each.name},{factor:g})", lambda value: value * factor) for each in series]


def offset(series: list[Series], amount: float) -> list[Series]:
    """Add to each value."""
    return [each.map(f"offset({each.name},{amount:g})", lambda value: value + amount) for each in series]


def absolute(series: list[Series]) -> list[Series]:
    """Return the absolute values."""
    return [each.map(f"absolute({each.name})", abs) for each in series]


def derivative(series: list[Series]) -> list[Series]:
    """Return the difference of each value from the value before."""
    return [each.with_values(f"derivative({each.name})", _differences(each.values)) for each in series]


def non_negative_derivative(series: list[Series], most: float | None, least: float | None) -> list[Series]:
    """Return the growth of a counter since the value before; a counter that becomes less has wrapped at `most`."""
    return [
        each.with_values(f"nonNegativeDerivative({each.name})", _growth(each.values, most, least)) for each in series
    ]


def per_second(series: list[Series], most: float | None, least: float | None) -> list[Series]:
    """Return the growth of a counter per second since the value before."""
    found = []
    for each in series:
        values = [None if value is None else _rounded(value / each.step) for value in _growth(each.values, most, least)]
        found.append(replace(each.with_values(f"perSecond({each.name})", values), consolidation="average"))
    return found


def integral(series: list[Series]) -> list[Series]:
    """Return the running total of the values."""
    found = []
    for each in series:
        total, values = 0.0, list[Value]()
        for value in each.values:
            total += value or 0.0
            values.append(None if value is None else total)
        found.append(replace(each.with_values(f"integral({each.name})", values), consolidation="last"))
    return found


def keep_last_value(series: list[Series], limit: float) -> list[Series]:
    """Fill gaps of at most `limit` values with the value before."""
    return [each.with_values(f"keepLastValue({each.name})", _fill_gaps(each.values, limit)) for each in series]


def transform_null(series: list[Series], default: float, reference: list[Series] | None) -> list[Series]:
    """Replace missing values by `default`; with `reference`, only where one of its series has a value."""
    suffix = ",referenceSeries" if reference else ""
    named_by = ((each, f"transformNull({each.name},{default:g}{suffix})") for each in series)
    return [each.with_values(name, _fill_nulls(each, default, reference)) for each, name in named_by]


def _fill_nulls(series: Series, default: float, reference: list[Series] | None) -> list[Value]:
    times = range(series.start, series.end, series.step)
    return [
        default if value is None and (not reference or any(map(has_value, reference, repeat(time)))) else value
        for value, time in zip(series.values, times, strict=True)
    ]


def has_value(series: Series, time: int) -> bool:
    """Return whether a series has a value at a time."""
    index = (time - series.start) // series.step
    return 0 <= index < len(series.values) and series.values[index] is not None


def consolidate_by(series: list[Series], function: str) -> list[Series]:
    """Set the aggregate function by which values are consolidated."""
    reducer = resolve_name(function)
    return [replace(each.rename(f'consolidateBy({each.name},"{function}")'), consolidation=reducer) for each in series]


def summarize(series: list[Series], interval: str, function: str, align_to_from: bool) -> list[Series]:
    """Aggregate the values of each interval into one."""
    seconds, reducer = parse_span(interval), resolve_name(function)
    suffix = ", true" if align_to_from else ""
    check_points(sum(each.end - each.start for each in series) // seconds + 2 * len(series))
    found = []
    for each in series:
        start = each.start if align_to_from else each.start - each.start % seconds
        end = each.end if align_to_from else each.end - each.end % seconds + seconds
        values = [_reduce_between(each, reducer, begin, begin + seconds) for begin in range(start, end, seconds)]
        summary = each.with_values(f'summarize({each.name}, "{interval}", "{function}"{suffix})', values)
        found.append(replace(summary, start=start, step=seconds, consolidation=_consolidation(reducer)))
    return found


def _reduce_between(series: Series, reducer: str, begin: int, end: int) -> Value:
    """Aggregate the values from the time `begin` to before `end`."""
    first, last = (max(0, math.ceil((time - series.start) / series.step)) for time in (begin, end))
    return series.reduce(reducer, begin=first, end=last)


def _consolidation(reducer: str) -> str:
    """Return how to consolidate values that a reducer returned: by the same reducer, if that is right for parts."""
    return reducer if reducer in ("sum", "min", "max", "first", "last") else "sum" if reducer == "count" else "average"


def _differences(values: Sequence[Value]) -> list[Value]:
    pairs = zip([None, *values], values, strict=False)
    return [None if before is None or value is None else value - before for before, value in pairs]


def _growth(values: Sequence[Value], most: float | None, least: float | None) -> list[Value]:
    found: list[Value] = []
    before: Value = None
    for value in values:
        is_inside = value is None or ((most is None or value <= most) and (least is None or value >= least))
        now = value if is_inside else None
        found.append(None if before is None or now is None else _grown(before, now, most, least))
        before = now
    return found


def _grown(before: float, value: float, most: float | None, least: float | None) -> Value:
    if value >= before:
        return value - before
    if most is not None:
        return most + 1 + value - before - (least or 0)
    return None if least is None else value - least


def _rounded(value: float) -> Value:
    return round(value, 6) if math.isfinite(value) else value


def _fill_gaps(values: Sequence[Value], limit: float) -> list[Value]:
    found = list(values)
    gap, last = 0, None
    for index, value in enumerate((*values, math.nan)):
        if value is None:
            gap += 1
            continue
        if 0 < gap <= limit and last is not None:
            found[index - gap : index] = [last] * gap
        gap, last = 0, value
    return found


def _per_series(name: str, description: str, apply: Callable[..., list[Series]], *parameters: Parameter) -> Function:
    return Function(name, "Transform", description, (SERIES_LIST, *parameters), apply)


_BOUNDS = (Parameter("maxValue", "float", required=False), Parameter("minValue", "float", required=False))
FUNCTIONS = (
    _per_series("scale", "Multiplies each value.", scale, Parameter("factor", "float")),
    _per_series("offset", "Adds to each value.", offset, Parameter("factor", "float")),
    _per_series("absolute", "Returns the absolute values.", absolute),
    _per_series("perSecond", "Returns the growth of a counter per second.", per_second, *_BOUNDS),
    _per_series("derivative", "Returns the difference of each value from the value before.", derivative),
    _per_series("nonNegativeDerivative", "Returns the growth of a counter.", non_negative_derivative, *_BOUNDS),
    _per_series("integral", "Returns the running total of the values.", integral),
    _per_series("summarize", "Aggregates the values of each interval into one.", summarize,
                Parameter("intervalString", "interval", suggestions=("10min", "1h", "1d")),
                Parameter("func", "aggFunc", required=False, default="sum"),
                Parameter("alignToFrom", "boolean", required=False, default=False)),
    _per_series("keepLastValue", "Fills gaps of at most limit values with the value before.", keep_last_value,
                Parameter("limit", "intOrInf", required=False, default=math.inf)),
    _per_series("transformNull", "Replaces missing values by a number.", transform_null,
                Parameter("default", "float", required=False, default=0),
                Parameter("referenceSeries", "seriesList", required=False)),
    Function("consolidateBy", "Special", "Sets the aggregate function for maxDataPoints and for coarser steps.",
             (SERIES_LIST, Parameter("consolidationFunc", "aggFunc")), consolidate_by),
)  # fmt: skip
