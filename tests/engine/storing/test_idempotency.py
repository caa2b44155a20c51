"""Idempotent deliveries."""

import threading
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog, Outcome
from tally.engine.files import schema
from tally.engine.storing import idempotency
from tally.engine.storing.idempotency import KEPT_S, SPARE_S, Delivery, Receipt
from tally.errors import ArchiveUnavailable, KeyReused
from tests.engine.model import check_file, confirm_clock, rolled_up

T = 1_700_000_000
CELLS = rolled_up([("a", 0.5, T), ("b", 1.5, T - 7200), ("c", 2.5, T)])


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive with a retention of an hour."""
    return Catalog(tmp_path).create("daily", resolution=10, retention=1)


def sent(key: str, digest: bytes = b"digest", second: int = T) -> Delivery:
    """Return a delivery."""
    return Delivery(key, digest, second)


def known(archive: Archive, *keys: str) -> list[str]:
    """Return which of the keys the archive has."""
    return [key for key in keys if archive.receipt(sent(key))]


def test_a_delivery_is_stored_once(archive: Archive) -> None:
    """A repeated delivery stores nothing and returns the first outcome, whatever the time."""
    first = archive.commit(CELLS, now=T, max_names=1, delivery=sent("one"))
    held = archive.values()
    assert Outcome(stored=1, expired=1, cardinality=1) == first
    assert first == archive.commit(CELLS, now=T + KEPT_S, delivery=sent("one", second=T + 60))
    assert held == archive.values()
    check_file(archive)


def test_other_keys_are_other_deliveries(archive: Archive) -> None:
    """Samples with another key or without one are stored."""
    for each in (sent("one"), sent("two"), None, None):
        archive.commit(CELLS, now=T, delivery=each)
    assert 4 == archive.aggregate("count", by="name")["a"]


def test_a_receipt_has_the_first_outcome(archive: Archive) -> None:
    """It has the second of first receipt, and a new delivery has no receipt."""
    assert archive.receipt(sent("one")) is None
    outcome = archive.commit(CELLS, now=T + 5, delivery=sent("one"))
    assert Receipt(T, outcome) == archive.receipt(sent("one", second=T + 60))


def test_a_key_is_for_one_delivery(archive: Archive) -> None:
    """Other samples under the same key are rejected."""
    archive.commit(CELLS, now=T, delivery=sent("one"))
    held = archive.values()
    with pytest.raises(KeyReused, match="'one'"):
        archive.commit(CELLS, now=T, delivery=sent("one", digest=b"another"))
    with pytest.raises(KeyReused, match="'one'"):
        archive.receipt(sent("one", digest=b"another"))
    assert held == archive.values()


def test_a_failed_delivery_can_be_repeated(archive: Archive) -> None:
    """Samples and receipt are committed together or not at all."""
    archive.edit(enabled=False)
    with pytest.raises(ArchiveUnavailable):
        archive.commit(CELLS, now=T, delivery=sent("one"))
    archive.edit(enabled=True)
    assert [] == known(archive, "one")
    assert 2 == archive.commit(CELLS, now=T, delivery=sent("one")).stored


def test_concurrent_deliveries_are_stored_once(archive: Archive) -> None:
    """One of several threads stores the delivery."""
    threads = [
        threading.Thread(target=archive.commit, args=(CELLS,), kwargs={"now": T, "delivery": sent("one")})
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {"a": 1, "c": 1} == archive.aggregate("count", by="name")


@pytest.mark.parametrize(("later", "expected"), [(KEPT_S + SPARE_S, ["one", "two"]), (KEPT_S + SPARE_S + 1, ["two"])])
def test_keys_are_kept_for_a_day(archive: Archive, later: int, expected: list[str]) -> None:
    """A key is deleted by the first delivery more than KEPT_S + SPARE_S seconds later."""
    archive.commit(CELLS, now=T, delivery=sent("one"))
    confirm_clock(archive, T + later)
    archive.commit(CELLS, now=T + later, delivery=sent("two", second=T + later))
    assert expected == known(archive, "one", "two")


def test_a_doubted_clock_does_not_expire_keys(archive: Archive) -> None:
    """A start in the year 2100 deletes neither samples nor keys."""
    archive.commit(CELLS, now=T, delivery=sent("one"))
    Archive(archive.path).commit(CELLS, now=4_102_444_800, delivery=sent("two", second=4_102_444_800))
    assert ["one", "two"] == known(archive, "one", "two")


def test_the_newest_keys_are_kept(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond KEPT_MAX + SPARE keys, the oldest ones are deleted."""
    monkeypatch.setattr(idempotency, "KEPT_MAX", 2)
    monkeypatch.setattr(idempotency, "SPARE", 1)
    keys = [str(number) for number in range(6)]
    for key in keys:
        archive.commit(CELLS, now=T, delivery=sent(key))
    assert keys[-3:] == known(archive, *keys)
    with schema.OpenArchive(archive.path) as connection:
        assert 3 == connection.execute("SELECT count(*) FROM deliveries").get


def test_a_backup_contains_the_receipts(archive: Archive, tmp_path: Path) -> None:
    """A restored copy does not store its deliveries again."""
    archive.commit(CELLS, now=T, delivery=sent("one"))
    archive.backup(tmp_path / "copy.db")
    copy = Archive(tmp_path / "copy.db")
    copy.commit(CELLS, now=T, delivery=sent("one"))
    assert archive.values() == copy.values()
