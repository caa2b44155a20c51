"""How many values become one."""

import math

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.reducers import NAMES, REDUCERS, reduce, resolve_name, weighted_mean


@pytest.mark.parametrize(
    ("name", "expected"),
    [("average", 3.5), ("count", 4), ("diff", -10.0), ("first", 2.0), ("last", 1.0), ("max", 8.0), ("median", 2.5),
     ("min", 1.0), ("multiply", None), ("range", 7.0), ("stddev", math.sqrt(7.25)), ("sum", 14.0)],
)  # fmt: skip
def test_each_reducer_leaves_out_what_is_missing(name: str, expected: float | None) -> None:
    """Values that are missing do not count, as in Graphite, but in a product."""
    assert expected == reduce(name, [2.0, None, 8.0, 3.0, 1.0, None])


def test_a_product_has_all_its_factors() -> None:
    """Where none is missing it is one."""
    assert 48.0 == reduce("multiply", [2.0, 8.0, 3.0, 1.0])


@pytest.mark.parametrize("name", REDUCERS)
def test_of_nothing_there_is_nothing(name: str) -> None:
    """Where all values are missing, and where there are none, there is no result."""
    assert (None, None) == (reduce(name, [None, None]), reduce(name, []))


def test_names_have_aliases() -> None:
    """A function may be called as Graphite calls it in several places."""
    words = ("avg", "average", "averageSeries", "sumSeries", "total", "current", "rangeOf")
    assert ["average", "average", "average", "sum", "sum", "last", "range"] == [resolve_name(word) for word in words]
    assert all(resolve_name(name) in REDUCERS for name in NAMES)


@pytest.mark.parametrize("word", ["", "Series", "mean", "Sum", "p95"])
def test_an_unknown_function_is_told(word: str) -> None:
    """The error says what there is."""
    with pytest.raises(InvalidQuestion, match="average, avg, count"):
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
    """Each value counts as often as its weight says; where nobody knows, once."""
    assert expected == weighted_mean(values, weights)
