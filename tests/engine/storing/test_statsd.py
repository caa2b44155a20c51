"""State of gauges and sets."""

import pytest

from tally.engine.storing.statsd import Gauges, Sets
from tally.lines.plain import VALUE_MAX, Reason
from tally.lines.statsd import Gauge


def to(value: float) -> Gauge:
    """Return a step that sets a gauge."""
    return Gauge(value, is_change=False)


def by(value: float) -> Gauge:
    """Return a step that changes a gauge."""
    return Gauge(value, is_change=True)


def after(gauges: Gauges, name: str, steps: list[Gauge]) -> list[float] | Reason:
    """Return the gauge's value after each step, and store it."""
    values = gauges.values(name, steps)
    if not isinstance(values, Reason):
        gauges.store(name, values)
    return values


def test_changes_are_relative_to_the_stored_value() -> None:
    """Each gauge has its own value, and an unset one is 0."""
    gauges = Gauges()
    assert [5, 8] == after(gauges, "a", [to(5), by(3)])
    assert [-2] == after(gauges, "b", [by(-2)])
    assert [7] == after(gauges, "a", [by(-1)])
    assert [1] == after(gauges, "a", [to(1)])
    assert [] == after(gauges, "a", [])
    assert [2] == after(gauges, "a", [by(1)])


def test_a_value_beyond_the_bound_changes_nothing() -> None:
    """It is rejected with all other values of the same line."""
    gauges = Gauges()
    assert [VALUE_MAX] == after(gauges, "a", [to(VALUE_MAX)])
    assert Reason.VALUE == after(gauges, "a", [to(1), by(VALUE_MAX * 1.1)])
    assert [0] == after(gauges, "a", [by(-VALUE_MAX)])


@pytest.mark.parametrize(("most", "expected"), [(1, Reason.CARDINALITY), (2, [2])])
def test_a_gauge_that_does_not_fit_can_only_be_set(most: int, expected: object) -> None:
    """A relative change of an unknown value is rejected."""
    gauges = Gauges(most=most)
    assert [1] == after(gauges, "a", [by(1)])
    assert [1] == after(gauges, "b", [to(1)])
    assert expected == after(gauges, "b", [by(1)])
    assert [1, 2] == after(gauges, "b", [to(1), by(1)])
    assert [2] == after(gauges, "a", [by(1)])


@pytest.mark.parametrize(("most", "size"), [(3, 0), (4, 4), (7, 4), (8, 8)])
def test_wide_names_take_more_capacity(most: int, size: int) -> None:
    """A name that takes a kilobyte counts as four."""
    gauges = Gauges(most=most)
    for letter in "abb":
        after(gauges, letter * 251 + "😀", [to(1)])
    assert size == gauges.size


def test_values_does_not_store() -> None:
    """Values can be computed repeatedly before they are stored."""
    gauges = Gauges()
    assert [1] == gauges.values("a", [by(1)]) == gauges.values("a", [by(1)])
    assert 0 == gauges.size
    gauges.store("a", [1])
    gauges.store("b", [])
    assert 1 == gauges.size
    assert [2] == gauges.values("a", [by(1)])


def test_each_member_counts_once() -> None:
    """A set counts distinct members at the second of the last one."""
    members = Sets()
    members.add("a", {"x", "y"}, 5)
    members.add("b", {"x"}, 6)
    members.add("a", {"y", "z"}, 7)
    members.add("c", set(), 8)
    assert {("a", 7, 3), ("b", 6, 1)} == set(members.counts())


def test_only_new_members_are_counted() -> None:
    """Existing members need no capacity."""
    members = Sets()
    assert 2 == members.count_new("a", {"x", "y"})
    members.add("a", {"x", "y"}, 5)
    assert [0, 1, 1] == [
        members.count_new("a", {"x"}),
        members.count_new("a", {"x", "z"}),
        members.count_new("b", {"x"}),
    ]
