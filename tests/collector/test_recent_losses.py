"""What was lost lately."""

from typing import Any

import pytest

from tally.collector.recent_losses import STEP_S, WINDOW_S, Recent, losses

BOOKS: dict[str, Any] = {
    "accepted": 9,
    "rejected": {"value": 3},
    "refused": 2,
    "kernel_drops": 5,
    "connections_refused": 8,
    "archives": {"daily": {"stored": 9, "expired": 1, "cardinality": 4, "dropped": 6, "pending": 7, "error": ""}},
}
NOTHING: dict[str, Any] = {"rejected": {}, "refused": 0, "kernel_drops": None, "connections_refused": 0, "archives": {}}


def test_every_loss_is_told_by_place_and_reason() -> None:
    """Lines, datagrams and samples that were lost are told; what was stored or still waits is not."""
    recent = Recent(0)
    recent.note(1, BOOKS)
    assert {
        "seconds": WINDOW_S,
        "lines": {"value": 3},
        "datagrams": {"kernel_drops": 5, "refused": 2},
        "connections": {"refused": 8},
        "samples": {"daily": {"cardinality": 4, "dropped": 6, "expired": 1}},
    } == recent.told()


def test_where_nothing_is_lost_nothing_is_told() -> None:
    """Books without losses leave every place empty, also where the kernel does not say what it dropped."""
    recent = Recent(0)
    recent.note(1, NOTHING)
    assert {"seconds": WINDOW_S, "lines": {}, "datagrams": {}, "connections": {}, "samples": {}} == recent.told()


@pytest.mark.parametrize(("later", "lines"), [(WINDOW_S - 1, {"value": 3}), (WINDOW_S, {})])
def test_a_loss_is_forgotten_after_the_window(later: float, lines: dict[str, int]) -> None:
    """What came within the window is told, what came before it is not."""
    recent = Recent(-WINDOW_S)
    recent.note(0, BOOKS)
    recent.note(later, BOOKS)
    assert lines == recent.told()["lines"]


def test_only_what_came_since_is_told() -> None:
    """Of a counter that grows on, the growth within the window counts."""
    recent = Recent(-WINDOW_S)
    recent.note(0, BOOKS)
    recent.note(WINDOW_S, {**BOOKS, "rejected": {"value": 10, "name": 1}})
    assert {"name": 1, "value": 7} == recent.told()["lines"]


def test_a_counter_that_begins_anew_is_no_loss() -> None:
    """An archive that went and came again has books that are less than before: nothing is told of it."""
    recent = Recent(-WINDOW_S)
    recent.note(0, BOOKS)
    recent.note(WINDOW_S, {**BOOKS, "archives": {}})
    assert {} == recent.told()["samples"]


def test_what_is_kept_is_bounded() -> None:
    """However often the books are noted, only so many of them are kept."""
    recent = Recent(0)
    for number in range(100 * WINDOW_S):
        recent.note(number / 10, BOOKS)
    assert len(recent._kept) <= WINDOW_S / STEP_S + 2


def test_losses_are_those_since_the_start() -> None:
    """All that a collector has lost is 29 of these books."""
    assert 3 + 2 + 5 + 8 + 1 + 4 + 6 == losses(BOOKS).total()
