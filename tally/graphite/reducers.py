"""Graphite's aggregate functions, from several values to one. Values may be missing; if all are, the result is None."""

import math
from collections.abc import Callable, Sequence
from statistics import median

from tally.errors import InvalidQuestion

Values = Sequence[float | None]
Reducer = Callable[[list[float]], float]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _difference(values: list[float]) -> float:
    return sum((-value for value in values[1:]), values[0])


def _deviation(values: list[float]) -> float:
    mean = _mean(values)
    return math.sqrt(sum((value - mean) * (value - mean) for value in values) / len(values))


def _product(values: list[float]) -> float:
    return float(math.prod(values))


REDUCERS: dict[str, Reducer] = {
    "average": _mean,
    "avg_zero": _mean,
    "count": len,
    "diff": _difference,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "max": max,
    "median": median,
    "min": min,
    "multiply": _product,
    "range": lambda values: max(values) - min(values),
    "stddev": _deviation,
    "sum": sum,
}
ALIASES = {"avg": "average", "current": "last", "rangeOf": "range", "total": "sum"}
NAMES = (*REDUCERS, *ALIASES)
# What `groupByNode` and others may call for each group besides these.
LISTS = ("asPercent", "countSeries", "pct", "powSeries")
CALLBACKS = tuple(sorted({*NAMES, *(f"{name}Series" for name in NAMES), *LISTS}))


def resolve_name(name: str) -> str:
    """Return the name in REDUCERS of an aggregate function such as `avg` or `sumSeries`.

    :raises InvalidQuestion: when the function is unknown.
    """
    word = name.removesuffix("Series")
    word = ALIASES.get(word, word)
    if word not in REDUCERS:
        raise InvalidQuestion(f"{name!r:.100} is not an aggregate function: use one of {', '.join(sorted(NAMES))}")
    return word


def resolve_callback(name: str) -> str:
    """Return the name in REDUCERS, or in LISTS, of a function that combines the series of a group.

    :raises InvalidQuestion: when the function is unknown.
    """
    return name if name in LISTS else resolve_name(name)


def reduce(name: str, values: Values) -> float | None:
    """Apply a function of REDUCERS to the values that are not missing.

    A product needs all values, and `avg_zero` counts missing ones as 0.
    """
    known = [value for value in values if value is not None]
    if not known or (name == "multiply" and len(known) < len(values)):
        return None
    if name == "avg_zero":
        return sum(known) / len(values)
    return REDUCERS[name](known)


def weighted_mean(values: Values, weights: Sequence[float]) -> float | None:
    """Return the weighted mean, or the plain mean if all weights are 0."""
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value is not None]
    total = sum(weight for _, weight in known)
    if not total:
        return reduce("average", values)
    return sum(value * weight for value, weight in known) / total
