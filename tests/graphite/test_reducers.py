"""Aggregate functions."""

import math

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.reducers import NAMES, REDUCERS, reduce, resolve_name, weighted_mean


@pytest.mark.parametrize(
    ("name", "expected"),
    [("average", 3.5), ("count", 4), ("diff", -10.0), ("first", 2.0), ("last", 1.0), ("max", 8.0), ("median", 2.5),
     ("min", 1.0), ("multiply", None), ("range", 7.0), ("stddev", math.sqrt(7.25)), ("sum", 14.0)],
)  # fmt: skip
def test_missing_values_are_ignored(name: str, expected: float | None) -> None:
    """As in Graphite, every aggregate except a product ignores missing values."""
    assert expected == reduce(name, [2.0, None, 8.0, 3.0, 1.0, None])


def test_a_product_needs_all_values() -> None:
    """A product exists if no value is missing."""
    assert 48.0 == reduce("multiply", [2.0, 8.0, 3.0, 1.0])


@pytest.mark.parametrize("name", REDUCERS)
def test_without_values_there_is_no_result(name: str) -> None:
    """The result is None if there are no values, or if all are missing."""
    assert (None, None) == (reduce(name, [None, None]), reduce(name, []))


def test_names_have_aliases() -> None:
    """Graphite's other names of a function are accepted."""
    words = ("avg", "average", "averageSeries", "sumSeries", "total", "current", "rangeOf")
    assert ["average", "average", "average", "sum", "sum", "last", "range"] == [resolve_name(word) for word in words]
    assert all(resolve_name(name) in REDUCERS for name in NAMES)


@pytest.mark.parametrize("word", ["", "Series", "mean", "Sum", "p95"])
def test_an_unknown_function_is_rejected(word: str) -> None:
    """The error lists the known functions."""
    with pytest.raises(InvalidQuestion, match="average, avg, avg_zero, count"):
        resolve_name(word)


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        ([1.0, 5.0], [3, 1], 2.0),
        ([1.0, None, 5.0], [3, 7, 1], 2.0),
        ([1.0, 5.0], [0, 0], 3.0),
        ([None, None], [1, 1], None),
        ([], [], None),
    ],
)
def test_a_mean_may_be_weighted(values: list[float | None], weights: list[float], expected: float | None) -> None:
    """Each value counts as often as its weight; without weights, once."""
    assert expected == weighted_mean(values, weights)
