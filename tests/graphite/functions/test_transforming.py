"""Functions that transform each series; the numbers are Graphite's."""

import math
from typing import Any

import pytest

from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tally.graphite.budget import POINTS_MAX
from tally.graphite.functions import FUNCTIONS
from tally.graphite.functions.transforming import transform_null
from tally.graphite.series import Series
from tests.graphite.made import START, WEB_A, WEB_B, answered, first, series


def applied(name: str, given: Series, *arguments: Any) -> Series:
    """Return the only series of a function, with default arguments."""
    parameters = FUNCTIONS[name].parameters[1 + len(arguments) :]
    (found,) = FUNCTIONS[name].apply([given], *arguments, *(parameter.default for parameter in parameters))
    return found


@pytest.mark.parametrize(
    ("name", "arguments", "given", "expected", "shown"),
    [
        ("scale", (2,), [1.0, None, -3.0], [2.0, None, -6.0], "scale(a.b.sum,2)"),
        ("scale", (0.001,), [1.0], [0.001], "scale(a.b.sum,0.001)"),
        ("scale", (1e9,), [1.0], [1e9], "scale(a.b.sum,1e+09)"),
        ("offset", (-1.5,), [1.0, None], [-0.5, None], "offset(a.b.sum,-1.5)"),
        ("absolute", (), [1.0, None, -3.0], [1.0, None, 3.0], "absolute(a.b.sum)"),
        ("derivative", (), [1.0, 3.0, 2.0, None, 5.0, 9.0], [None, 2.0, -1.0, None, None, 4.0],
         "derivative(a.b.sum)"),
        ("nonNegativeDerivative", (), [1.0, 3.0, 2.0, None, 5.0, 9.0], [None, 2.0, None, None, None, 4.0],
         "nonNegativeDerivative(a.b.sum)"),
        ("nonNegativeDerivative", (9,), [1.0, 8.0, 2.0, 12.0, 5.0, 6.0], [None, 7.0, 4.0, None, None, 1.0],
         "nonNegativeDerivative(a.b.sum)"),
        ("nonNegativeDerivative", (None, 1), [4.0, 8.0, 3.0, 0.0, 5.0], [None, 4.0, 2.0, None, None],
         "nonNegativeDerivative(a.b.sum)"),
        ("nonNegativeDerivative", (9, 1), [4.0, 8.0, 3.0], [None, 4.0, 4.0], "nonNegativeDerivative(a.b.sum)"),
        ("perSecond", (), [1.0, 3.0, 2.0, 2.0, None], [None, 0.2, None, 0.0, None], "perSecond(a.b.sum)"),
        ("perSecond", (), [0.0, 1 / 3], [None, 0.033333], "perSecond(a.b.sum)"),
        ("integral", (), [1.0, None, 2.0, -4.0], [1.0, None, 3.0, -1.0], "integral(a.b.sum)"),
        ("keepLastValue", (), [None, 1.0, None, None, 2.0, None], [None, 1.0, 1.0, 1.0, 2.0, 2.0],
         "keepLastValue(a.b.sum)"),
        ("keepLastValue", (1,), [1.0, None, None, 2.0, None, 3.0, None], [1.0, None, None, 2.0, 2.0, 3.0, 3.0],
         "keepLastValue(a.b.sum)"),
        ("keepLastValue", (1,), [1.0, None, None], [1.0, None, None], "keepLastValue(a.b.sum)"),
        ("transformNull", (), [1.0, None], [1.0, 0], "transformNull(a.b.sum,0)"),
        ("transformNull", (-1.5,), [1.0, None], [1.0, -1.5], "transformNull(a.b.sum,-1.5)"),
    ],
)  # fmt: skip
def test_values_and_names(
    name: str, arguments: tuple[Any, ...], given: list[float | None], expected: list[float | None], shown: str
) -> None:
    """Each function returns Graphite's values under Graphite's name, at the same times."""
    found = applied(name, series(*given), *arguments)
    assert (expected, shown, shown) == (list(found.values), found.name, found.expression)
    assert (START, 10) == (found.start, found.step)


def test_nulls_are_filled_where_a_reference_has_values() -> None:
    """With referenceSeries, a null is replaced only where one of these has a value."""
    reference = [series(1.0, None, None), series(None, None, 5.0, start=START)]
    (found,) = transform_null([series(None, None, None, 7.0)], 0, reference)
    assert ("transformNull(a.b.sum,0,referenceSeries)", [0, None, 0, 7.0]) == (found.name, list(found.values))


