"""Aggregates of moving windows of values, computed without recomputing each window.

A window is a queue of two stacks. For the older values, the aggregate of each suffix is kept; for the newer ones, one
aggregate. Each step merges the two. Nothing is ever subtracted, so a large value leaves no rounding error after it has
left the window, and each value is merged at most twice.

Sums and products of short windows are computed anew for each, which is as fast. Then windows of the same values have
the same sum, so that `perSecond` sees no fall where nothing fell.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tally.graphite.reducers import REDUCERS
from tally.graphite.series import Value

State = Any
# What rounding changes if the values are merged in another order.
ROUNDED = ("average", "avg_zero", "diff", "multiply", "stddev", "sum")
SHORT = 64


class Fold(NamedTuple):
    """How to aggregate: the state of one value, of an older and a newer part together, and its result."""

    begin: Callable[[float], State]
    merge: Callable[[State, State], State]
    finish: Callable[[State, int], float]


def _itself(value: float) -> State:
    return value


def _result(state: State, _count: int) -> float:
    return float(state)


def _merge_deviations(older: State, newer: State) -> State:
    """Merge counts, means and sums of squared deviations (Chan, Golub and LeVeque, 1979)."""
    (count, mean, squares), (more, other, others) = older, newer
    total, distance = count + more, other - mean
    return total, mean + distance * more / total, squares + others + distance * distance * count * more / total


def _add(older: State, newer: State) -> State:
    return older + newer


FOLDS = {
    "average": Fold(_itself, _add, lambda state, count: state / count),
    "avg_zero": Fold(_itself, _add, lambda state, count: state / count),
    "count": Fold(_itself, _add, lambda _, count: count),
    "diff": Fold(lambda value: (value, 0.0), lambda older, newer: (older[0], older[1] + sum(newer)),
                 lambda state, _: state[0] - state[1]),
    "first": Fold(_itself, lambda older, _: older, _result),
    "last": Fold(_itself, lambda _, newer: newer, _result),
    "max": Fold(_itself, max, _result),
    "min": Fold(_itself, min, _result),
    "multiply": Fold(_itself, lambda older, newer: older * newer, _result),
    "range": Fold(lambda value: (value, value),
                  lambda older, newer: (min(older[0], newer[0]), max(older[1], newer[1])),
                  lambda state, _: state[1] - state[0]),
    "stddev": Fold(lambda value: (1, value, 0.0), _merge_deviations, lambda state, _: math.sqrt(state[2] / state[0])),
    "sum": Fold(_itself, _add, _result),
}  # fmt: skip


def fold_windows(values: Sequence[Value], size: int, reducer: str) -> Iterator[tuple[int, Value]]:
    """Yield for each value how many of the `size` values that end with it are there, and their aggregate."""
    if reducer == "median":
        return _medians(values, size)
    return (
        _reduce(values, size, reducer) if reducer in ROUNDED and size <= SHORT else _fold(values, size, FOLDS[reducer])
    )


def _reduce(values: Sequence[Value], size: int, reducer: str) -> Iterator[tuple[int, Value]]:
    known = [value for value in values if value is not None]
    begin = end = 0
    for index, value in enumerate(values):
        end += value is not None
        begin += index >= size and values[index - size] is not None
        yield end - begin, REDUCERS[reducer](known[begin:end]) if begin < end else None


def _fold(values: Sequence[Value], size: int, fold: Fold) -> Iterator[tuple[int, Value]]:
    older: list[tuple[int, State]] = []
    newer: list[Value] = []
    nothing = (0, None)
    total: tuple[int, State] = nothing
    for index, value in enumerate(values):
        newer.append(value)
        total = _join(total, value, fold, is_older=False)
        if index >= size:
            if not older:
                older, suffix = [], nothing
                for each in reversed(newer):
                    suffix = _join(suffix, each, fold, is_older=True)
                    older.append(suffix)
                newer, total = [], nothing
            older.pop()
        count, state = older[-1] if older else nothing
        if count and total[0]:
            count, state = count + total[0], fold.merge(state, total[1])
        elif total[0]:
            count, state = total
        yield count, fold.finish(state, count) if count else None


def _join(total: tuple[int, State], value: Value, fold: Fold, *, is_older: bool) -> tuple[int, State]:
    """Add a value before or after the others."""
    if value is None:
        return total
    count, state = total
    if not count:
        return 1, fold.begin(value)
    pair = (fold.begin(value), state) if is_older else (state, fold.begin(value))
    return count + 1, fold.merge(*pair)


def _medians(values: Sequence[Value], size: int) -> Iterator[tuple[int, Value]]:
    known: list[float] = []
    for index, value in enumerate(values):
        leaving = values[index - size] if index >= size else None
        if leaving is not None:
            del known[bisect_left(known, leaving)]
        if value is not None:
            insort(known, value)
        middle = len(known) // 2
        yield len(known), (known[middle] + known[-1 - middle]) / 2 if known else None
