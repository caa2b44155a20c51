"""Spill files: every record is replayed exactly once, even if processes are killed."""

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tally.engine.storing import spill
from tally.engine.storing.idempotency import Delivery
from tally.engine.storing.merging import Cells
from tally.engine.storing.spill import (
    HEADER,
    SPILL_MAX_BYTES,
    Batch,
    WaitingCounts,
    append,
    count_waiting,
    delete,
    replay,
    retry_for,
    spill_path,
)
from tally.errors import ArchiveUnavailable, SpillUnusable

NOW = 1_700_000_000
CELL = (1.0, 2.5, 2.5, 2.5, None)
NO_WAIT = retry_for(0.0)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive in buckets of ten seconds."""
    return Catalog(tmp_path, clock=lambda: NOW).create("daily", resolution=10, retention=1)


def cells(*names: str, bucket: int = NOW) -> Cells:
    """Return a cell for each name."""
    return {bucket: dict.fromkeys(names, CELL)}


def counts(archive: Archive) -> dict[str, int]:
    """Return the number of samples by name."""
    return dict(archive.aggregate("count", by="name"))


def replay_all(archive: Archive, *, max_names: int = 0) -> list[spill.Replayed]:
    """Replay all spilled records."""
    return list(replay(archive, now=NOW, max_names=max_names))


def test_spilled_samples_are_replayed_once(archive: Archive) -> None:
    """Cells are unchanged, with any names and floats, and the file is removed."""
    exact: Cells = {
        NOW: {"é\u2028;tag=x": (3, 0.1 + 0.2, -1e100, 1e100, None)},
        NOW - 20: {"b": (2, 1.0, 0.5, 0.5, None)},
    }
    append(archive.path, Batch(exact, 10))
    append(archive.path, Batch(cells("a"), 5))
    assert WaitingCounts(6, 0) == count_waiting(archive.path)
    assert [5, 1] == [taken.samples for taken in replay_all(archive)]
    cell = archive.values()["é\u2028;tag=x"][NOW]
    assert (3, 0.1 + 0.2, -1e100, 1e100) == tuple(cell[key] for key in ("count", "sum", "min", "max"))
    assert {"a": 1, "b": 2, "é\u2028;tag=x": 3} == counts(archive)
    assert not spill_path(archive.path).exists()
    assert [] == replay_all(archive)
    assert set() == archive.replayed_keys()


@pytest.mark.parametrize("after", range(3))
def test_an_interrupted_replay_continues(archive: Archive, after: int) -> None:
    """Committed records are not committed again."""
    for name in "abc":
        append(archive.path, Batch(cells(name), 10))
    before = spill_path(archive.path).read_bytes()
    for _, _taken in zip(range(after), replay(archive, now=NOW), strict=False):
        pass
    assert before == spill_path(archive.path).read_bytes()
    assert 3 - after == len(replay_all(archive))
    assert dict.fromkeys("abc", 1) == counts(archive)


def test_a_kill_before_the_file_is_removed(archive: Archive) -> None:
    """The next replay only removes the file."""
    append(archive.path, Batch(cells("a"), 10))
    content = spill_path(archive.path).read_bytes()
    key = f"spilled {content.split()[4].decode()}"
    archive.commit(cells("a"), now=NOW, delivery=Delivery(key, b"", NOW))
    assert [] == replay_all(archive)
    assert {"a": 1} == counts(archive)
    assert not spill_path(archive.path).exists()


def test_the_ids_of_spilled_records_outlive_other_deliveries(archive: Archive) -> None:
    """A record's id is kept as long as its file exists."""
    archive.edit(retention=0)
    append(archive.path, Batch(cells("a"), 10))
    append(archive.path, Batch(cells("b"), 7))
    with pytest.raises(SpillUnusable):
        replay_all(archive)
    for number in range(3):
        second = NOW + number * 10**6
        archive.commit({}, now=second, delivery=Delivery(f"key{number}", b"x", second))
    assert 1 == len(archive.replayed_keys())
    with pytest.raises(SpillUnusable):
        replay_all(archive)
    assert {"a": 1} == counts(archive)


@pytest.mark.parametrize("cut", [2, 10, 50, 75])
def test_an_incomplete_last_record(archive: Archive, cut: int) -> None:
    """It is counted as broken, and later records are not affected."""
    append(archive.path, Batch(cells("a"), 10))
    append(archive.path, Batch(cells("b", "c"), 10))
    path = spill_path(archive.path)
    path.write_bytes(path.read_bytes()[:-cut])
    append(archive.path, Batch(cells("d"), 10))
    assert WaitingCounts(2, 1) == count_waiting(archive.path)
    taken = replay_all(archive)
    assert [False, False, True] == [each.outcome is None for each in taken]
    assert (2 if cut < 60 else 0) == taken[-1].samples
    assert {"a": 1, "d": 1} == counts(archive)
    assert not path.exists()


