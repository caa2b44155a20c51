"""One archive as a collector writes it, while it can be written and while it cannot."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from tally.collector import archive_writer as module
from tally.collector.archive_writer import BUSY_WAIT_S, END_WAIT_S, ArchiveWriter, LockWait
from tally.engine import Archive, Catalog
from tally.engine.files import damage_marks
from tally.engine.storing import merging, spill
from tally.engine.storing.merging import Cells
from tally.engine.storing.rollup import Rollup
from tally.engine.storing.spill import Batch, WaitingCounts, count_waiting, spill_path
from tests.collector.test_store import Collecting

NOW = 1_700_000_000
CELL = (1.0, 1.0, 1.0, 1.0, None)


@contextmanager
def locked(archive: Archive) -> Iterator[None]:
    """Hold the write lock of an archive as another program may."""
    with closing(apsw.Connection(str(archive.path))) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class Clock:
    """A clock that moves when somebody waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("time.sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def measure(self, wait: LockWait) -> float:
        """Return for how long it waits for a lock that is never let go."""
        began, tries = self.now, 0
        while wait(tries):
            tries += 1
        return self.now - began


@pytest.fixture
def collecting(tmp_path: Path) -> Collecting:
    """A store with an archive, which waits for nobody."""
    found = Collecting(tmp_path)
    found.catalog.create("daily", resolution=10)
    found.begin()
    found.store.shorten_waits()
    found.store._lock_wait._end = 0.0
    return found


@pytest.mark.parametrize(
    ("properties", "line"),
    [
        ({"resolution": 10}, "late: 10 s buckets, kept 24 h, all metrics"),
        ({"retention": 0}, "late: 5 s buckets, kept for ever, all metrics"),
        ({"pattern": "requests.*"}, "late: 5 s buckets, kept 24 h, metrics matching requests.*"),
        ({"enabled": False}, "late: 5 s buckets, kept 24 h, all metrics, disabled"),
    ],
)
def test_an_archive_is_described_when_it_is_first_seen(
    properties: dict[str, object], line: str, collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says once what an archive takes, and for how long it keeps it."""
    caplog.set_level("INFO")
    collecting.catalog.create("late", **properties)
    for _ in range(2):
        collecting.flush("a 1")
    assert [line] == [message for message in caplog.messages if message.startswith("late")]


def account(collecting: Collecting, *keys: str) -> tuple[object, ...]:
    """Return what the books say of the archive."""
    return tuple(collecting.store.accounts()["daily"][key] for key in keys)


def test_a_locked_archive_spills_and_takes_up(collecting: Collecting, caplog: pytest.LogCaptureFixture) -> None:
    """While another program holds the lock, samples are spilled. Afterwards they are stored once, and logged."""
    caplog.set_level("INFO")
    archive = collecting.catalog["daily"]
    with locked(archive):
        collecting.flush("a 1", "b 1")
        assert (2, 0, 0) == account(collecting, "spilled", "pending", "stored")
        collecting.flush("a 1")
        assert WaitingCounts(3, 0) == count_waiting(archive.path)
    collecting.flush("c 1")
    assert {"a": 2, "b": 1, "c": 1} == collecting.counts("daily")
    assert (3, 3, 4, 0, "") == account(collecting, "spilled", "taken_up", "stored", "dropped", "error")
    assert not spill_path(archive.path).exists()
    told = [text.partition("; ")[2] or text for text in caplog.messages]
    assert [
        "its samples are spilled to daily.spill until it can be written",
        "archive daily can be written again",
        "archive daily took up 3 spilled samples",
    ] == told


def test_a_damaged_archive_is_not_written_and_spills(collecting: Collecting) -> None:
    """Samples for a damaged archive are spilled, and stored once when it has been restored."""
    archive = collecting.catalog["daily"]
    collecting.flush("a 1")
    copy = collecting.catalog.directory / "copy"
    archive.backup(copy)
    damage_marks.mark(archive.path, "found by a test")
    content = archive.path.read_bytes()
    for _ in range(3):
        collecting.flush("a 1")
    assert content == archive.path.read_bytes()
    assert (3, 1, 0) == account(collecting, "spilled", "stored", "pending")
    collecting.catalog.restore(copy, "daily", replace=True)
    collecting.flush("b 1")
    collecting.flush()
    assert {"a": 4, "b": 1} == collecting.counts("daily")
    assert (3, 5, "") == account(collecting, "taken_up", "stored", "error")


def test_an_archive_that_is_damaged_from_the_start_spills_all(tmp_path: Path) -> None:
    """If the definition is unreadable, all samples are spilled. Pattern and buckets apply after the restore."""
    catalog = Catalog(tmp_path, clock=lambda: NOW)
    archive = catalog.create("daily", resolution=10, pattern="a*")
    catalog.create("coarse", resolution=60, pattern="b")
    copy = tmp_path / "copy"
    archive.backup(copy)
    with archive.path.open("r+b") as file:
        file.truncate(5000)
    collecting = Collecting(tmp_path)
    collecting.begin()
    collecting.flush("a1 1", f"a1 1 {NOW - 1}", "b 1")
    assert (3, 0) == account(collecting, "spilled", "pending")
    catalog.restore(copy, "daily", replace=True)
    collecting.flush("a1 1")
    collecting.flush("a1 1")
    assert {NOW - 10: 1, NOW: 3} == archive.aggregate("count")
    assert {"b": 1} == collecting.counts("coarse")


def test_what_came_for_an_archive_before_another_one_took_its_place_is_counted(collecting: Collecting) -> None:
    """Samples whose buckets do not fit the new archive are dropped, and later ones are stored."""
    other = Catalog(collecting.catalog.directory / "other").create("daily", resolution=7)
    batch = collecting.rollup
    batch.add([b"a 1\na 1"], NOW)
    other.path.rename(collecting.catalog["daily"].path)
    collecting.store.flush(batch, NOW)
    assert {} == batch.rejected
    assert (2, 0) == account(collecting, "dropped", "stored")
    collecting.begin()
    collecting.flush("a 1")
    assert {"a": 1} == collecting.counts("daily")


def test_what_can_be_neither_written_nor_spilled_is_kept_and_given_up_at_the_end(collecting: Collecting) -> None:
    """Samples wait in memory, and are counted as dropped at the end, with both reasons."""
    archive = collecting.catalog["daily"]
    collecting.block("daily")
    with locked(archive):
        collecting.flush("a 1", "b 1")
        assert (0, 2) == account(collecting, "spilled", "pending")
        lost = collecting.store.spill_or_drop()
    [(count, why)] = lost.values()
    assert 2 == count
    assert "database is locked" in why
    assert "daily.spill" in why
    assert (2, 0) == account(collecting, "dropped", "pending")


def test_what_is_kept_in_memory_is_spilled_at_the_end_where_it_can_be(collecting: Collecting) -> None:
    """A spill file that could not be written at the last flush is tried again."""
    archive = collecting.catalog["daily"]
    collecting.block("daily")
    with locked(archive):
        collecting.flush("a 1", "b 1")
        spill_path(archive.path).rmdir()
        assert {} == collecting.store.spill_or_drop()
    assert WaitingCounts(2, 0) == count_waiting(archive.path)


def test_a_part_of_what_waits_is_spilled_where_there_is_space_for_no_more(
    collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record counts by itself: what did not fit is kept, and nothing is both kept and spilled."""
    monkeypatch.setattr(spill, "RECORD_CELLS", 2)
    monkeypatch.setattr(spill, "SPILL_MAX_BYTES", 300)
    with locked(collecting.catalog["daily"]):
        collecting.flush(*[f"name{number} 1" for number in range(7)])
    spilled, pending = account(collecting, "spilled", "pending")
    found = count_waiting(collecting.catalog["daily"].path)
    assert found is not None
    assert (7, spilled) == (int(str(spilled)) + int(str(pending)), found.samples)
    assert 0 < found.samples < 7
    collecting.flush()
    assert {f"name{number}": 1 for number in range(7)} == collecting.counts("daily")


def test_a_spill_that_does_not_fit_is_told_once_and_stays(
    collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    """When another archive has come, what it cannot take stays in the file, and the books and the log tell."""
    archive = collecting.catalog["daily"]
    spill.append(archive.path, Batch({NOW: {"a": CELL}}, 7))
    for _ in range(3):
        collecting.flush("b 1")
    assert {"b": 3} == collecting.counts("daily")
    assert 1 == sum("stay in the file" in text for text in caplog.messages)
    assert "stay in the file" in str(account(collecting, "error")[0])
    spill.delete(archive.path)
    collecting.flush()
    assert ("",) == account(collecting, "error")


def test_a_torn_record_is_counted_as_dropped(collecting: Collecting, caplog: pytest.LogCaptureFixture) -> None:
    """A record that a killed collector did not complete is logged with its number of samples."""
    archive = collecting.catalog["daily"]
    spill.append(archive.path, Batch({NOW: {"a": CELL, "b": CELL}}, 10))
    path = spill_path(archive.path)
    path.write_bytes(path.read_bytes()[:-3])
    collecting.flush()
    assert (2, 2, 0) == account(collecting, "taken_up", "dropped", "stored")
    assert "daily.spill: dropped a record with a wrong checksum, of about 2 samples" in caplog.messages


def test_an_archive_that_was_deleted_a_moment_ago_gets_no_spill_file(
    collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples for an archive that goes between a look and its commit leave no file behind."""
    archive = collecting.catalog["daily"]
    monkeypatch.setattr(ArchiveWriter, "refresh", lambda _writer: archive.path.unlink(missing_ok=True))
    collecting.flush("a 1")
    assert [] == list(collecting.catalog.directory.iterdir())


def test_out_of_memory_spills_too(collecting: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a commit runs out of memory, the samples are spilled."""

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "merge", fail)
        collecting.flush("a 1")
    assert (1, 0) == account(collecting, "spilled", "pending")


def test_a_merge_that_runs_out_of_memory_counts_what_is_lost(
    collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not merged when memory ended is dropped and counted; what was, is stored."""

    def merge_some(target: Cells, cells: Cells, resolution: int, **_: object) -> None:
        merging.merge(target, {bucket: {"a": row["a"]} for bucket, row in cells.items()}, resolution)
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(module, "merging", SimpleNamespace(merge=merge_some, count=merging.count))
        collecting.flush("a 1", "b 1", "c 1")
    assert (2, 1) == account(collecting, "dropped", "stored")


def test_a_batch_that_there_is_no_memory_to_take_is_taken_by_the_next_flush(
    collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines are count_unread_lines only as long as that fails, and are stored once."""

    def fail(_rollup: Rollup) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(Rollup, "take", fail)
        with pytest.raises(MemoryError):
            collecting.flush("a 1", "b 1")
    assert 2 == collecting.store.count_unread_lines()
    collecting.begin()
    collecting.flush("a 1")
    assert {"a": 2, "b": 1} == collecting.counts("daily")
    assert 0 == collecting.store.count_unread_lines()


def test_wait_is_bounded_each_time_and_at_the_end_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for a lock is limited, and after the end has begun the wait for all locks together."""
    clock = Clock(monkeypatch)
    wait = LockWait(lambda: clock.now)
    for _ in range(2):
        assert BUSY_WAIT_S == pytest.approx(clock.measure(wait))
    wait.shorten()
    assert END_WAIT_S == pytest.approx(clock.measure(wait))
    assert 0 == clock.measure(wait)


def test_a_wait_under_way_ends_with_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush that waits for a lock when the signal comes does not wait for ten seconds more."""
    clock = Clock(monkeypatch)
    wait = LockWait(lambda: clock.now)
    assert wait(0)
    wait.shorten()
    began, tries = clock.now, 1
    while wait(tries):
        tries += 1
    assert END_WAIT_S == pytest.approx(clock.now - began)


def test_a_data_directory_that_goes_away_keeps_its_samples(
    collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is renamed samples wait in memory and no counter falls; when it is back they are stored, once."""
    directory = collecting.catalog.directory
    away = directory.with_name(f"{directory.name}-away")
    collecting.flush("a 1")
    directory.rename(away)
    for number in range(1, 4):
        collecting.flush("a 1")
        assert (1, number) == account(collecting, "stored", "pending")
    away.rename(directory)
    collecting.flush("a 1")
    assert {"a": 5} == collecting.counts("daily")
    assert (5, 0, 0, "") == account(collecting, "stored", "pending", "dropped", "error")
    assert 1 == sum("the data directory is gone" in text for text in caplog.messages)


def test_another_directory_in_its_place_is_told_and_samples_are_kept(
    collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty directory at the same path is none in which the archive was deleted; the old one may come back."""
    directory = collecting.catalog.directory
    away = directory.with_name(f"{directory.name}-away")
    collecting.flush("a 1")
    directory.rename(away)
    directory.mkdir()
    for _ in range(2):
        collecting.flush("a 1")
    assert (1, 2, 0) == account(collecting, "stored", "pending", "dropped")
    assert [] == list(directory.iterdir())
    told = "was replaced by another directory; samples are kept in memory for archives missing from it: daily"
    assert 1 == sum(told in text for text in caplog.messages)
    shutil.rmtree(directory)
    away.rename(directory)
    collecting.flush("a 1")
    assert {"a": 4} == collecting.counts("daily")


def test_a_directory_that_is_mounted_late_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The archives of a new directory are written from then on, and the deleted ones are logged."""
    directory = tmp_path / "data"
    collecting = Collecting(directory)
    collecting.catalog.create("under", resolution=10)
    collecting.begin()
    collecting.flush("a 1")
    mounted = tmp_path / "mounted"
    Catalog(mounted).create("daily", resolution=10)
    directory.rename(tmp_path / "under")
    mounted.rename(directory)
    collecting.flush("a 1")
    collecting.flush("a 1")
    assert 2 == collecting.counts("daily")["a"]
    assert 2 == collecting.store.accounts()["under"]["pending"]
    assert 1 == sum("missing from it: under" in text for text in caplog.messages)
