"""What is sent, and that nothing of it is ever raised."""

import logging
from typing import Any

import pytest

from tally.errors import InvalidSetting
from tally.integrations import sender
from tally.integrations.sender import LOG_EVERY_S, Sender
from tests.receiving import Receiver

logger = logging.getLogger("tally.test")


def test_seconds_are_sent_by_name(collector: Receiver) -> None:
    """A request is sent under its name, and one that has none is not."""
    sent: Sender[str] = Sender(lambda request: request or None, logger)
    sent.send("", 1)
    sent.send("requests.get", 0.25)
    assert b"requests.get 0.25" == collector.datagram()
    assert collector.nothing()


@pytest.mark.parametrize(
    ("error", "has_traceback"), [(OSError("no way out"), True), (InvalidSetting("no such port"), False)]
)
def test_what_fails_is_logged_once_in_a_while(
    error: Exception, has_traceback: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither naming nor sending raises; the log has a line a minute, and a traceback where it may be a bug."""

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
