"""What is said about losses."""

import logging

import pytest

from tally.collector.loss_log import COMPLAIN_EVERY_S, EXAMPLE_BYTES, Complaint
from tests.collector.test_recent_losses import BOOKS, NOTHING


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what is logged."""
    caplog.set_level(logging.INFO, "tally.collector")
    return caplog


def test_losses_are_one_line(said: pytest.LogCaptureFixture) -> None:
    """All that was lost stands in one line, by place and reason, with an example of each rejected line."""
    Complaint().note(0, BOOKS, {"value": b"a one"})
    assert [
        "lost: 8 connections as refused; 5 datagrams as kernel_drops; 2 datagrams as refused; "
        "3 lines as value, such as 'a one'; "
        "4 samples of daily as cardinality; 6 samples of daily as dropped; 1 samples of daily as expired"
    ] == said.messages
    data = said.records[0].__dict__["data"]
    assert {"place": ("lines",), "reason": "value", "count": 3} in data["lost"]
    assert {"value": "'a one'"} == data["examples"]


def test_without_losses_nothing_is_said(said: pytest.LogCaptureFixture) -> None:
    """A minute in which nothing was lost has no line, nor has one in which nothing more was."""
    complaint = Complaint()
    complaint.note(0, NOTHING, {})
    complaint.note(1, BOOKS, {})
    complaint.note(COMPLAIN_EVERY_S + 1, BOOKS, {})
    assert 1 == len(said.messages)


@pytest.mark.parametrize(("later", "lines"), [(COMPLAIN_EVERY_S - 0.1, 1), (COMPLAIN_EVERY_S, 2)])
def test_a_flood_is_a_line_a_minute(later: float, lines: int, said: pytest.LogCaptureFixture) -> None:
    """What is lost meanwhile is counted and said with the next line."""
    complaint = Complaint()
    complaint.note(0, {**NOTHING, "rejected": {"name": 1}}, {"name": b"\x7f 1"})
    for count in range(2, 1000):
        complaint.note(0.01 * count, {**NOTHING, "rejected": {"name": count}}, {"name": b"%d" % count})
    complaint.note(later, {**NOTHING, "rejected": {"name": 1000}}, {})
    assert ["lost: 1 lines as name, such as '\\x7f 1'", "lost: 999 lines as name, such as '2'"][:lines] == said.messages


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"a\xff 1", "'a\\\\xff 1'"),
        ("é 1".encode(), "'é 1'"),
        (b"a\rlost: 1", "'a\\rlost: 1'"),
        (b"\x1b[2J", "'\\x1b[2J'"),
        ("\u2028".encode(), "'\\u2028'"),
        (b"x" * EXAMPLE_BYTES, f"'{'x' * EXAMPLE_BYTES}'"),
        (b"x" * (EXAMPLE_BYTES + 1), f"'{'x' * EXAMPLE_BYTES}'"),
    ],
)
def test_an_example_is_escaped_and_short(line: bytes, shown: str, said: pytest.LogCaptureFixture) -> None:
    """What somebody sent can neither break out of its line nor fill it."""
    Complaint().note(0, {**NOTHING, "rejected": {"value": 1}}, {"value": line})
    assert [f"lost: 1 lines as value, such as {shown}"] == said.messages