def test_damage_is_detected(archive: Archive) -> None:
    """If a byte changes, a record is committed unchanged or is counted as broken."""
    chances = random.Random("spill-1")
    path = spill_path(archive.path)
    for _ in range(20):
        for name in "abc":
            append(archive.path, Batch(cells(name), 10))
        content = bytearray(path.read_bytes())
        at = chances.randrange(len(spill.HEADER), len(content))
        content[at] ^= 1 << chances.randrange(8)
        path.write_bytes(content)
        before = counts(archive)
        taken = replay_all(archive)
        stored = sum(each.outcome.stored for each in taken if each.outcome)
        broken = sum(each.outcome is None for each in taken)
        added = {name: counts(archive).get(name, 0) - before.get(name, 0) for name in "abc"}
        assert (2, {"a", "b", "c"}) >= (stored, set(counts(archive))), f"byte {at}"
        assert 1 <= broken <= 2, f"byte {at}"
        assert stored == sum(added.values()), f"byte {at}"


def test_replay_applies_retention_and_the_name_limit(archive: Archive) -> None:
    """Old samples and new names beyond the limit are counted as in any commit."""
    append(archive.path, Batch(cells("a", "b"), 10))
    append(archive.path, Batch(cells("old", bucket=NOW - 7200), 10))
    first, second = (each.outcome for each in replay_all(archive, max_names=1))
    assert first is not None
    assert second is not None
    assert (1, 1, 1) == (first.stored, first.cardinality, second.expired)


def test_records_of_another_resolution_stay(archive: Archive) -> None:
    """They stay in the file, and the others are replayed once."""
    append(archive.path, Batch(cells("a"), 10))
    append(archive.path, Batch(cells("b"), 7))
    for _ in range(2):
        with pytest.raises(SpillUnusable, match="1 samples stay in the file"):
            replay_all(archive)
    assert {"a": 1} == counts(archive)
    archive.edit(resolution=70)
    assert 1 == len(replay_all(archive))
    assert {"a": 1, "b": 1} == counts(archive)


@pytest.mark.parametrize("begun", [0, 1, len(HEADER) - 1])
def test_an_incomplete_header(archive: Archive, begun: int) -> None:
    """A file whose writer was killed early has no samples and does not block others."""
    spilled = spill_path(archive.path)
    spilled.write_bytes(HEADER[:begun])
    assert WaitingCounts(0, 0) == count_waiting(archive.path)
    replay_all(archive)
    assert not spilled.exists()
    spilled.write_bytes(HEADER[:begun])
    append(archive.path, Batch(cells("a"), 10))
    assert WaitingCounts(1, 0) == count_waiting(archive.path)
    replay_all(archive)
    assert {"a": 1} == counts(archive)


@pytest.mark.parametrize("content", [b"something else\n", b"tally spill 2\n"])
def test_a_foreign_file_is_not_changed(archive: Archive, content: bytes) -> None:
    """A file of another program or a newer version is neither written nor removed."""
    path = spill_path(archive.path)
    path.write_bytes(content)
    with pytest.raises(SpillUnusable, match="not a spill file"):
        append(archive.path, Batch(cells("a"), 10))
    with pytest.raises(SpillUnusable, match="not a spill file"):
        replay_all(archive)
    assert content == path.read_bytes()


def test_an_entry_that_is_not_a_file(archive: Archive, tmp_path: Path) -> None:
    """A directory, a FIFO or a link is an error and does not block."""
    path = spill_path(archive.path)
    made: list[Callable[[], None]] = [
        path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to(tmp_path / "elsewhere")
    ]  # fmt: skip
    for make in made:
        make()
        with pytest.raises(ArchiveUnavailable):
            append(archive.path, Batch(cells("a"), 10))
        with pytest.raises(ArchiveUnavailable):
            replay_all(archive)
        path.rmdir() if path.is_dir() else path.unlink()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("records", [0, 1])
