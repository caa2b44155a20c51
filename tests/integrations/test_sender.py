"""Sending durations, and logging errors instead of raising them."""

import logging
from typing import Any

import pytest

from tally.errors import InvalidSetting
from tally.integrations import sender
from tally.integrations.sender import LOG_EVERY_S, Sender
from tests.receiving import Receiver

logger = logging.getLogger("tally.test")


def test_seconds_are_sent_by_name(collector: Receiver) -> None:
    """A request is sent under its name, and not sent without a name."""
    sent: Sender[str] = Sender(lambda request: request or None, logger)
    sent.send("", 1)
    sent.send("requests.get", 0.25)
    assert b"requests.get 0.25" == collector.datagram()
    assert collector.nothing()


@pytest.mark.parametrize(
    ("error", "has_traceback"), [(OSError("no way out"), True), (InvalidSetting("no such port"), False)]
)
def test_errors_are_logged_at_most_once_a_minute(
    error: Exception, has_traceback: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors in naming and sending are logged, with a traceback if they may be bugs."""

    def fail(*_: Any) -> str:
        raise error

    now = [100.0]
    monkeypatch.setattr(sender, "monotonic", lambda: now[0])
    sent: Sender[str] = Sender(fail, logger)
    for passed in (0, LOG_EVERY_S - 0.1, 0.1):
        now[0] += passed
        sent.send("a", 1)
    assert [f"page timings are lost: {error}"] * 2 == [record.getMessage() for record in caplog.records]
    assert [has_traceback] * 2 == [bool(record.exc_info) for record in caplog.records]
