"""Recent losses."""

from typing import Any

import pytest

from tally.collector.recent_losses import STEP_S, WINDOW_S, RecentLosses, count_losses

STATUS: dict[str, Any] = {
    "accepted": 9,
    "rejected": {"value": 3},
    "refused": 2,
    "kernel_drops": 5,
    "connections_refused": 8,
    "archives": {"daily": {"stored": 9, "expired": 1, "cardinality": 4, "dropped": 6, "pending": 7, "error": ""}},
}
NOTHING: dict[str, Any] = {"rejected": {}, "refused": 0, "kernel_drops": None, "connections_refused": 0, "archives": {}}


def test_every_loss_is_listed_by_place_and_reason() -> None:
    """Lost lines, datagrams and samples are listed; stored and pending samples are not."""
    recent = RecentLosses(0)
    recent.update(1, STATUS)
    assert {
        "seconds": WINDOW_S,
        "lines": {"value": 3},
        "datagrams": {"kernel_drops": 5, "refused": 2},
        "connections": {"refused": 8},
        "samples": {"daily": {"cardinality": 4, "dropped": 6, "expired": 1}},
    } == recent.to_dict()


def test_without_losses_every_place_is_empty() -> None:
    """Every place is empty, even if the kernel does not report drops."""
    recent = RecentLosses(0)
    recent.update(1, NOTHING)
    assert {"seconds": WINDOW_S, "lines": {}, "datagrams": {}, "connections": {}, "samples": {}} == recent.to_dict()


@pytest.mark.parametrize(("later", "lines"), [(WINDOW_S - 1, {"value": 3}), (WINDOW_S, {})])
def test_a_loss_is_forgotten_after_the_window(later: float, lines: dict[str, int]) -> None:
    """Only losses within the window are listed."""
    recent = RecentLosses(-WINDOW_S)
    recent.update(0, STATUS)
    recent.update(later, STATUS)
    assert lines == recent.to_dict()["lines"]


def test_only_what_came_since_is_told() -> None:
    """Only the growth of a counter within the window counts."""
    recent = RecentLosses(-WINDOW_S)
    recent.update(0, STATUS)
    recent.update(WINDOW_S, {**STATUS, "rejected": {"value": 10, "name": 1}})
    assert {"name": 1, "value": 7} == recent.to_dict()["lines"]


def test_a_counter_that_begins_anew_is_no_loss() -> None:
    """If an archive was recreated, its smaller counters cause no negative losses."""
    recent = RecentLosses(-WINDOW_S)
    recent.update(0, STATUS)
    recent.update(WINDOW_S, {**STATUS, "archives": {}})
    assert {} == recent.to_dict()["samples"]


def test_what_is_kept_is_bounded() -> None:
    """The number of snapshots is limited, however often they are taken."""
    recent = RecentLosses(0)
    for number in range(100 * WINDOW_S):
        recent.update(number / 10, STATUS)
    assert len(recent._snapshots) <= WINDOW_S / STEP_S + 2


def test_losses_are_those_since_the_start() -> None:
    """Every kind of loss is counted."""
    assert 3 + 2 + 5 + 8 + 1 + 4 + 6 == count_losses(STATUS).total()
