"""Functions that compute each value from one value of its series."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tally.errors import InvalidQuestion
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.series import Series, Value

Change = Callable[[float], Value]


def change_all(series: list[Series], word: str, change: Change, *shown: str) -> list[Series]:
    """Apply `change` to each value; where it is not defined or too large, there is no value."""

    def guarded(value: float) -> Value:
        try:
            return change(value)
        except (ArithmeticError, ValueError):
            return None

    return [each.map(f"{word}({','.join((each.name, *shown))})", guarded) for each in series]


def scale(series: list[Series], factor: float) -> list[Series]:
    """Multiply each value."""
    return change_all(series, "scale", lambda value: value * factor, f"{factor:g}")


def offset(series: list[Series], amount: float) -> list[Series]:
    """Add to each value."""
    return change_all(series, "offset", lambda value: value + amount, f"{amount:g}")


def add(series: list[Series], constant: float) -> list[Series]:
    """Add to each value."""
    return change_all(series, "add", lambda value: value + constant, _whole(constant))


def absolute(series: list[Series]) -> list[Series]:
    """Return the absolute values."""
    return change_all(series, "absolute", abs)


def scale_to_seconds(series: list[Series], seconds: float) -> list[Series]:
    """Scale values per step to values per `seconds`."""
    found = []
    for each in series:
        factor = seconds / each.step
        found += change_all([each], "scaleToSeconds", lambda value, by=factor: round(value * by, 6), _whole(seconds))  # type: ignore[misc]
    return found


def power(series: list[Series], factor: float) -> list[Series]:
    """Raise each value to a power."""
    return change_all(series, "pow", lambda value: math.pow(value, factor), f"{factor:g}")


def logarithm(series: list[Series], base: int) -> list[Series]:
    """Return the logarithms of the values above 0.

    :raises InvalidQuestion: when `base` is 1 or less.
    """
    if base <= 1:
        raise InvalidQuestion(f"log: base {base} is too small: use at least 2")
    return [
        each.map(f"log({each.name}, {base})", lambda value: math.log(value, base) if value > 0 else None)
        for each in series
    ]


def round_all(series: list[Series], precision: int) -> list[Series]:
    """Round each value to `precision` digits after the decimal point."""
    digits = max(-400, min(precision, 400))
    return change_all(series, "round", lambda value: round(value, digits), *([f"{precision:g}"] if precision else []))


def is_non_null(series: list[Series]) -> list[Series]:
    """Return 1 where there is a value, and 0 where there is none."""
    return [
        each.with_values(f"isNonNull({each.name})", [float(value is not None) for value in each.values])
        for each in series
    ]


def min_max(series: list[Series]) -> list[Series]:
    """Scale each series to between 0, its minimum, and 1, its maximum."""
    found = []
    for each in series:
        low, high = each.reduce("min") or 0.0, each.reduce("max") or 0.0
        values = [None if v is None else (v - low) / (high - low) if high > low else 0.0 for v in each.values]
        found.append(each.with_values(f"minMax({each.name})", values))
    return found


def offset_to_zero(series: list[Series]) -> list[Series]:
    """Subtract from each series its minimum."""
    found = []
    for each in series:
        low = each.reduce("min") or 0.0
        values = [None if value is None else value - low for value in each.values]
        found.append(replace(each.rename(f"offsetToZero({each.name})"), values=values))
    return found


def _whole(number: float) -> str:
    return str(int(number)) if math.isfinite(number) else str(number)


def _simple(name: str, description: str, change: Change) -> Function:
    return _function(name, description, lambda series: change_all(series, name, change))


def _function(name: str, description: str, apply: Callable[..., list[Series]], *parameters: Parameter) -> Function:
    return Function(name, "Transform", description, (SERIES_LIST, *parameters), apply)


def _optional(name: str, kind: str, default: Any) -> Parameter:
    return Parameter(name, kind, required=False, default=default)


_FACTOR = Parameter("factor", "float")
FUNCTIONS = (
    _function("scale", "Multiplies each value.", scale, _FACTOR),
    _function("scaleToSeconds", "Scales values per step to values per so many seconds.", scale_to_seconds,
              Parameter("seconds", "float")),
    _function("offset", "Adds to each value.", offset, _FACTOR),
    _function("offsetToZero", "Subtracts the minimum of each series.", offset_to_zero),
    _function("add", "Adds to each value.", add, Parameter("constant", "float")),
    _function("absolute", "Returns the absolute values.", absolute),
    _function("round", "Rounds each value.", round_all, _optional("precision", "integer", 0)),
    _function("pow", "Raises each value to a power.", power, _FACTOR),
    _simple("squareRoot", "Returns the square roots.", lambda value: math.pow(value, 0.5)),
    _simple("invert", "Returns 1 divided by each value.", lambda value: 1 / value),
    _simple("exp", "Raises e to each value.", math.exp),
    _function("log", "Returns the logarithms of the values above 0.", logarithm, _optional("base", "integer", 10)),
    _simple("logit", "Returns the logit of each value.", lambda value: math.log(value / (1 - value))),
    _simple("sigmoid", "Returns the sigmoid of each value.", lambda value: 1 / (1 + math.exp(-value))),
    _function("minMax", "Scales each series to between 0 and 1.", min_max),
    _function("isNonNull", "Returns 1 where there is a value, and 0 where there is none.", is_non_null),
)  # fmt: skip
