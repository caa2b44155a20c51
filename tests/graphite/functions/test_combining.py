"""Functions that combine series; the numbers are Graphite's."""

import pytest

from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tally.graphite.functions.combining import aggregate, combine, join_expressions
from tally.graphite.functions.dividing import as_percent, divide
from tally.graphite.functions.grouping import group_by_node
from tally.graphite.functions.transforming import set_x_files_factor
from tests.graphite.made import START, WEB, WEB_A, WEB_B, answered, first, names, series, values

A = series(
    1.0, 2.0, None, None, name="d.a.sum", expression="d.*.sum", consolidation="sum", tags={"name": "a", "k": "v"}
)
B = series(
    3.0, None, 5.0, None, name="d.b.sum", expression="d.*.sum", consolidation="sum", tags={"name": "b", "k": "v"}
)
C = series(8.0, 4.0, 0.0, None, name="d.c.max", consolidation="max")


@pytest.mark.parametrize(
    ("word", "name", "expected"),
    [
        ("sum", "sumSeries(d.*.sum)", [4.0, 2.0, 5.0, None]),
        ("average", "averageSeries(d.*.sum)", [2.0, 2.0, 5.0, None]),
        ("min", "minSeries(d.*.sum)", [1.0, 2.0, 5.0, None]),
        ("max", "maxSeries(d.*.sum)", [3.0, 2.0, 5.0, None]),
        ("diff", "diffSeries(d.*.sum)", [-2.0, 2.0, 5.0, None]),
        ("avg", "avgSeries(d.*.sum)", [2.0, 2.0, 5.0, None]),
        ("sumSeries", "sumSeries(d.*.sum)", [4.0, 2.0, 5.0, None]),
    ],
)
def test_series_are_combined(word: str, name: str, expected: list[float | None]) -> None:
    """The values at each time are aggregated; missing values are ignored."""
    (found,) = combine([A, B], word)
    assert (name, expected, "sum") == (found.name, found.values, found.consolidation)
    assert {"k": "v", "name": name} == {tag: found.tags[tag] for tag in ("k", "name")}


def test_a_factor_of_aggregate_is_only_its_own() -> None:
    """It is a bound of its series, and of their consolidation, but not of what is computed from them."""
    one, other = series(1.0, None, 3.0), series(None, None, 5.0)
    (found,) = aggregate([one, other], "sum", 1.0)
    assert [None, None, 8.0] == found.values
    assert [2.0, None, 8.0] == combine([found, series(2.0, None, None)], "sum")[0].values
    assert [None] == found.fit(1).values
    (limited, *_) = set_x_files_factor([one], 1.0)
    assert [None, None, 8.0] == combine([limited, other], "sum")[0].values


def test_series_of_different_aggregates() -> None:
    """Sums and maxima together are consolidated by the average; names are listed once."""
    (found,) = combine([A, B, C], "sum")
    assert ("sumSeries(d.*.sum,d.c.max)", "average") == (found.name, found.consolidation)
    assert [] == combine([], "sum")


def test_series_of_different_steps() -> None:
    """The series are first consolidated to one step, each by its own aggregate."""
    coarse = series(10.0, 20.0, name="w.a.sum", step=20, consolidation="sum")
    (found,) = combine([A, coarse], "sum")
    assert (START, 20, [13.0, 20.0]) == (found.start, found.step, found.values)


def test_series_are_grouped_by_a_node_or_a_tag() -> None:
    """Groups are named by the node, and ordered by their first series."""
    found = group_by_node([A, B, C], 2, "sum")
    assert (["sum", "max"], [[4.0, 2.0, 5.0, None], [8.0, 4.0, 0.0, None]]) == (names(found), values(found))
    assert ["v", ""] == names(group_by_node([A, B, C], "k", "averageSeries"))
    assert "sumSeries(d.*.sum)" == found[0].expression


def test_percentages_by_node() -> None:
    """The total is the sum of the series with the same node, in the first or the second list."""
    own = as_percent([A, B, C], None, (2,))
    total = "sumSeries(d.*.sum)"
    assert [f"asPercent(d.a.sum,{total})", f"asPercent(d.b.sum,{total})", "asPercent(d.c.max,d.c.max)"] == names(own)
    assert [[25.0, 100.0, None, None], [75.0, None, 100.0, None], [100.0, 100.0, None, None]] == values(own)
    other = as_percent([A, B], [series(10.0, 10.0, name="e.a.sum"), series(1.0, name="e.z.sum")], (1,))
    assert ["asPercent(d.a.sum,e.a.sum)", "asPercent(d.b.sum,MISSING)", "asPercent(MISSING,e.z.sum)"] == names(other)
    assert [10.0, 20.0] == values(other)[0][:2]
    assert {None} == {value for each in values(other)[1:] for value in each}
    with pytest.raises(InvalidQuestion, match="total is a number"):
        as_percent([A], 4, (1,))


