"""Tracking: every way to change an archive leaves a mark, and what does not change it leaves none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tally.engine.storing.tracking import START, Tracker

NOW = 1_700_000_000


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Make an archive that is tracked, with nothing left to ship."""
    catalog = Catalog(tmp_path / "data", clock=lambda: NOW, steady=lambda: NOW)
    found = catalog.create("daily", resolution=10, retention=1, percentiles=1)
    found.record([("a", 1.0, NOW), ("b", 2.0, NOW - 30)])
    tracker = Tracker(found.path)
    tracker.start()
    tracker.start()
    settle(tracker)
    return found


def settle(tracker: Tracker) -> list[int]:
    """Acknowledge everything, and return the buckets that were to be shipped."""
    batch = tracker.read_batch(START, most=1000, span_s=10**9)
    tracker.acknowledge(batch.version, batch.marks)
    assert tracker.backlog().cells == 0
    return sorted({mark.bucket for mark in batch.marks})


def test_samples_mark_their_buckets(archive: Archive) -> None:
    """Only the buckets that change are marked, and versions grow."""
    tracker = Tracker(archive.path)
    version = tracker.read_state().version
    archive.record([("c", 1.0, NOW), ("a", 1.0, NOW - 60)])
    assert tracker.read_state().version > version
    assert settle(tracker) == [NOW - 60, NOW]
    assert settle(tracker) == []


CHANGES: dict[str, Callable[[Archive], object]] = {
    "rename": lambda archive: archive.rename("a", "z"),
    "join": lambda archive: archive.rename("a", "b"),
    "remove": lambda archive: archive.remove("a"),
    "coarser": lambda archive: archive.edit(resolution=20),
    "accuracy": lambda archive: archive.edit(percentiles=2),
    "no percentiles": lambda archive: archive.edit(percentiles=0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_rewritten_history_is_marked(change: str, archive: Archive) -> None:
    """Then all buckets are shipped again."""
    tracker = Tracker(archive.path)
    assert tracker.read_state().rewritten is None
    CHANGES[change](archive)
    rewritten = tracker.read_state().rewritten
    assert rewritten is not None
    tracker.ship_all(rewritten)
    assert tracker.read_state().rewritten is None
    assert len(settle(tracker)) == len(archive.aggregate("count"))


def test_other_properties_leave_no_mark(archive: Archive) -> None:
    """A definition is read at each pass anyway."""
    archive.edit(name="other", retention=2, pattern="*", enabled=False)
    assert settle(Tracker(archive.path)) == []


def test_expired_buckets_are_counted_once(tmp_path: Path) -> None:
    """Buckets that expired before they were shipped, by their samples."""
    now = float(NOW)
    catalog = Catalog(tmp_path, clock=lambda: now, steady=lambda: now)
    archive = catalog.create("daily", resolution=10, retention=1)
    tracker = Tracker(archive.path)
    tracker.start()
    archive.record([("a", 1.0, NOW)] * 3)
    now += 3700
    archive.confirm_clock()
    archive.record([("b", 1.0, now)])
    assert tracker.drop_expired() == 3
    assert tracker.drop_expired() == 0


def test_an_archive_that_is_not_tracked_has_no_backlog(tmp_path: Path) -> None:
    """It has no table of changes."""
    archive = Catalog(tmp_path).create("daily")
    assert Tracker(archive.path).backlog() == (None, 0)
