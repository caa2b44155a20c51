"""Functions that make series from the window of the target, and no data."""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_time
from tally.graphite.budget import check_points
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.reducers import resolve_name
from tally.graphite.series import Series, Value


def constant_line(context: Context, value: float) -> list[Series]:
    """Return the same value at the beginning, the middle and the end of the window."""
    return [_line(context, value, str(value))]


def _line(context: Context, value: Value, name: str) -> Series:
    window = context.window
    start, step = int(window.start), max(1, (int(window.end) - int(window.start)) // 2)
    return Series(name, f"constantLine({value})", start, step, [value] * 3, tags={"name": name})


def threshold(context: Context, value: float, label: str | None, _color: str | None) -> list[Series]:
    """Return a constant line with a name."""
    return [replace(_line(context, value, str(value)), name=label or str(value))]


def vertical_line(context: Context, time: str, label: str | None, _color: str | None) -> list[Series]:
    """Return a series with one value, at a time.

    :raises InvalidQuestion: when the time is not in the window.
    """
    window = context.window
    at = int(parse_time(time, window.now, zone=window.zone))
    if not int(window.start) <= at <= int(window.end):
        raise InvalidQuestion(f"verticalLine: ts {time!r:.100} is not in the range: use a time between from and until")
    name = label or "verticalLine"
    return [Series(name, name, at, 1, [1.0], tags={"name": name})]


def aggregate_line(context: Context, _series: None, func: str, keep_step: bool) -> list[Series]:
    """Return the aggregate of each series as a line."""
    reducer, found = resolve_name(func), []
    for each in context.series:
        value = each.total(reducer)
        name = f"aggregateLine({each.name}, {'None' if value is None else f'{value:g}'})"
        line = each.with_values(name, [value] * len(each.values)) if keep_step else _line(context, value, name)
        found.append(line.rename(name))
    return found


def identity(context: Context, name: str) -> list[Series]:
    """Return the time as value, every minute."""
    (series,) = _sample(context, name, 60, float)
    return [replace(series, expression=f'identity("{name}")')]


def time(context: Context, name: str, step: int) -> list[Series]:
    """Return the time as value."""
    return _sample(context, name, step, float)


def sine(context: Context, name: str, amplitude: int, step: int) -> list[Series]:
    """Return the sine of the time."""
    return _sample(context, name, step, lambda at: math.sin(at) * amplitude)


def random_walk(context: Context, name: str, step: int) -> list[Series]:
    """Return values that change by less than 0.5 at random, from 0 on."""
    level = 0.0

    def walk(_time: int) -> float:
        nonlocal level
        before, level = level, level + random.random() - 0.5  # noqa: S311
        return before

    return _sample(context, name, step, walk)


def _sample(context: Context, name: str, step: int, value: Callable[[int], float]) -> list[Series]:
    """Return a series with a value for each `step` seconds from the start to before the end of the window."""
    if step < 1:
        raise InvalidQuestion(f"step {step} is too short: use at least 1")
    times: Iterable[Any] = range(int(context.window.start), math.ceil(context.window.end), step)
    check_points(len(times))  # type: ignore[arg-type]
    return [Series(name, name, int(context.window.start), step, [value(at) for at in times], tags={"name": name})]


def _named(name: str, description: str, apply: Callable[..., list[Series]], *parameters: Parameter) -> Function:
    group = {"identity": "Calculate", "randomWalk": "Special", "randomWalkFunction": "Special"}.get(name, "Transform")
    return Function(name, group, description, (Parameter("name", "string"), *parameters), apply, takes_context=True)


_STEP = Parameter("step", "integer", required=False, default=60)
_AMPLITUDE = Parameter("amplitude", "integer", required=False, default=1)
_VALUE, _LABEL = Parameter("value", "float"), Parameter("label", "string", required=False)
_COLOR = Parameter("color", "string", required=False)
FUNCTIONS = (
    Function("constantLine", "Special", "Draws a horizontal line.", (_VALUE,), constant_line, takes_context=True),
    Function("threshold", "Graph", "Draws a horizontal line with a name.", (_VALUE, _LABEL, _COLOR), threshold,
             takes_context=True),
    Function("verticalLine", "Graph", "Returns 1 at a time.", (Parameter("ts", "date"), _LABEL, _COLOR), vertical_line,
             takes_context=True),
    Function("aggregateLine", "Calculate", "Returns the aggregate of each series as a line.",
             (SERIES_LIST, Parameter("func", "aggFunc", required=False, default="average"),
              Parameter("keepStep", "boolean", required=False, default=False)), aggregate_line, takes_context=True),
    _named("identity", "Returns the time as value, every minute.", identity),
    *(_named(name, "Returns the time as value.", time, _STEP) for name in ("timeFunction", "time")),
    *(_named(name, "Returns the sine of the time.", sine, _AMPLITUDE, _STEP) for name in ("sinFunction", "sin")),
    *(_named(name, "Returns values that change at random.", random_walk, _STEP)
      for name in ("randomWalkFunction", "randomWalk")),
)  # fmt: skip
