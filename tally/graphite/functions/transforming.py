"""Functions that transform the values of each series."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.reducers import resolve_name
from tally.graphite.series import Series, Value


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
    suffix, times = (",referenceSeries", _known_times(reference)) if reference else ("", None)
    named_by = ((each, f"transformNull({each.name},{default:g}{suffix})") for each in series)
    return [each.with_values(name, _fill_nulls(each, default, times)) for each, name in named_by]


def _known_times(reference: list[Series]) -> set[int]:
    """Return the times at which any of the series has a value."""
    return {
        each.start + index * each.step
        for each in reference
        for index, value in enumerate(each.values)
        if value is not None
    }


def _fill_nulls(series: Series, default: float, times: set[int] | None) -> list[Value]:
    pairs = zip(range(series.start, series.end, series.step), series.values, strict=True)
    return [default if value is None and (times is None or time in times) else value for time, value in pairs]


def consolidate_by(series: list[Series], function: str) -> list[Series]:
    """Set the aggregate function by which values are consolidated."""
    reducer = resolve_name(function)
    return [
        replace(each.rename(f'consolidateBy({each.name},"{function}")'), consolidation=reducer, origin=None)
        for each in series
    ]


def cumulative(series: list[Series]) -> list[Series]:
    """Consolidate by adding."""
    return consolidate_by(series, "sum")


def set_x_files_factor(series: list[Series], factor: float) -> list[Series]:
    """Set the least share of values that a consolidated value needs."""
    return [replace(each, x_files_factor=factor, common_factor=factor) for each in series]


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


def interpolate(series: list[Series], limit: float) -> list[Series]:
    """Fill gaps of at most `limit` values between two values with a line."""
    return [each.with_values(f"interpolate({each.name})", _draw_lines(each.values, limit)) for each in series]


def _draw_lines(values: Sequence[Value], limit: float) -> list[Value]:
    found, before = list(values), None
    for index, value in enumerate(values):
        if value is None:
            continue
        if before is not None and 1 < index - before <= limit + 1:
            first = values[before] or 0
            rise = (value - first) / (index - before)
            found[before + 1 : index] = [first + rise * (at - before) for at in range(before + 1, index)]
        before = index
    return found


def changed(series: list[Series]) -> list[Series]:
    """Return 1 where a value differs from the value before, and otherwise 0."""
    found = []
    for each in series:
        before, values = None, list[Value]()
        for value in each.values:
            values.append(float(None not in (before, value) and before != value))
            before = before if value is None else value
        found.append(each.with_values(f"changed({each.name})", values))
    return found


def delay(series: list[Series], steps: int) -> list[Series]:
    """Move the values by so many steps to later times; negative ones to earlier times."""
    found = []
    for each in series:
        count = len(each.values)
        gap: list[Value] = [None] * min(abs(steps), count)
        values = [*gap, *each.values[: count - len(gap)]] if steps > 0 else [*each.values[len(gap) :], *gap]
        found.append(each.with_values(f"delay({each.name},{steps})", values))
    return found


def compress_gaps(series: list[Series]) -> list[Series]:
    """Coarsen series whose values are a regular number of steps apart to that distance."""
    return [_compress(each.rename(f"compressPeriodicGaps({each.name})")) for each in series]


def _compress(series: Series) -> Series:
    """The distance is that of the first two values other than 0, after the first step; a third must confirm it."""
    values = series.values
    seen = [index for index, value in enumerate(values) if value and index > 0][:2]
    size = seen[-1] - seen[0] if len(seen) == 2 else 0
    third = seen[-1] + size if size > 1 else len(values)
    if third > len(values) - 2 or not values[third]:
        return series
    if values[third - 1] is not None or values[third + 1] is not None:
        return series
    cut = replace(series, start=series.start + seen[0] * series.step, values=values[seen[0] :], weights=None)
    merged = [cut.reduce("last", begin=begin, end=begin + size) for begin in range(0, len(cut.values), size)]
    return replace(cut, step=series.step * size, values=merged)


def _per_series(name: str, description: str, apply: Callable[..., list[Series]], *parameters: Parameter) -> Function:
    return Function(name, "Transform", description, (SERIES_LIST, *parameters), apply)


CONSOLIDATIONS = ("average", "avg", "avg_zero", "first", "last", "max", "min", "sum")
_BOUNDS = (Parameter("maxValue", "float", required=False), Parameter("minValue", "float", required=False))
FUNCTIONS = (
    _per_series("perSecond", "Returns the growth of a counter per second.", per_second, *_BOUNDS),
    _per_series("derivative", "Returns the difference of each value from the value before.", derivative),
    _per_series("nonNegativeDerivative", "Returns the growth of a counter.", non_negative_derivative, *_BOUNDS),
    _per_series("integral", "Returns the running total of the values.", integral),
    _per_series("keepLastValue", "Fills gaps of at most limit values with the value before.", keep_last_value,
                Parameter("limit", "intOrInf", required=False, default=math.inf)),
    _per_series("transformNull", "Replaces missing values by a number.", transform_null,
                Parameter("default", "float", required=False, default=0),
                Parameter("referenceSeries", "seriesList", required=False)),
    _per_series("interpolate", "Fills gaps of at most limit values with a line.", interpolate,
                Parameter("limit", "intOrInf", required=False, default=math.inf)),
    _per_series("delay", "Moves the values by so many steps to later times.", delay, Parameter("steps", "integer")),
    _per_series("compressPeriodicGaps", "Coarsens series whose values are regularly some steps apart.", compress_gaps),
    Function("changed", "Special", "Returns 1 where a value differs from the value before.", (SERIES_LIST,), changed),
    Function("consolidateBy", "Special", "Sets the aggregate function for maxDataPoints and for coarser steps.",
             (SERIES_LIST, Parameter("consolidationFunc", "string", options=(*CONSOLIDATIONS,))), consolidate_by),
    Function("cumulative", "Special", "Consolidates by adding.", (SERIES_LIST,), cumulative),
    *(Function(name, "Special", "Sets the least share of values that a consolidated value needs.",
               (SERIES_LIST, Parameter("xFilesFactor", "float")), set_x_files_factor)
      for name in ("setXFilesFactor", "xFilesFactor")),
)  # fmt: skip
