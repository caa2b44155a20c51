"""Functions that select series or values."""

import pytest

from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tally.graphite.functions import FUNCTIONS
from tally.graphite.functions.choosing import exclude, grep, limit, remove_above_value, remove_below_value
from tests.graphite.made import WEB_A, WEB_B, answered, first, names, series, shown, values

A = series(1.0, 9.0, 2.0, name="d.a.sum")
B = series(5.0, 5.0, 5.0, name="d.b.sum")
C = series(4.0, 4.0, None, name="d.c.sum")
N = series(None, None, None, name="d.n.sum")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("highestMax", ["d.a.sum", "d.b.sum", "d.c.sum", "d.n.sum"]),
        ("highestAverage", ["d.b.sum", "d.a.sum", "d.c.sum", "d.n.sum"]),
        ("highestCurrent", ["d.b.sum", "d.c.sum", "d.a.sum", "d.n.sum"]),
    ],
)
def test_the_highest_are_kept(name: str, expected: list[str]) -> None:
    """The highest series come first, those without any value last."""
    apply = FUNCTIONS[name].apply
    assert [expected, expected[:2], []] == [names(apply([N, A, B, C], count)) for count in (10, 2, 0)]
    assert [] == apply([A], -1)


def test_highest_average_is_weighted() -> None:
    """Series are ranked by the mean of all samples."""
    rare, often = series(1.0, 9.0, weights=[99, 1], name="rare"), series(4.0, 4.0, weights=[1, 1], name="often")
    assert ["often"] == names(FUNCTIONS["highestAverage"].apply([rare, often], 1))


def test_series_are_sorted_by_their_maxima() -> None:
    """Equal series keep their order."""
    assert ["d.a.sum", "d.b.sum", "b", "d.n.sum"] == names(
        FUNCTIONS["sortByMaxima"].apply([N, B, series(5.0, name="b"), A])
    )


def test_the_first_are_kept() -> None:
    """`limit` keeps the first n series, or none."""
    assert [["d.a.sum"], [], []] == [names(limit([A, B], count)) for count in (1, 0, -1)]


def test_series_are_selected_by_name() -> None:
    """The expression may match any part of a name."""
    assert (["d.a.sum", "d.b.sum"], ["d.c.sum"]) == (names(grep([A, B, C], "[ab]")), names(exclude([A, B, C], "[ab]")))
    for function in (grep, exclude):
        with pytest.raises(InvalidQuestion, match="regular expression"):
            function([A], "(")


def test_values_beyond_a_bound_are_removed() -> None:
    """Values that are equal to the bound are kept."""
    below, above = remove_below_value([A, C], 2), remove_above_value([A, C], 2)
    assert [[None, 9.0, 2.0], [4.0, 4.0, None]] == values(below)
    assert [[1.0, None, 2.0], [None, None, None]] == values(above)
    assert ["removeBelowValue(d.a.sum, 2)", "removeAboveValue(d.a.sum, 2)"] == [below[0].name, above[0].name]


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"fallbackSeries(daily.none.sum,{WEB_A})", WEB_A, [1.0, 2.0, None, 4.0]),
        (f"useSeriesAbove({WEB_A},3,'a.sum','b.sum')", WEB_B, [5.0, None, 7.0, 8.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (f"group({WEB_A},{WEB_B})", "a b"),
    ],
)  # fmt: skip
def test_series_are_kept_and_sorted(target: str, expected: str, daily: Catalog) -> None:
    """These series remain, in this order."""
    assert expected == shown(answered(daily, target))


def test_none_is_no_series(daily: Catalog) -> None:
    """`None` among the series stands for none."""
    assert "a b" == shown(answered(daily, f"group({WEB_A},None,{WEB_B})"))
    assert [] == answered(daily, "countSeries(None)")
