"""What totals gained: since their last readings, since they began, and after a reset."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine.storing.counters import Counters
from tally.engine.storing.gains import FIRST_MAX_MS, Gains, Total

START = 1_700_000_000_000


def total(value: float, *, time: int = START + 10, start: int = START, **parts: float) -> Total:
    """Return a total of the only stream."""
    return Total(b"stream", time, start, {"": value, **parts})


def gained(counters: Counters, *totals: Total) -> list[Mapping[str, float] | None]:
    """Return what totals gained, and store their readings."""
    with counters.turn() as turn:
        gains = Gains(turn, totals)
        found = [gains.of(each) for each in totals]
        turn.write(gains.readings)
        return found


@pytest.fixture
def counters(tmp_path: Path) -> Counters:
    """Return counters without readings."""
    return Counters(tmp_path)


@pytest.mark.parametrize(
    ("start", "time", "first"),
    [(START, START, 5), (START, START + FIRST_MAX_MS, 5), (START, START + FIRST_MAX_MS + 1, 0), (0, START, 0)],
)
def test_the_first_reading_counts_if_it_began_not_long_ago(
    counters: Counters, start: int, time: int, first: float
) -> None:
    """Then all that was counted was gained; else nothing, and the next reading counts."""
    assert [{"": first}] == gained(counters, total(5, start=start, time=time))
    assert [{"": 2}] == gained(counters, total(7, start=start, time=time + 1))


def test_a_reading_counts_once(counters: Counters) -> None:
    """One that is not newer than the last is repeated, in the same message or in another."""
    assert [{"": 5}, None] == gained(counters, total(5), total(5))
    assert [None, None] == gained(counters, total(5), total(9, time=START))


@pytest.mark.parametrize("reset", [total(3, time=START + 20), total(6, time=START + 20, start=START + 1)])
def test_a_reset_gains_the_whole_value(counters: Counters, reset: Total) -> None:
    """A total that fell, or began anew, was reset."""
    gained(counters, total(5))
    assert [reset.parts] == gained(counters, reset)


def test_parts_gain_together(counters: Counters) -> None:
    """A sum may fall without a reset. A part that is new gained its value."""
    assert [{"": 2, "sum": -1, "a": 2}] == gained(counters, total(2, sum=-1, a=2))
    assert [{"": 3, "sum": -4, "a": 1, "b": 2}] == gained(counters, total(5, time=START + 20, sum=-5, a=3, b=2))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=4), st.booleans())
def test_all_gains_are_the_total(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[int]], has_start: bool
) -> None:
    """Whatever is read between resets, and wherever messages end, the gains add up."""
    counters = Counters(tmp_path_factory.mktemp("counters"))
    time = START
    expected = sum(map(sum, runs)) if has_start else sum(map(sum, runs)) - runs[0][0]
    found = 0.0
    for run in runs:
        value, begin = 0, time
        for step in run:
            value, time = value + step, time + 1
            # Without a start, only a fall shows a reset.
            start = begin if has_start else 0
            [each] = gained(counters, total(value, time=time, start=start))
            assert each is not None
            found += each[""]
    assert found == expected if has_start else found <= expected
