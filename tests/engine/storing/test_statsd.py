"""What gauges were set to."""

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
    """Return what a gauge is after each of some steps, and remember it."""
    values = gauges.values(name, steps)
    if not isinstance(values, Reason):
        gauges.store(name, values)
    return values


def test_changes_go_on_from_what_was_set() -> None:
    """Each step gives a value, from call to call, and every gauge has its own; one that was never set begins at 0."""
    gauges = Gauges()
    assert [5, 8] == after(gauges, "a", [to(5), by(3)])
    assert [-2] == after(gauges, "b", [by(-2)])
    assert [7] == after(gauges, "a", [by(-1)])
    assert [1] == after(gauges, "a", [to(1)])
    assert [] == after(gauges, "a", [])
    assert [2] == after(gauges, "a", [by(1)])


def test_a_value_beyond_the_bound_changes_nothing() -> None:
    """What a sample could not hold is refused, with all that came in the same line."""
    gauges = Gauges()
    assert [VALUE_MAX] == after(gauges, "a", [to(VALUE_MAX)])
    assert Reason.VALUE == after(gauges, "a", [to(1), by(VALUE_MAX * 1.1)])
    assert [0] == after(gauges, "a", [by(-VALUE_MAX)])


@pytest.mark.parametrize(("most", "expected"), [(1, Reason.CARDINALITY), (2, [2])])
def test_a_gauge_that_is_not_remembered_can_only_be_set(most: int, expected: object) -> None:
    """Without room it can still be set, and what cannot be known is not made up."""
    gauges = Gauges(most=most)
    assert [1] == after(gauges, "a", [by(1)])
    assert [1] == after(gauges, "b", [to(1)])
    assert expected == after(gauges, "b", [by(1)])
    assert [1, 2] == after(gauges, "b", [to(1), by(1)])
    assert [2] == after(gauges, "a", [by(1)])


@pytest.mark.parametrize(("most", "size"), [(3, 0), (4, 4), (7, 4), (8, 8)])
def test_wide_names_need_more_room(most: int, size: int) -> None:
    """A name that takes a kilobyte counts as four."""
    gauges = Gauges(most=most)
    for letter in "abb":
        after(gauges, letter * 251 + "😀", [to(1)])
    assert size == gauges.size


def test_nothing_changes_before_it_is_remembered() -> None:
    """What a gauge would be can be asked for as often as one likes."""
    gauges = Gauges()
    assert [1] == gauges.values("a", [by(1)]) == gauges.values("a", [by(1)])
    assert 0 == gauges.size
    gauges.store("a", [1])
    gauges.store("b", [])
    assert 1 == gauges.size
    assert [2] == gauges.values("a", [by(1)])


def test_each_member_counts_once() -> None:
    """A set counts its own members, as of the second in which it was last added to."""
    members = Sets()
    members.add("a", {"x", "y"}, 5)
    members.add("b", {"x"}, 6)
    members.add("a", {"y", "z"}, 7)
    members.add("c", set(), 8)
    assert {("a", 7, 3), ("b", 6, 1)} == set(members.counts())


def test_only_new_members_are_counted() -> None:
    """What is there already needs no room."""
    members = Sets()
    assert 2 == members.count_new("a", {"x", "y"})
    members.add("a", {"x", "y"}, 5)
    assert [0, 1, 1] == [
        members.count_new("a", {"x"}),
        members.count_new("a", {"x", "z"}),
        members.count_new("b", {"x"}),
    ]
