"""Functions that look at other times."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tally.graphite.evaluation import evaluate
from tally.graphite.functions.windows import Aggregation, moving
from tally.graphite.series import Series
from tally.graphite.source import Window
from tally.graphite.target import parse
from tests.graphite.made import NOW, START, catalog, series, source

MIDDLE = Window(START + 40, START + 90, NOW)


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return an archive with a series of ten values, and one of which some are missing."""
    gaps = [1.0, None, None, 4.0, None, None, None, None, 9.0, 10.0]
    return catalog(tmp_path, daily={"a": [float(value) for value in range(10)], "gaps": gaps})


def evaluated(made: Catalog, text: str, window: Window = MIDDLE) -> Series:
    """Return the one series of a target, of 50 s in the middle unless told otherwise."""
    (found,) = evaluate(parse(text), source(made), window)
    return found


@pytest.mark.parametrize(
    ("target", "start", "expected"),
    [
        ("movingAverage(daily.a.sum,3)", START + 50, [4.0, 5.0, 6.0, 7.0, 8.0]),
        ('movingAverage(daily.a.sum,"30s")', START + 50, [4.0, 5.0, 6.0, 7.0, 8.0]),
        ('movingAverage(daily.a.sum,"35s")', START + 50, [4.0, 5.0, 6.0, 7.0, 8.0]),
        ("movingAverage(daily.a.sum,1)", START + 50, [5.0, 6.0, 7.0, 8.0, 9.0]),
        ("movingSum(daily.a.sum,3)", START + 50, [12.0, 15.0, 18.0, 21.0, 24.0]),
        ('movingSum(daily.a.sum,"1min")', START + 50, [15.0, 21.0, 27.0, 33.0, 39.0]),
        ('movingSum(daily.a.sum,"1h")', START + 50, [15.0, 21.0, 28.0, 36.0, 45.0]),
        ("movingAverage(daily.gaps.sum,3)", START + 50, [4.0, None, None, 9.0, 9.5]),
        ('movingAverage(daily.a.sum,"5s")', START + 50, [None] * 5),
    ],
)
def test_windows_reach_back_before_the_range(
    target: str, start: int, expected: list[float | None], made: Catalog
) -> None:
    """Each value is of the window that ends with it, also at the beginning; where there is nothing yet, of less."""
    found = evaluated(made, target)
    assert (start, expected, target, "average") == (found.start, found.values, found.name, found.consolidation)


def test_a_window_of_nothing_is_told(made: Catalog) -> None:
    """It has at least one value, or one second."""
    for text in ("movingSum(daily.a.sum,0)", "movingSum(daily.a.sum,-1)", "movingSum(daily.a.sum,'0s')"):
        with pytest.raises(InvalidQuestion, match="at least 1"):
            evaluated(made, text)


@given(st.lists(st.none() | st.integers(-100, 100), min_size=1, max_size=30), st.integers(1, 35))
def test_windows_are_what_they_say(values: list[int | None], size: int) -> None:
    """Whatever the size, each value is the sum of what is known in its window."""
    (found,) = moving(lambda _window: [series(*values)], Window(START - 1, START, NOW), size, Aggregation("sum", 0))
    for index, value in enumerate(found.values):
        known = [each for each in values[max(0, index - size + 1) : index + 1] if each is not None]
        assert (sum(known) if known else None) == value


def test_a_large_value_leaves_no_error_behind() -> None:
    """When it has left the window, it is as if it had not been."""
    (found,) = moving(
        lambda _window: [series(1e16, 1.0, 1.0, 1.0)], Window(START - 1, START, NOW), 2, Aggregation("sum", 0)
    )
    assert [2.0, 2.0] == found.values[2:]


@pytest.mark.parametrize(
    ("shift", "shown", "expected"),
    [
        ("'20s'", '"-20s"', [3.0, 4.0, 5.0, 6.0, 7.0]),
        ("'-20s'", '"-20s"', [3.0, 4.0, 5.0, 6.0, 7.0]),
        ("'+20s'", '"+20s"', [7.0, 8.0, 9.0, None]),
        ("'15s'", '"-15s"', [3.0, 4.0, 5.0, 6.0, 7.0]),
    ],
)
def test_series_are_shown_as_they_were(shift: str, shown: str, expected: list[float | None], made: Catalog) -> None:
    """Earlier unless a plus says later, at the times of the range; what is after now is not there yet."""
    found = evaluated(made, f"timeShift(daily.a.sum,{shift})")
    assert (START + 50, f"timeShift(daily.a.sum, {shown})") == (found.start, found.name)
    assert expected == [*found.values][: len(expected)]


def test_what_is_before_the_first_bucket_is_not_made_up(made: Catalog) -> None:
    """A shifted series begins where its archive does."""
    found = evaluated(made, "timeShift(daily.a.sum,'1min')")
    assert (START + 60, [0.0, 1.0, 2.0, 3.0]) == (found.start, found.values)


def test_a_shift_may_go_on_after_now(made: Catalog) -> None:
    """With resetEnd what was after the same time of the day before is not shown, without it is."""
    day = Window(START - 1, NOW + 100, NOW)
    ends = [evaluated(made, f"timeShift(daily.a.sum,'50s',{flag})", day).end for flag in ("true", "false")]
    assert [NOW + 10, NOW + 60] == ends


@pytest.mark.parametrize("text", ["timeShift(daily.a.sum,'soon')", "timeShift(daily.a.sum,'')"])
def test_a_shift_is_a_span(text: str, made: Catalog) -> None:
    """Anything else is told."""
    with pytest.raises(InvalidQuestion, match="span"):
        evaluated(made, text)


@pytest.mark.parametrize(("value", "shown"), [("5", "5.0"), ("0.5", "0.5"), ("-1", "-1.0")])
def test_a_constant_is_a_line(value: str, shown: str, made: Catalog) -> None:
    """From the beginning over the middle to the end."""
    found = evaluated(made, f"constantLine({value})")
    expected: tuple[Any, ...] = (shown, START + 40, 25, [float(value)] * 3)
    assert expected == (found.name, found.start, found.step, found.values)


def test_a_window_of_so_many_values_is_read_once(made: Catalog) -> None:
    """How long it is shows at the end of the range, which is all that is read for it."""
    asked: list[Window] = []

    def ask(window: Window) -> list[Series]:
        asked.append(window)
        return [series(*[1.0] * 10)]

    later = Window(START, NOW + 500, NOW)
    moving(ask, later, 3, Aggregation("sum", 0))
    assert [Window(NOW - 1, NOW + 500, NOW), Window(START - 30, NOW + 500, NOW)] == asked
    found = evaluated(made, "movingSum(daily.a.sum,3)", later)
    assert (START + 10, [1.0, 3.0, 6.0, 9.0]) == (found.start, found.values[:4])


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0, [1.0, 2.0, 3.0, 4.0]), (0.5, [None, 2.0, None, 4.0]), (0.51, [None] * 4), (1, [None] * 4)],
)
def test_a_window_needs_enough_values(factor: float, expected: list[float | None]) -> None:
    """xFilesFactor is the share of a window's values that there must be."""
    given = series(1.0, None, None, 3.0, None, 5.0)
    (found,) = moving(lambda _window: [given], Window(START + 19, START + 49, NOW), 4, Aggregation("average", factor))
    assert expected == list(found.values)
