"""Limits of a request, and stopping it."""

import pytest

from tally.errors import InvalidQuestion, QueryTimeout
from tally.graphite.budget import POINTS_MAX, SERIES_MAX, Budget, check_points


def test_series_and_points_are_limited_for_the_whole_request() -> None:
    """The budget counts everything that was spent, up to the limit."""
    budget = Budget(60)
    budget.spend(SERIES_MAX - 1, 0)
    budget.spend(1, POINTS_MAX)
    with pytest.raises(InvalidQuestion, match=str(SERIES_MAX)):
        budget.spend(1, 0)
    with pytest.raises(InvalidQuestion, match=str(POINTS_MAX)):
        Budget(60).spend(1, POINTS_MAX + 1)


def test_points_are_checked() -> None:
    """The limit itself is allowed, one point more is not."""
    check_points(POINTS_MAX)
    with pytest.raises(InvalidQuestion, match=str(POINTS_MAX)):
        check_points(POINTS_MAX + 1)


def test_time_is_limited() -> None:
    """The remaining time is returned, or an error is raised if there is none."""
    assert 0 < Budget(60).left_s() <= 60
    with pytest.raises(QueryTimeout, match="TALLY_QUERY_TIMEOUT"):
        Budget(0).left_s()


def test_a_stopped_request_calls_its_interrupt() -> None:
    """`stop` calls the current interrupt, and no interrupt can be set after that."""
    budget, calls = Budget(60), list[str]()
    budget.set_interrupt(lambda: calls.append("first"))
    budget.set_interrupt(None)
    budget.stop()
    assert [] == calls
    with pytest.raises(QueryTimeout):
        budget.set_interrupt(lambda: calls.append("second"))
    budget.stop()
    assert ["second"] == calls