def test_a_full_disk_leaves_the_file_unchanged(archive: Archive, monkeypatch: pytest.MonkeyPatch, records: int) -> None:
    """No part of the record and no empty file is left."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    for _ in range(records):
        append(archive.path, Batch(cells("a"), 10))
    path = spill_path(archive.path)
    before = path.read_bytes() if records else None
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ArchiveUnavailable, match="No space left"):
            append(archive.path, Batch(cells("b"), 10))
    assert before == (path.read_bytes() if path.exists() else None)
    append(archive.path, Batch(cells("b"), 10))
    replay_all(archive)
    assert {"a": records, "b": 1} == {"a": 0, **counts(archive)}


@pytest.mark.parametrize(("room", "fits"), [(1000, True), (150, False)])
def test_a_file_is_bounded(archive: Archive, monkeypatch: pytest.MonkeyPatch, room: int, fits: bool) -> None:
    """A record that would exceed SPILL_MAX_BYTES is rejected."""
    assert SPILL_MAX_BYTES == 2**30
    monkeypatch.setattr(spill, "SPILL_MAX_BYTES", room)
    append(archive.path, Batch(cells("a"), 10))
    if fits:
        append(archive.path, Batch(cells("b"), 10))
        return
    with pytest.raises(ArchiveUnavailable, match="is full"):
        append(archive.path, Batch(cells("b"), 10))


def test_replay_stores_the_idempotency_key(archive: Archive) -> None:
    """A body that was spilled twice counts once, and a retry finds its receipt."""
    first, second = (Delivery(f"key{number}", b"digest", NOW) for number in range(2))
    for delivery in (first, first, second):
        append(archive.path, Batch(cells(delivery.key), 10, delivery))
    archive.commit(cells(second.key), now=NOW, delivery=second)
    replay_all(archive)
    archive.commit(cells(first.key), now=NOW, delivery=first)
    assert {"key0": 1, "key1": 1} == counts(archive)
    receipt = archive.receipt(first)
    assert receipt is not None
    assert 1 == receipt.outcome.stored


def test_a_reused_key_loses_nothing(archive: Archive) -> None:
    """Samples whose key was used again are still replayed."""
    append(archive.path, Batch(cells("a"), 10, Delivery("key", b"one", NOW)))
    archive.commit(cells("b"), now=NOW, delivery=Delivery("key", b"other", NOW))
    replay_all(archive)
    assert {"a": 1, "b": 1} == counts(archive)


def test_an_unknown_pattern_is_applied_at_replay(archive: Archive) -> None:
    """Only matching samples are stored."""
    archive.edit(pattern="a*")
    append(archive.path, Batch(cells("a1", "b"), 1, is_selected=False))
    append(archive.path, Batch(cells("b"), 10))
    replay_all(archive)
    assert {"a1": 1, "b": 1} == counts(archive)


def test_one_at_a_time(archive: Archive) -> None:
    """During a replay no record is appended; a waiting writer uses a new file afterwards."""
    append(archive.path, Batch(cells("a"), 10))
    taking = replay(archive, now=NOW)
    next(taking)
    with pytest.raises(ArchiveUnavailable, match="is locked by another process"):
        append(archive.path, Batch(cells("b"), 10), wait=NO_WAIT)
    waiter = threading.Thread(target=append, args=(archive.path, Batch(cells("b"), 10)))
    waiter.start()
    assert [] == list(taking)
    waiter.join()
    assert WaitingCounts(1, 0) == count_waiting(archive.path)
    replay_all(archive)
    assert {"a": 1, "b": 1} == counts(archive)


def test_concurrent_appends_and_replays(archive: Archive) -> None:
    """No sample is lost or counted twice."""
    records, writers = 15, 3
    done = threading.Event()

    def write(writer: int) -> None:
        for number in range(records):
            append(archive.path, Batch(cells(f"w{writer}.{number}"), 10))

    def take() -> None:
        while not done.is_set() or spill_path(archive.path).exists():
            for _taken in replay(archive, now=NOW):
                pass

    writing = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    taking = [threading.Thread(target=take) for _ in range(2)]
    for thread in (*writing, *taking):
        thread.start()
    for thread in writing:
        thread.join()
    done.set()
    for thread in taking:
        thread.join()
    assert {f"w{writer}.{number}": 1 for writer in range(writers) for number in range(records)} == counts(archive)


def test_deleting_an_archive_deletes_its_spill_file(archive: Archive, tmp_path: Path) -> None:
    """A new archive of the same slug does not get the samples."""
    append(archive.path, Batch(cells("a"), 10))
    Catalog(tmp_path).delete("daily")
    assert not spill_path(archive.path).exists()
    delete(archive.path)
    assert count_waiting(archive.path) is None
