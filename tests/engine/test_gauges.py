"""What gauges were set to."""

import pytest

from tally.engine.gauges import Gauges
from tally.statsd import Gauge
from tally.wire import VALUE_MAX, Reason


def to(value: float) -> Gauge:
    """Return a step that sets a gauge."""
    return Gauge(value, is_change=False)


def by(value: float) -> Gauge:
    """Return a step that changes a gauge."""
    return Gauge(value, is_change=True)


def test_changes_go_on_from_what_was_set() -> None:
    """Each step gives a value, from call to call, and every gauge has its own; one that was never set begins at 0."""
    gauges = Gauges()
    assert [5, 8] == gauges.values("a", [to(5), by(3)])
    assert [-2] == gauges.values("b", [by(-2)])
    assert [7] == gauges.values("a", [by(-1)])
    assert [1] == gauges.values("a", [to(1)])
    assert [] == gauges.values("a", [])
    assert [2] == gauges.values("a", [by(1)])


def test_a_value_beyond_the_bound_changes_nothing() -> None:
    """What a sample could not hold is refused, with all that came in the same line."""
    gauges = Gauges()
    assert [VALUE_MAX] == gauges.values("a", [to(VALUE_MAX)])
    assert Reason.VALUE == gauges.values("a", [to(1), by(VALUE_MAX * 1.1)])
    assert [0] == gauges.values("a", [by(-VALUE_MAX)])


@pytest.mark.parametrize(("most", "expected"), [(1, Reason.CARDINALITY), (2, [2])])
def test_a_gauge_that_is_not_remembered_can_only_be_set(most: int, expected: object) -> None:
    """Without room it can still be set, and what cannot be known is not made up."""
    gauges = Gauges(most=most)
    assert [1] == gauges.values("a", [by(1)])
    assert [1] == gauges.values("b", [to(1)])
    assert expected == gauges.values("b", [by(1)])
    assert [1, 2] == gauges.values("b", [to(1), by(1)])
    assert [2] == gauges.values("a", [by(1)])
