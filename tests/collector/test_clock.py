"""Saying that the clock is right."""

from pathlib import Path

import pytest

from tally.collector import confirm_clock
from tally.engine import Archive, Catalog
from tests.processes import started, wait_for

OLD = 1_700_000_000


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive that nobody wrote for longer than its retention."""
    made = Catalog(tmp_path, clock=lambda: OLD).create("daily", resolution=10, retention=1)
    made.record([("a", 1, OLD)])
    return made


def test_all_archives_are_told(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    """One that cannot be written is logged, and keeps no other from expiring."""
    caplog.set_level("INFO")
    (archive.path.parent / "broken.db").write_bytes(b"no database" * 1000)
    confirm_clock(archive.path.parent)
    assert "broken.db" in caplog.messages[0]
    assert "the clock is right" in caplog.messages[1]
    assert not Archive(archive.path).commit({}, now=OLD + 7200).is_doubted


@pytest.mark.parametrize("command", ["serve", "collect"])
def test_a_start_that_says_so_expires_at_once(archive: Archive, command: str) -> None:
    """Without --clock-is-right what is too old stays for a day, and the log says how it goes earlier."""
    directory = archive.path.parent
    with started(directory, command, TALLY_FLUSH_TIME=0.05) as running:
        running.said("archive daily: .* past the retention.*--clock-is-right")
        assert {"a": 1} == archive.aggregate("count", by="name")
    with started(directory, command, "--clock-is-right", TALLY_FLUSH_TIME=0.05) as running:
        running.said("the clock is right")
        wait_for(lambda: not archive.names(), "expiry")
