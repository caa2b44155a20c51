"""Functions that change the values of each series by themselves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat

from tally.graphite.attime import parse_span
from tally.graphite.budget import check_points
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.reducers import named
from tally.graphite.series import Series, Value


def scale(series: list[Series], factor: float) -> list[Series]:
    """Multiply each value."""
    return [each.mapped(f"scale({each.name},{factor:g})", lambda value: value * factor) for each in series]


def offset(series: list[Series], amount: float) -> list[Series]:
    """Add to each value."""
    return [each.mapped(f"offset({each.name},{amount:g})", lambda value: value + amount) for each in series]


def absolute(series: list[Series]) -> list[Series]:
    """Take the sign off each value."""
    return [each.mapped(f"absolute({each.name})", abs) for each in series]


def derivative(series: list[Series]) -> list[Series]:
    """Return by how much each value differs from the one before it."""
    return [each.changed(f"derivative({each.name})", _differences(each.values)) for each in series]


def non_negative_derivative(series: list[Series], most: float | None, least: float | None) -> list[Series]:
    """Return by how much a counter grew since the value before; where it wrapped at `most`, over that."""
    return [each.changed(f"nonNegativeDerivative({each.name})", _growth(each.values, most, least)) for each in series]


def per_second(series: list[Series], most: float | None, least: float | None) -> list[Series]:
    """Return by how much a counter grew in each second since the value before."""
    found = []
    for each in series:
        values = [None if value is None else _rounded(value / each.step) for value in _growth(each.values, most, least)]
        found.append(replace(each.changed(f"perSecond({each.name})", values), consolidation="average"))
    return found


def integral(series: list[Series]) -> list[Series]:
    """Return the sum of all values up to each."""
    found = []
    for each in series:
        total, values = 0.0, list[Value]()
        for value in each.values:
            total += value or 0.0
            values.append(None if value is None else total)
        found.append(replace(each.changed(f"integral({each.name})", values), consolidation="last"))
    return found


def keep_last_value(series: list[Series], limit: float) -> list[Series]:
    """Fill gaps of at most `limit` values with the value before them."""
    return [each.changed(f"keepLastValue({each.name})", _kept(each.values, limit)) for each in series]


def transform_null(series: list[Series], default: float, reference: list[Series] | None) -> list[Series]:
    """Put a number where there is no value; with `reference` only at times at which one of its series has one."""
    suffix = ",referenceSeries" if reference else ""
    named_by = ((each, f"transformNull({each.name},{default:g}{suffix})") for each in series)
    return [each.changed(name, _filled(each, default, reference)) for each, name in named_by]


def _filled(series: Series, default: float, reference: list[Series] | None) -> list[Value]:
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
    """Choose how several values become one where there is no room for all."""
    reducer = named(function)
    return [replace(each.named(f'consolidateBy({each.name},"{function}")'), consolidation=reducer) for each in series]


def summarize(series: list[Series], interval: str, function: str, align_to_from: bool) -> list[Series]:
    """Make one value of those in each interval."""
    seconds, reducer = parse_span(interval), named(function)
    suffix = ", true" if align_to_from else ""
    check_points(sum(each.end - each.start for each in series) // seconds + 2 * len(series))
    found = []
    for each in series:
        start = each.start if align_to_from else each.start - each.start % seconds
        end = each.end if align_to_from else each.end - each.end % seconds + seconds
        values = [_between(each, reducer, begin, begin + seconds) for begin in range(start, end, seconds)]
        name = f'summarize({each.name}, "{interval}", "{function}"{suffix})'
        found.append(replace(each.changed(name, values), start=start, step=seconds, consolidation=_of(reducer)))
    return found


def _between(series: Series, reducer: str, begin: int, end: int) -> Value:
    """Return one value for those that begin within two times."""
    first, last = (max(0, math.ceil((time - series.start) / series.step)) for time in (begin, end))
    return series.reduce(reducer, begin=first, end=last)


def _of(reducer: str) -> str:
    """Return how values that a reducer made are consolidated: as it made them, where that is right for parts."""
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


def _kept(values: Sequence[Value], limit: float) -> list[Value]:
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


def _one(name: str, description: str, apply: Callable[..., list[Series]], *parameters: Parameter) -> Function:
    return Function(name, "Transform", description, (SERIES_LIST, *parameters), apply)


_BOUNDS = (Parameter("maxValue", "float", required=False), Parameter("minValue", "float", required=False))
FUNCTIONS = (
    _one("scale", "Multiplies each value.", scale, Parameter("factor", "float")),
    _one("offset", "Adds to each value.", offset, Parameter("factor", "float")),
    _one("absolute", "Takes the sign off each value.", absolute),
    _one("perSecond", "Returns by how much a counter grew in each second.", per_second, *_BOUNDS),
    _one("derivative", "Returns by how much each value differs from the one before.", derivative),
    _one("nonNegativeDerivative", "Returns by how much a counter grew.", non_negative_derivative, *_BOUNDS),
    _one("integral", "Returns the sum of all values up to each.", integral),
    _one("summarize", "Makes one value of those in each interval.", summarize,
         Parameter("intervalString", "interval", suggestions=("10min", "1h", "1d")),
         Parameter("func", "aggFunc", required=False, default="sum"),
         Parameter("alignToFrom", "boolean", required=False, default=False)),
    _one("keepLastValue", "Fills gaps of at most so many values with the value before.", keep_last_value,
         Parameter("limit", "intOrInf", required=False, default=math.inf)),
    _one("transformNull", "Puts a number where there is no value.", transform_null,
         Parameter("default", "float", required=False, default=0),
         Parameter("referenceSeries", "seriesList", required=False)),
    Function("consolidateBy", "Special", "Chooses how several values become one where there is no room for all.",
             (SERIES_LIST, Parameter("consolidationFunc", "aggFunc")), consolidate_by),
)  # fmt: skip
