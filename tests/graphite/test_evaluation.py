"""The evaluation of targets."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tally.engine import Catalog
from tally.errors import InvalidQuestion, QueryTimeout
from tally.graphite.budget import Budget
from tally.graphite.evaluation import evaluate
from tally.graphite.functions import FUNCTIONS
from tally.graphite.series import Series
from tally.graphite.source import Source
from tally.graphite.target import parse
from tests.graphite.made import WINDOW, catalog, names, source, values

VALUES = st.sampled_from(
    ["1", "-1", "0", "3", "0.5", "1e308", "-1e308", "1e-320", "inf", "true", "None", "'1'", "'30s'", "'-1h'", "'1000y'",
     "'0s'", "'sum'", "'avg'", "'(a)'", r"'\\1'", "'('", "''", "'x'", "9007199254740993"]
)  # fmt: skip
PATHS = st.sampled_from(["daily.a.sum", "daily.*.avg", "daily.none.sum", "daily.{a,b}.*", "*", "constantLine(5)"])
NAMES = st.sampled_from(sorted(FUNCTIONS))


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return calls of any function: a target first, then values or more targets."""
    arguments = st.tuples(inner, st.lists(VALUES | inner, max_size=3))
    return st.builds(lambda name, given: f"{name}({','.join([given[0], *given[1]])})", NAMES, arguments)


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return an archive with two names that have ten values each."""
    rising = [float(value) for value in range(10)]
    return catalog(tmp_path, daily={"a": rising, "b": [10.0] * 10})


def evaluated(made: Catalog, text: str) -> list[Series]:
    """Return the series of a target."""
    return evaluate(parse(text), source(made), WINDOW)


def test_functions_are_nested(made: Catalog) -> None:
    """A function gets the series of the functions inside it."""
    found = evaluated(made, "scale(sumSeries(daily.*.sum, absolute(daily.a.sum)), 2)")
    assert ["scale(sumSeries(daily.*.sum,absolute(daily.a.sum)),2)"] == names(found)
    assert [[20.0 + 4 * index for index in range(10)]] == values(found)


def test_arguments_may_be_named(made: Catalog) -> None:
    """This includes functions that fetch their series themselves."""
    assert values(evaluated(made, "scale(daily.a.sum, factor=2)")) == values(evaluated(made, "scale(daily.a.sum, 2)"))
    shifted = evaluated(made, "timeShift(daily.a.sum, timeShift='10s', resetEnd=true)")
    assert [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]] == values(shifted)


def test_functions_with_windows_are_nested(made: Catalog) -> None:
    """A function that extends the window also does so for the functions inside it."""
    inner = values(evaluated(made, "movingSum(timeShift(daily.a.sum, '20s'), 2)"))
    assert [[0.0, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0]] == inner


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense(daily.a.sum)", "no function 'nonsense'"),
        ("scale(daily.a.sum)", "factor is missing"),
        ("scale(daily.a.sum, 1, 2)", "too many arguments"),
        ("scale(daily.a.sum, nonsense=1)", "factor is missing"),
        ("scale(daily.a.sum, 1, nonsense=1)", "too many arguments"),
        ("scale(daily.a.sum, daily.b.sum)", "factor is a float"),
        ("scale(daily.a.sum, scale(daily.b.sum, 1))", "factor is a float"),
        ("scale(daily.a.sum, 'x')", "factor 'x'"),
        ("scale(5, 5)", "5 is not a series"),
        ("sumSeries(daily.a.sum, 5)", "5 is not a series"),
        ("sumSeries()", "seriesLists is missing"),
        ("alias(daily.a.sum, x)", "put a text in quotes"),
        ("summarize(daily.a.sum, '1x')", "intervalString: '1x'"),
        ("summarize(daily.a.sum, '1h', 'mean')", "func: 'mean'"),
        ("movingAverage(5, 5)", "5 is not a series"),
    ],
)
def test_errors_name_the_argument(text: str, says: str, made: Catalog) -> None:
    """The error names the wrong argument, and what would be valid."""
    with pytest.raises(InvalidQuestion, match=says):
        evaluated(made, text)


def test_functions_of_no_series_return_no_series(made: Catalog) -> None:
    """No function fails if its pattern matches nothing."""
    none = "daily.none.sum"
    for text in ("sumSeries(%s)", "asPercent(%s)", "divideSeries(%s,%s)", "movingAverage(%s,5)", "highestMax(%s,1)",
                 "groupByNode(%s,1)", "summarize(%s,'1h')", "timeShift(%s,'1h')", "aliasByNode(%s,1)"):  # fmt: skip
        assert [] == evaluated(made, text.replace("%s", none))


def test_the_timeout_is_checked(made: Catalog) -> None:
    """A target is not evaluated when the time is over."""
    with pytest.raises(QueryTimeout):
        evaluate(parse("constantLine(5)"), Source(made, Budget(0)), WINDOW)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.recursive(PATHS, calls, max_leaves=6))
def test_any_target_returns_series_or_is_rejected(made: Catalog, text: str) -> None:
    """Any combination of functions and arguments returns regular series, or raises InvalidQuestion."""
    try:
        found = evaluated(made, text)
    except InvalidQuestion:
        return
    assert all(each.step > 0 and isinstance(each.start, int) for each in found)
    assert all(value is None or isinstance(value, int | float) for each in found for value in each.values)
