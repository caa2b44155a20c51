"""Functions that need the window of the target."""

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
from tests.graphite.made import NOW, START, WEB, WEB_A, answered, catalog, first, series, source

MIDDLE = Window(START + 40, START + 90, NOW)


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return an archive with a series of ten values, and one with missing values."""
    gaps = [1.0, None, None, 4.0, None, None, None, None, 9.0, 10.0]
    return catalog(tmp_path, daily={"a": [float(value) for value in range(10)], "gaps": gaps})


def evaluated(made: Catalog, text: str, window: Window = MIDDLE) -> Series:
    """Return the only series of a target, by default for 50 s in the middle."""
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
    """A moving window includes values before the range, if there are any."""
    found = evaluated(made, target)
    assert (start, expected, target, "average") == (found.start, found.values, found.name, found.consolidation)


def test_an_empty_window_is_rejected(made: Catalog) -> None:
    """A window has at least one value, or one second."""
    for text in ("movingSum(daily.a.sum,0)", "movingSum(daily.a.sum,-1)", "movingSum(daily.a.sum,'0s')"):
        with pytest.raises(InvalidQuestion, match="at least 1"):
            evaluated(made, text)


@given(st.lists(st.none() | st.integers(-100, 100), min_size=1, max_size=30), st.integers(1, 35))
def test_moving_sums_are_exact(values: list[int | None], size: int) -> None:
    """For any size, each value is the sum of the values in its window."""
    (found,) = moving(lambda _window: [series(*values)], Window(START - 1, START, NOW), size, Aggregation("sum", 0))
    for index, value in enumerate(found.values):
        known = [each for each in values[max(0, index - size + 1) : index + 1] if each is not None]
        assert (sum(known) if known else None) == value


def test_a_large_value_leaves_no_rounding_error() -> None:
    """A large value has no effect after it has left the window."""
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
def test_series_are_shifted(shift: str, shown: str, expected: list[float | None], made: Catalog) -> None:
    """A shift without a sign is to earlier; values keep the times of the window, and end now."""
    found = evaluated(made, f"timeShift(daily.a.sum,{shift})")
    assert (START + 50, f"timeShift(daily.a.sum, {shown})") == (found.start, found.name)
    assert expected == [*found.values][: len(expected)]


def test_a_shifted_series_begins_at_the_first_bucket(made: Catalog) -> None:
    """A shifted series has no values before the first bucket of its archive."""
    found = evaluated(made, "timeShift(daily.a.sum,'1min')")
    assert (START + 60, [0.0, 1.0, 2.0, 3.0]) == (found.start, found.values)


def test_reset_end(made: Catalog) -> None:
    """resetEnd decides whether a shifted series ends now or at the end of the window."""
    day = Window(START - 1, NOW + 100, NOW)
    ends = [evaluated(made, f"timeShift(daily.a.sum,'50s',{flag})", day).end for flag in ("true", "false")]
    assert [NOW + 10, NOW + 60] == ends


@pytest.mark.parametrize("text", ["timeShift(daily.a.sum,'soon')", "timeShift(daily.a.sum,'')"])
def test_malformed_shifts_are_rejected(text: str, made: Catalog) -> None:
    """A shift has to be a time span."""
    with pytest.raises(InvalidQuestion, match="span"):
        evaluated(made, text)


@pytest.mark.parametrize(("value", "shown"), [("5", "5.0"), ("0.5", "0.5"), ("-1", "-1.0")])
def test_a_constant_is_a_line(value: str, shown: str, made: Catalog) -> None:
    """A constant line has values at the start, the middle and the end."""
    found = evaluated(made, f"constantLine({value})")
    expected: tuple[Any, ...] = (shown, START + 40, 25, [float(value)] * 3)
    assert expected == (found.name, found.start, found.step, found.values)


def test_the_step_is_found_by_a_short_read(made: Catalog) -> None:
    """To find the step, only the last second of the range is read."""
    asked: list[Window] = []

    def ask(window: Window) -> list[Series]:
        asked.append(window)
        return [series(*[1.0] * 10)]

    later = Window(START, NOW + 500, NOW)
    moving(ask, later, 3, Aggregation("sum", 0))
    assert [Window(NOW - 1, NOW + 500, NOW, START), Window(START - 30, NOW + 500, NOW, START)] == asked
    found = evaluated(made, "movingSum(daily.a.sum,3)", later)
    assert (START + 10, [1.0, 3.0, 6.0, 9.0]) == (found.start, found.values[:4])


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0, [1.0, 2.0, 3.0, 4.0]), (0.5, [None, 2.0, None, 4.0]), (0.51, [None] * 4), (1, [None] * 4)],
)
def test_a_window_needs_enough_values(factor: float, expected: list[float | None]) -> None:
    """xFilesFactor is the least share of values that a window needs."""
    given = series(1.0, None, None, 3.0, None, 5.0)
    (found,) = moving(lambda _window: [given], Window(START + 19, START + 49, NOW), 4, Aggregation("average", factor))
    assert expected == list(found.values)


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"movingWindow({WEB}|limit(1),2,'diff')", f"movingDiff({WEB_A},2)", [1.0, -1.0, 2.0, 4.0]),
        (f"stdev({WEB_A},2,0.5)", f"stdev({WEB_A},2)", [0.0, 0.5, 0.0, 0.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
