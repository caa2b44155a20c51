"""What cumulative counters last said."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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


def read(counters: Counters, *keys: str) -> dict[str, Reading]:
    """Return the readings of keys."""
    with counters.turn() as turn:
        return turn.read(keys)


def write(counters: Counters, readings: Mapping[str, Reading], most: int = 100) -> None:
    """Store readings."""
    with counters.turn() as turn:
        turn.write(readings, most=most)


def test_turns_are_taken_one_after_the_other(tmp_path: Path) -> None:
    """Each of many threads adds to what the one before has stored, and an error stores nothing."""

    def add(_: int) -> None:
        with Counters(tmp_path).turn() as turn:
            known = turn.read(["a"]).get("a", Reading(0, 0))
            turn.write({"a": Reading(known.time + 1, known.value + 1)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    with suppress(ZeroDivisionError), Counters(tmp_path).turn() as turn:
        turn.write({"a": Reading(99, 1)})
        raise ZeroDivisionError
    assert {"a": Reading(40, 40)} == read(Counters(tmp_path), "a")


def test_readings_outlive_the_process(tmp_path: Path) -> None:
    """They are in a file that is created by the first one; an older reading changes nothing."""
    counters = Catalog(tmp_path).counters
    assert {} == read(counters, "a")
    write(counters, {"a": Reading(5, 1.5, 2), "b": Reading(5, 7)})
    write(Counters(tmp_path), {"a": Reading(4, 1), "b": Reading(6, 8)})
    assert {"a": Reading(5, 1.5, 2), "b": Reading(6, 8)} == read(Counters(tmp_path), *"abc")
    assert [FILE] == [each.name for each in tmp_path.iterdir()]
    assert ([], "") == (Catalog(tmp_path).slugs(), counters.damage())


def test_the_oldest_readings_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the bound a tenth is deleted at once, and the log says so."""
    counters = Counters(tmp_path)
    readings = {str(time): Reading(time, 1) for time in range(20)}
    write(counters, readings, most=20)
    assert readings == read(counters, *readings)
    assert not caplog.records
    write(counters, {"new": Reading(99, 1)}, most=20)
    assert {*map(str, range(3, 20)), "new"} == {*read(counters, *readings, "new")}
    assert "more than 20 counters: the 3 oldest are forgotten" in caplog.text


def test_kinds_are_kept(tmp_path: Path) -> None:
    """A kind can change; beyond the bound no further metrics are added."""
    counters = Counters(tmp_path)
    assert {} == counters.read_kinds(["a"])
    counters.write_kinds({"a": "gauge", "b": "gauge"}, most=2)
    counters.write_kinds({"a": "counter", "c": "gauge"}, most=2)
    assert {"a": "counter", "b": "gauge"} == Counters(tmp_path).read_kinds("abc")