def test_series_are_divided() -> None:
    """There is no result where the divisor is missing or 0, nor without a divisor series."""
    found = divide([A, B], [C])
    assert [[0.125, 0.5, None, None], [0.375, None, None, None]] == values(found)
    assert ["divideSeries(d.a.sum,d.c.max)", "divideSeries(d.b.sum,d.c.max)"] == names(found)
    assert {"average"} == {each.consolidation for each in found}
    missing = divide([A], [])
    assert (["divideSeries(d.a.sum,MISSING)"], [[None] * 4]) == (names(missing), values(missing))
    with pytest.raises(InvalidQuestion, match="2 series"):
        divide([A], [B, C])


def test_percentages_of_all() -> None:
    """Without a total, percentages are of the sum of all series."""
    found = as_percent([A, B], None, ())
    assert [[25.0, 100.0, None, None], [75.0, None, 100.0, None]] == values(found)
    assert ["asPercent(d.a.sum,sumSeries(d.*.sum))", "asPercent(d.b.sum,sumSeries(d.*.sum))"] == names(found)


def test_percentages_of_a_total() -> None:
    """The total is a number, one series, or one series for each, matched by name."""
    by_number = as_percent([A], 4, ())
    assert (["asPercent(d.a.sum,4)"], [[25.0, 50.0, None, None]]) == (names(by_number), values(by_number))
    by_one = as_percent([A, B], [C], ())
    assert ["asPercent(d.a.sum,d.c.max)", "asPercent(d.b.sum,d.c.max)"] == names(by_one)
    assert [[12.5, 50.0, None, None], [37.5, None, None, None]] == values(by_one)
    by_each = as_percent([B, A], [C, A], ())
    assert ["asPercent(d.a.sum,d.a.sum)", "asPercent(d.b.sum,d.c.max)"] == names(by_each)
    assert {"average"} == {each.consolidation for each in (*by_number, *by_one, *by_each)}
    with pytest.raises(InvalidQuestion, match="total has 2 series"):
        as_percent([A], [B, C], ())
    assert [] == as_percent([], 4, ())


def test_a_total_of_zero() -> None:
    """There is no percentage of 0, nor of a missing total."""
    assert [[None] * 4] == values(as_percent([A], 0, ()))
    with pytest.raises(InvalidQuestion, match="total has 0 series"):
        as_percent([A], [], ())


def test_expressions_are_listed_once() -> None:
    """Expressions keep the order of the series."""
    assert "d.*.sum,d.c.max" == join_expressions([A, C, B])


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"aggregate({WEB},'median')", f"medianSeries({WEB})", [1.0, 1.0, 3.5, 8.0]),
        (f"aggregate({WEB},'sum',0.9)", f"sumSeries({WEB})", [6.0, None, None, 21.0]),
        (f"aggregate(setXFilesFactor({WEB},0.9),'sum')", f"sumSeries({WEB})", [6.0, None, None, 21.0]),
        (f"countSeries({WEB})", f"countSeries({WEB})", [3.0, 3.0, 3.0, 3.0]),
        (f"diffSeriesLists({WEB_B},{WEB_A})", f"diffSeries({WEB_B},{WEB_A})", [4.0, 2.0, 7.0, 4.0]),
        (f"multiplySeriesLists({WEB_B},{WEB_A})", f"multiplySeries({WEB_B},{WEB_A})", [5.0, None, None, 32.0]),
        (f"powSeries({WEB_A},{WEB_A})", f"powSeries({WEB_A},{WEB_A})", [1.0, 4.0, None, 256.0]),
        (f"rangeOfSeries({WEB})", f"rangeOfSeries({WEB})", [5.0, 2.0, 7.0, 5.0]),
        (f"stddevSeries({WEB})", f"stddevSeries({WEB})", [2.160247, 1.0, 3.5, 2.160247]),
        (f"sumSeriesLists({WEB_B},{WEB_A})", f"sumSeries({WEB_B},{WEB_A})", [6.0, 2.0, 7.0, 12.0]),
        ("sum(daily.web.*.sum|limit(1))", "sumSeries(daily.web.*.sum)", [1.0, 2.0, None, 4.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