@pytest.mark.parametrize("name", ["absolute", "derivative", "perSecond", "integral", "keepLastValue", "transformNull"])
def test_empty_series_stay_empty(name: str) -> None:
    """Every function returns an empty series for an empty series."""
    assert [] == list(applied(name, series()).values)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [("scale", "sum", "sum"), ("derivative", "sum", "sum"), ("integral", "sum", "last"),
     ("perSecond", "sum", "average"), ("keepLastValue", "max", "max"), ("transformNull", "min", "min")],
)  # fmt: skip
def test_consolidation_after_a_function(name: str, given: str, expected: str) -> None:
    """A function keeps the consolidation, unless its values have another meaning."""
    arguments = (2,) if name == "scale" else ()
    assert expected == applied(name, series(1.0, 2.0, consolidation=given), *arguments).consolidation


def test_weights_are_kept_by_linear_functions() -> None:
    """A scaled mean keeps its weights; a difference does not."""
    mean = series(1.0, 5.0, weights=[3, 1])
    assert 4.0 == applied("scale", mean, 2).reduce("average")
    assert 3.0 == applied("offset", mean, 1).reduce("average")
    assert applied("derivative", mean).weights is None


def test_consolidate_by_sets_the_consolidation() -> None:
    """It accepts all of Graphite's names of aggregate functions."""
    found = applied("consolidateBy", series(1.0, 3.0, weights=[3, 1]), "avg")
    assert ('consolidateBy(a.b.sum,"avg")', "average", 1.5) == (
        found.name, found.consolidation, found.fit(1).values[0])  # fmt: skip
    assert 3.0 == applied("consolidateBy", series(1.0, 3.0), "max").fit(1).values[0]


@pytest.mark.parametrize(
    ("arguments", "start", "expected", "shown"),
    [
        (("30s", "sum", False), START - START % 30, [1.0, 5.0, 9.0, 8.0], 'summarize(a.b.sum, "30s", "sum")'),
        (("30s", "sum", True), START, [3.0, 12.0, 8.0], 'summarize(a.b.sum, "30s", "sum", true)'),
        (("30s", "max", True), START, [2.0, 5.0, 8.0], 'summarize(a.b.sum, "30s", "max", true)'),
        (("30s", "avg", True), START, [1.5, 4.0, 8.0], 'summarize(a.b.sum, "30s", "avg", true)'),
        (("30s", "last", True), START, [2.0, 5.0, 8.0], 'summarize(a.b.sum, "30s", "last", true)'),
        (("30s", "count", True), START, [2, 3, 1], 'summarize(a.b.sum, "30s", "count", true)'),
        (("1h", "sum", False), START - START % 3600, [23.0], 'summarize(a.b.sum, "1h", "sum")'),
        (("5s", "sum", True), START, [1.0, None, 2.0, None, None, None, 3.0, None, 4.0, None, 5.0, None, None, None,
                                      8.0, None], 'summarize(a.b.sum, "5s", "sum", true)'),
    ],
)  # fmt: skip
def test_intervals_are_summarized(
    arguments: tuple[Any, ...], start: int, expected: list[float | None], shown: str
) -> None:
    """Intervals begin at multiples of the interval, or at the start of the range."""
    given = series(1.0, 2.0, None, 3.0, 4.0, 5.0, None, 8.0)
    found = applied("summarize", given, *arguments)
    assert (start, expected, shown) == (found.start, list(found.values), found.name)


def test_summarized_means_are_weighted() -> None:
    """The mean of an interval is the mean of all its samples."""
    found = applied("summarize", series(1.0, 5.0, weights=[3, 1]), "20s", "average", True)
    assert [2.0] == list(found.values)


@pytest.mark.parametrize(
    ("function", "expected"),
    [("sum", "sum"), ("max", "max"), ("count", "sum"), ("avg", "average"), ("median", "average")],
)
def test_summaries_are_consolidated_by_their_function(function: str, expected: str) -> None:
    """Sums are added; functions without such a rule are averaged."""
    assert expected == applied("summarize", series(1.0), "20s", function).consolidation


def test_summaries_are_limited() -> None:
    """A short interval that would give too many values raises an error."""
    with pytest.raises(InvalidQuestion, match=str(POINTS_MAX)):
        applied("summarize", Series("a", "a", START, 3600, [1.0] * 400), "1s")


def test_infinite_differences() -> None:
    """A difference that overflows does not raise an error."""
    assert math.inf == applied("perSecond", series(-1e308, 1e308 * 1.5)).values[1]


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"changed({WEB_B})", f"changed({WEB_B})", [0.0, 0.0, 1.0, 1.0]),
        (f"cumulative({WEB_A})", f'consolidateBy({WEB_A},"sum")', [1.0, 2.0, None, 4.0]),
        (f"delay({WEB_A},1)", f"delay({WEB_A},1)", [None, 1.0, 2.0, None]),
        (f"delay({WEB_A},-2)", f"delay({WEB_A},-2)", [None, 4.0, None, None]),
        (f"interpolate({WEB_A})", f"interpolate({WEB_A})", [1.0, 2.0, 3.0, 4.0]),
        (f"interpolate({WEB_A},0)", f"interpolate({WEB_A})", [1.0, 2.0, None, 4.0]),
    ],
)  # fmt: skip
def test_answers(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
