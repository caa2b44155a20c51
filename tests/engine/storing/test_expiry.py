"""Expiry: which rows and names are deleted, when, and how many at a time."""

import pytest

from tally.engine import Archive, Outcome
from tally.engine.storing import expiry, sealing
from tests.engine.model import check_file, confirm_clock, rolled_up, row_count
from tests.engine.storing.filling import Create, fill

HOUR_S = 3600
NOW = 1_000_000_800


def test_shorter_retention(create: Create) -> None:
    """A new retention takes effect at the next commit; 0 keeps everything."""
    archive = create()
    fill(archive, range(NOW - 2 * HOUR_S, NOW, 10))
    assert 2 * HOUR_S / 10 == row_count(archive)
    archive.edit(retention=1)
    archive.commit({}, now=NOW)
    assert (NOW - HOUR_S, NOW - 10) == (archive.summary().first, archive.summary().last)


def test_expiry_is_bounded(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit deletes at most EXPIRE_ROWS rows, the oldest first."""
    monkeypatch.setattr(expiry, "EXPIRE_ROWS", 25)
    archive = create()
    fill(archive, range(0, 100, 10), names=10)
    archive.edit(retention=1)
    confirm_clock(archive, NOW)
    for left in (75, 50, 25, 0):
        archive.commit({}, now=NOW)
        assert left == row_count(archive)
        assert left == row_count(archive, f"bucket >= {100 - left // 10 * 10 - 10}")
        check_file(archive)


def test_expiry_keeps_pace(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deletion catches up even if each commit inserts more than EXPIRE_ROWS rows."""
    monkeypatch.setattr(expiry, "EXPIRE_ROWS", 5)
    archive = create(resolution=60)
    fill(archive, range(NOW - 2 * HOUR_S, NOW, 60), names=20)
    archive.edit(retention=1)
    for bucket in range(NOW, NOW + 2 * HOUR_S, 60):
        fill(archive, range(bucket, bucket + 1), names=20)
    assert NOW + HOUR_S - 60 == archive.summary().first
    check_file(archive)


@pytest.mark.parametrize("seal_rows", [1, 3, 1000])
def test_names_are_deleted_with_their_last_row(create: Create, monkeypatch: pytest.MonkeyPatch, seal_rows: int) -> None:
    """This applies to sealed and unsealed rows, and the name can return."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", seal_rows)
    archive = create(retention=1)
    for bucket in range(NOW, NOW + 50, 10):
        samples = [("always", 1.0, bucket), (f"once{bucket - NOW}", 1.0, bucket)]
        archive.commit(rolled_up(samples), now=bucket)
    archive.commit({}, now=NOW + HOUR_S + 20)
    assert ["always", "once20", "once30", "once40"] == archive.names()
    archive.commit(rolled_up([("once0", 8.0, NOW + HOUR_S)]), now=NOW + HOUR_S + 20)
    assert {"once0": {NOW + HOUR_S: 8.0}} == archive.values("sum", q="once0")
    assert ["always", "once0", "once20", "once30", "once40"] == archive.names()
    check_file(archive)


def test_names_with_several_writers(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each writer sees the names that another one added or deleted."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 1)
    one = create(retention=1)
    other = Archive(one.path)
    for number, bucket in enumerate(range(NOW, NOW + 5 * HOUR_S, HOUR_S + 20)):
        writer = (one, other)[number % 2]
        confirm_clock(one, bucket)
        writer.commit(rolled_up([("a", 1.0, bucket), (f"b{number}", 1.0, bucket)]), now=bucket)
        assert ["a", f"b{number}"] == one.names() == other.names()
        check_file(one)


def test_expired_names_make_room(create: Create) -> None:
    """A name that expires in a commit makes room for a new name in the same commit."""
    archive = create(retention=1)
    archive.commit(rolled_up([("a", 1.0, NOW)]), now=NOW, max_names=1)
    samples = rolled_up([("b", 1.0, NOW + HOUR_S)])
    assert Outcome(cardinality=1) == archive.commit(samples, now=NOW + HOUR_S + 9, max_names=1)
    assert Outcome(stored=1) == archive.commit(samples, now=NOW + HOUR_S + 10, max_names=1)
    assert ["b"] == archive.names()


def test_future_sample(create: Create) -> None:
    """Expiry uses the clock: a sample from the future expires nothing."""
    archive = create(retention=1)
    fill(archive, range(NOW - HOUR_S, NOW, 10))
    fill(archive, range(NOW + 10**9, NOW + 10**9 + 1, 10), now=NOW)
    archive.commit({}, now=NOW)
    assert HOUR_S / 10 + 1 == row_count(archive)
    archive.commit({}, now=NOW + 10)
    assert HOUR_S / 10 == row_count(archive)
    check_file(archive)
