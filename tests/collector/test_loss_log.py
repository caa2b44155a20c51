"""The log of losses."""

import logging

import pytest

from tally.collector.loss_log import EXAMPLE_BYTES, LOG_EVERY_S, LossLog
from tally.lines.plain import EXPLANATIONS
from tests.collector.test_recent_losses import NOTHING, STATUS


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what is logged."""
    caplog.set_level(logging.INFO, "tally.collector")
    return caplog


def test_all_losses_are_one_line(log: pytest.LogCaptureFixture) -> None:
    """Each kind of loss is a count and a plain reason, with an example of a rejected line."""
    LossLog().update(0, STATUS, {"value": b"a one"})
    assert [
        "dropped 8 connections: from outside TALLY_ALLOW, or too many at once; "
        "5 datagrams: the kernel's receive buffer was full; 2 datagrams: sent from outside TALLY_ALLOW; "
        "3 lines: the value is not a number from -1e100 to 1e100 (`a one`); "
        "4 samples of daily: it has TALLY_MAX_NAMES names already; 6 samples of daily: it could not be written; "
        "1 sample of daily: past its retention"
    ] == log.messages
    data = log.records[0].__dict__["data"]
    assert {"place": ("lines",), "reason": "value", "count": 3} in data["lost"]
    assert {"value": "a one"} == data["examples"]


@pytest.mark.parametrize(
    ("reason", "count", "line", "message"),
    [
        ("check", 1, b"_sc|x|0", "dropped 1 line: service checks are not supported (`_sc|x|0`)"),
        ("check", 2, b"_sc|x|0", "dropped 2 lines: service checks are not supported (`_sc|x|0`)"),
        ("event", 1, b"_e{1,1}:a|b", "dropped 1 line: events are not supported (`_e{1,1}:a|b`)"),
        ("unmatched", 1, b"a", "dropped 1 sample: no enabled archive has a matching pattern (`a`)"),
        ("encoding", 1, None, "dropped 1 line: not valid UTF-8"),
    ],
)
def test_a_reason_is_a_plain_phrase(
    reason: str, count: int, line: bytes | None, message: str, log: pytest.LogCaptureFixture
) -> None:
    """One line is singular, and the reason says what is wrong with it."""
    LossLog().update(0, {**NOTHING, "rejected": {reason: count}}, {} if line is None else {reason: line})
    assert [message] == log.messages


@pytest.mark.parametrize("reason", EXPLANATIONS)
def test_every_reason_can_be_logged(reason: str, log: pytest.LogCaptureFixture) -> None:
    """Every reason has an explanation."""
    LossLog().update(0, {**NOTHING, "rejected": {reason: 2}}, {})
    assert EXPLANATIONS[reason] == log.messages[0].partition(": ")[2]


def test_without_new_losses_nothing_is_logged(log: pytest.LogCaptureFixture) -> None:
    """A minute without new losses logs nothing."""
    losses = LossLog()
    losses.update(0, NOTHING, {})
    losses.update(1, STATUS, {})
    losses.update(LOG_EVERY_S + 1, STATUS, {})
    assert 1 == len(log.messages)


@pytest.mark.parametrize(("later", "lines"), [(LOG_EVERY_S - 0.1, 1), (LOG_EVERY_S, 2)])
def test_a_flood_is_one_line_a_minute(later: float, lines: int, log: pytest.LogCaptureFixture) -> None:
    """Losses in between are counted and logged with the next line."""
    losses = LossLog()
    losses.update(0, {**NOTHING, "rejected": {"check": 1}}, {"check": b"_sc|x|0"})
    for count in range(2, 1000):
        losses.update(0.01 * count, {**NOTHING, "rejected": {"check": count}}, {"check": b"_sc|%d" % count})
    losses.update(later, {**NOTHING, "rejected": {"check": 1000}}, {})
    assert [
        "dropped 1 line: service checks are not supported (`_sc|x|0`)",
        "dropped 999 lines: service checks are not supported (`_sc|2`)",
    ][:lines] == log.messages


@pytest.mark.parametrize(
    ("line", "example"),
    [
        (b"a\xff 1", r"a\\xff 1"),
        ("é 1".encode(), "é 1"),
        (b"a\rdropped 1", r"a\rdropped 1"),
        (b"\x1b[2J", r"\x1b[2J"),
        ("\u2028".encode(), r"\u2028"),
        (b"a`b", r"a\x60b"),
        (b"x" * EXAMPLE_BYTES, "x" * EXAMPLE_BYTES),
        (b"x" * (EXAMPLE_BYTES + 1), "x" * EXAMPLE_BYTES),
    ],
)
def test_an_example_is_escaped_and_short(line: bytes, example: str, log: pytest.LogCaptureFixture) -> None:
    """A rejected line can neither break out of its quotation nor fill the log."""
    LossLog().update(0, {**NOTHING, "rejected": {"check": 1}}, {"check": line})
    assert [f"dropped 1 line: service checks are not supported (`{example}`)"] == log.messages
