"""What a request may cost: its bounds, and its end."""

import pytest

from tally.errors import InvalidQuestion, QueryTimeout
from tally.graphite.budget import POINTS_MAX, SERIES_MAX, Budget, check_points


def test_series_and_points_are_bounded_for_all_of_a_request() -> None:
    """What was spent before counts, up to the bound and not beyond."""
    budget = Budget(60)
    budget.spend(SERIES_MAX - 1, 0)
    budget.spend(1, POINTS_MAX)
    with pytest.raises(InvalidQuestion, match=str(SERIES_MAX)):
        budget.spend(1, 0)
    with pytest.raises(InvalidQuestion, match=str(POINTS_MAX)):
        Budget(60).spend(1, POINTS_MAX + 1)


def test_points_are_checked_by_themselves() -> None:
    """As many as may be pass, one more does not."""
    check_points(POINTS_MAX)
    with pytest.raises(InvalidQuestion, match=str(POINTS_MAX)):
        check_points(POINTS_MAX + 1)


def test_time_is_bounded() -> None:
    """What is left becomes less, and when there is none that is told."""
    assert 0 < Budget(60).left_s() <= 60
    with pytest.raises(QueryTimeout, match="TALLY_QUERY_TIMEOUT"):
        Budget(0).left_s()


def test_a_stopped_request_interrupts_what_it_waits_for() -> None:
    """Whatever runs is told, once it has said how, and nothing begins any more."""
    budget, told = Budget(60), list[str]()
    budget.set_interrupt(lambda: told.append("first"))
    budget.set_interrupt(None)
    budget.stop()
    assert [] == told
    with pytest.raises(QueryTimeout):
        budget.set_interrupt(lambda: told.append("second"))
    budget.stop()
    assert ["second"] == told
