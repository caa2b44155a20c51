"""What cumulative counters last said."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.engine import Catalog
from tally.engine.storing.counters import FILE, Counters, Reading, gain


@pytest.mark.parametrize(
    ("last", "reading", "gained"),
    [
        (None, Reading(1, 5), 0),
        (Reading(1, 5), Reading(2, 7.5), 2.5),
        (Reading(1, 5), Reading(2, 5), 0),
        (Reading(1, 5), Reading(2, 4), 4),
        (Reading(1, 5), Reading(1, 6), None),
        (Reading(2, 5), Reading(1, 6), None),
        (Reading(2, 5, 1), Reading(4, 6, 1), 1),
        (Reading(2, 5, 1), Reading(4, 6, 3), 6),
    ],
)
def test_a_gain(last: Reading | None, reading: Reading, gained: float | None) -> None:
    """It is the difference, or after a reset the whole value. A reading that is not newer was counted before."""
    assert gained == gain(last, reading)


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(0, 9))
def test_gains_are_all_that_was_counted(added: list[int], first: int) -> None:
    """The gains of a counter that only grows add up to what it grew by."""
    last, total, gained = None, first, 0.0
    for time, more in enumerate([0, *added]):
        total += more
        reading = Reading(time, total)
        gained += gain(last, reading) or 0
        last = reading
    assert sum(added) == gained


def test_readings_outlive_the_process(tmp_path: Path) -> None:
    """They are in a file that is created by the first one; an older reading changes nothing."""
    counters = Catalog(tmp_path).counters
    assert {} == counters.read(["a"])
    counters.write({})
    assert [] == list(tmp_path.iterdir())
    counters.write({"a": Reading(5, 1.5, 2), "b": Reading(5, 7)})
    Counters(tmp_path).write({"a": Reading(4, 1), "b": Reading(6, 8)})
    assert {"a": Reading(5, 1.5, 2), "b": Reading(6, 8)} == Counters(tmp_path).read(["a", "b", "c"])
    assert [FILE] == [each.name for each in tmp_path.iterdir()]
    assert ([], "") == (Catalog(tmp_path).slugs(), counters.damage())


def test_the_oldest_readings_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the bound a tenth is deleted at once, and the log says so."""
    counters = Counters(tmp_path)
    readings = {str(time): Reading(time, 1) for time in range(20)}
    counters.write(readings, most=20)
    assert readings == counters.read(readings)
    assert not caplog.records
    counters.write({"new": Reading(99, 1)}, most=20)
    assert {*map(str, range(3, 20)), "new"} == {*counters.read([*readings, "new"])}
    assert "more than 20 counters: the 3 oldest are forgotten" in caplog.text


def test_kinds_are_kept(tmp_path: Path) -> None:
    """A kind can change; beyond the bound no further metrics are added."""
    counters = Counters(tmp_path)
    assert {} == counters.read_kinds(["a"])
    counters.write_kinds({"a": "gauge", "b": "gauge"}, most=2)
    counters.write_kinds({"a": "counter", "c": "gauge"}, most=2)
    assert {"a": "counter", "b": "gauge"} == Counters(tmp_path).read_kinds("abc")
