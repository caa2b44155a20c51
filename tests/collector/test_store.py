"""From a rollup to the archives."""

from pathlib import Path

import pytest

from tally.collector.store import WAITING_PART, Store, confirm_clock
from tally.engine import Archive, Catalog
from tally.engine.storing.capacity import UNBOUNDED, Capacity
from tally.engine.storing.native_rollup import new_rollup
from tally.engine.storing.spill import spill_path
from tally.lines.plain import Reason
from tests.engine.rights import open_directory, unprivileged
from tests.processes import started, wait_for

NOW = 1_700_000_000


class Collecting:
    """A store with the rollup that a collector would feed it from."""

    def __init__(self, directory: Path, *, max_names: int = 0, max_cells: int = UNBOUNDED) -> None:
        self.catalog = Catalog(directory, clock=lambda: NOW)
        self.store = Store(self.catalog, max_names=max_names, max_cells=max_cells)

    def begin(self, *, resolution: int | None = None) -> None:
        """Look at the archives and begin a rollup."""
        self.store.refresh()
        self.rollup = new_rollup(resolution or self.store.resolution(), max_future_s=60)

    def flush(self, *lines: str) -> None:
        """Flush some lines, and begin the next rollup as a collector does."""
        self.rollup.add([line.encode() for line in lines], NOW)
        self.store.flush(self.rollup, NOW)
        self.begin()

    def block(self, slug: str) -> None:
        """Keep samples from being spilled."""
        spill_path(self.catalog[slug].path).mkdir()

    def counts(self, slug: str) -> dict[str, int]:
        """Return what an archive holds: samples by name."""
        return self.catalog[slug].aggregate("count", by="name")


@pytest.fixture
def collecting(tmp_path: Path) -> Collecting:
    """A store on an empty directory."""
    found = Collecting(tmp_path)
    found.begin()
    return found


def test_a_start_by_a_wrong_clock_deletes_nothing_and_says_so(
    collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says once that the clock is doubted, and once that it is trusted again."""
    caplog.set_level("INFO")
    archive = collecting.catalog.create("daily", resolution=10, retention=1)
    archive.commit({NOW: {"a": (1, 1, 1, 1, None)}}, now=NOW)
    store = Store(collecting.catalog)
    for now in (4_102_444_800, 4_102_444_805, NOW + 5, NOW + 10):
        rollup = new_rollup(10)
        rollup.add([b"b 1"], now)
        store.flush(rollup, now)
    assert {"a": 1, "b": 4} == collecting.counts("daily")
    told = [text for text in caplog.messages if "clock" in text]
    assert 2 == len(told)
    assert "archive daily: by the system clock all data is past the retention" in told[0]
    assert "archive daily: the clock is trusted again" == told[1]


def test_each_archive_gets_what_matches_its_pattern(collecting: Collecting) -> None:
    """One line may go into several archives, and each counts what it stored."""
    collecting.catalog.create("all", resolution=10)
    collecting.catalog.create("gets", pattern="*.get.*", resolution=60)
    collecting.begin()
    collecting.flush("requests.get.index 1", "requests.post.index 2")
    assert {"requests.get.index": 1, "requests.post.index": 1} == collecting.counts("all")
    assert {"requests.get.index": 1} == collecting.counts("gets")
    assert [2, 1] == [account["stored"] for account in collecting.store.accounts().values()]


@pytest.mark.parametrize(("resolutions", "expected"), [([], 1), ([10], 10), ([10, 15], 5), ([300, 3600], 300)])
def test_samples_are_rolled_up_as_finely_as_all_archives_need(
    collecting: Collecting, resolutions: list[int], expected: int
) -> None:
    """The rollup's buckets make up those of every archive."""
    for resolution in resolutions:
        collecting.catalog.create(f"r{resolution}", resolution=resolution)
    collecting.store.refresh()
    assert expected == collecting.store.resolution()


def test_archives_appear_change_and_go_at_the_next_flush(collecting: Collecting) -> None:
    """Archives that are created, edited or deleted take effect at the next flush."""
    collecting.flush("a 1")
    collecting.catalog.create("new", resolution=1)
    collecting.flush("b 1")
    assert {"b": 1} == collecting.counts("new")
    collecting.catalog["new"].edit(pattern="c", resolution=20)
    collecting.flush("b 1", "c 1")
    assert {"b": 1, "c": 1} == collecting.counts("new")
    collecting.catalog.delete("new")
    collecting.flush("c 1")
    assert {} == collecting.store.accounts()
    assert [] == collecting.catalog.slugs()


def test_a_finer_archive_begins_with_the_next_rollup(collecting: Collecting) -> None:
    """Cells that are too coarse for a new archive are not stored in it."""
    collecting.catalog.create("coarse", resolution=10)
    collecting.begin()
    collecting.catalog.create("fine", resolution=4)
    collecting.flush("a 1")
    assert [{"a": 1}, {}] == [collecting.counts(slug) for slug in ("coarse", "fine")]
    collecting.flush("a 1")
    assert [{"a": 2}, {"a": 1}] == [collecting.counts(slug) for slug in ("coarse", "fine")]


def test_a_failing_archive_keeps_its_samples_and_the_others_go_on(
    collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    """While a file cannot be written its cells wait in memory, once each; the log tells when it began and ended."""
    for slug in ("good", "bad"):
        collecting.catalog.create(slug, resolution=10)
    collecting.begin()
    collecting.flush("a 1")
    collecting.block("bad")
    path = collecting.catalog["bad"].path
    content = path.read_bytes()
    path.write_bytes(b"garbage" * 1000)
    for _ in range(2):
        collecting.flush("a 1")
    account = collecting.store.accounts()["bad"]
    assert (1, 2) == (account["stored"], account["pending"])
    assert "file is not a database" in str(account["error"])
    assert b"garbage" * 1000 == path.read_bytes()
    path.write_bytes(content)
    collecting.flush("b 1")
    assert {"a": 3, "b": 1} == collecting.counts("bad") == collecting.counts("good")
    account = collecting.store.accounts()["bad"]
    assert (4, 0, "") == (account["stored"], account["pending"], account["error"])
    assert 1 == sum("bad" in text and "kept in memory" in text for text in caplog.messages)


def test_a_file_that_is_no_archive_gets_nothing_until_it_is_one(
    collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    """What it takes is unknown, so nothing is kept for it; this is said once."""
    path = collecting.catalog.directory / "other.db"
    path.write_bytes(b"garbage" * 1000)
    for _ in range(2):
        collecting.flush("a 1")
    told = f"{path}: is not a tally archive: file is not a database; "
    assert [f"{told}it gets no samples until it can be read"] == caplog.messages
    path.unlink()
    collecting.flush("a 1")
    collecting.catalog.create("other", resolution=10)
    collecting.flush("a 1")
    assert {"a": 1} == collecting.counts("other")


@pytest.mark.parametrize(("room", "dropped"), [(3, 0), (2, 10)])
def test_what_waits_is_bounded_and_what_is_dropped_is_counted(tmp_path: Path, room: int, dropped: int) -> None:
    """If too many cells wait, the oldest buckets are dropped, and their samples counted."""
    collecting = Collecting(tmp_path, max_cells=WAITING_PART * room)
    collecting.catalog.create("bad", resolution=10)
    collecting.begin()
    collecting.block("bad")
    path = collecting.catalog["bad"].path
    content = path.read_bytes()
    path.write_bytes(b"")
    collecting.flush(*[f"old 1 {NOW - 100}"] * 10, f"mid 1 {NOW - 50}", "new 1")
    account = collecting.store.accounts()["bad"]
    assert (dropped, 12 - dropped) == (account["dropped"], account["pending"])
    path.write_bytes(content)
    collecting.flush()
    assert 12 - dropped == sum(collecting.counts("bad").values())


@pytest.mark.parametrize(("room", "dropped"), [(3, 0), (2, 2)])
def test_one_bucket_alone_is_bounded(tmp_path: Path, room: int, dropped: int) -> None:
    """In a single bucket with too many names, the newest names are dropped and counted."""
    collecting = Collecting(tmp_path, max_cells=WAITING_PART * room)
    collecting.catalog.create("bad", resolution=10)
    collecting.begin()
    collecting.block("bad")
    path = collecting.catalog["bad"].path
    content = path.read_bytes()
    path.write_bytes(b"")
    collecting.flush("a 1", "b 1", "c 1", "c 1")
    account = collecting.store.accounts()["bad"]
    assert (dropped, 4 - dropped) == (account["dropped"], account["pending"])
    path.write_bytes(content)
    collecting.flush()
    assert dict.fromkeys("ab", 1) == {name: n for name, n in collecting.counts("bad").items() if name != "c"}
    assert 4 - dropped == collecting.store.accounts()["bad"]["stored"]


def test_archives_share_the_room_for_what_waits(tmp_path: Path) -> None:
    """The cells that wait for all archives together are limited."""
    collecting = Collecting(tmp_path, max_cells=WAITING_PART * 6)
    for slug in ("one", "two", "three"):
        collecting.catalog.create(slug, resolution=10)
    collecting.begin()
    for slug in ("one", "two", "three"):
        collecting.block(slug)
        collecting.catalog[slug].path.write_bytes(b"")
    collecting.flush(*(f"name{number} 1" for number in range(5)))
    accounts = collecting.store.accounts()
    assert [(2, 3)] * 3 == [(account["pending"], account["dropped"]) for account in accounts.values()]
    assert 6 == collecting.store.waiting_cells


def test_archives_whose_directory_is_gone_share_the_room_too(tmp_path: Path) -> None:
    """Archives that replace others do not raise the limit."""
    collecting = Collecting(tmp_path / "data", max_cells=WAITING_PART * 6)
    collecting.catalog.create("one", resolution=10)
    collecting.begin()
    collecting.catalog.directory.rename(tmp_path / "away")
    collecting.catalog.create("two", resolution=10)
    collecting.begin()
    collecting.block("two")
    collecting.catalog["two"].path.write_bytes(b"")
    collecting.flush(*(f"name{number} 1" for number in range(5)))
    assert [3, 3] == [account["pending"] for account in collecting.store.accounts().values()]
    assert 6 == collecting.store.waiting_cells


@pytest.mark.parametrize(
    ("max_names", "free", "admitted"),
    [(3, 2, ["a", "b", "c"]), (4, 2, ["a", "b", "c", "new"]), (0, 2, "all"), (3, 5, "all")],
)
def test_after_a_flood_archives_tell_whom_there_is_room_for(
    tmp_path: Path, max_names: int, free: int, admitted: list[str] | str
) -> None:
    """When a rollup had as many cells as are free for all, the next ones take names that archives have, or want yet."""
    collecting = Collecting(tmp_path, max_names=max_names)
    collecting.catalog.create("all", resolution=10)
    collecting.begin()
    collecting.rollup.capacity = Capacity(100, free)
    collecting.flush("a 1", "b 1", "c 1")
    names = ["a", "b", "c", "new", "newer"]
    assert (names if admitted == "all" else admitted) == [name for name in names if collecting.store.admits(name)]
    collecting.flush("a 1")
    assert collecting.store.admits("newer")


def test_names_in_flight_have_their_places(tmp_path: Path) -> None:
    """While names are being committed, they are admitted, and new names only up to the remaining places."""
    collecting = Collecting(tmp_path, max_names=3)
    collecting.catalog.create("all", resolution=10)
    collecting.begin()
    admission = collecting.store._new_admission(
        {NOW: {"a": (1, 1, 1, 1, None)}, NOW + 10: {"a": (1, 1, 1, 1, None), "b": (1, 1, 1, 1, None)}}
    )
    assert admission
    assert ["a", "b", "new"] == [name for name in ("a", "b", "new", "newer") if admission.admits(name)]


def test_a_large_flush_is_no_failure(tmp_path: Path) -> None:
    """The limit applies to cells that wait for the next flush. Any number can be written at once."""
    collecting = Collecting(tmp_path, max_cells=WAITING_PART * 2)
    collecting.catalog.create("good", resolution=10)
    collecting.begin()
    collecting.flush(f"old 1 {NOW - 100}", f"mid 1 {NOW - 50}", "new 1", "newer 1")
    assert (4, 0) == tuple(collecting.store.accounts()["good"][key] for key in ("stored", "dropped"))


def test_what_waits_for_an_archive_that_goes_is_counted(
    collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    """Samples that wait for an archive whose file is deleted are dropped, once, and stay in the books."""
    collecting.catalog.create("bad", resolution=10)
    collecting.begin()
    collecting.block("bad")
    path = collecting.catalog["bad"].path
    content = path.read_bytes()
    path.write_bytes(b"")
    collecting.flush("a 1", "a 1", "b 1")
    path.unlink()
    spill_path(path).rmdir()
    for _ in range(2):
        collecting.flush("a 1")
    account = collecting.store.accounts()["bad"]
    assert (3, 0, "there is no such archive") == (account["dropped"], account["pending"], account["error"])
    assert ["archive bad was deleted: dropped 3 uncommitted samples"] == [
        text for text in caplog.messages if "was deleted" in text
    ]
    path.write_bytes(content)
    collecting.flush("c 1")
    collecting.flush("c 1")
    account = collecting.store.accounts()["bad"]
    assert (3, "") == (account["dropped"], account["error"])
    assert {"c": account["stored"]} == collecting.counts("bad")


def test_a_directory_that_cannot_be_read_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """While the data directory is inaccessible, samples are kept, and stored afterwards."""
    with open_directory() as directory:
        collecting = Collecting(directory)
        collecting.catalog.create("daily", resolution=10)
        collecting.catalog["daily"].path.chmod(0o666)
        collecting.begin()
        with unprivileged(directory, 0o000):
            for _ in range(2):
                collecting.flush("a 1")
            assert 2 == collecting.store.accounts()["daily"]["pending"]
        collecting.flush("a 1")
        assert {"a": 3} == collecting.counts("daily")
    assert 1 == sum("samples are kept in memory until it is back" in text for text in caplog.messages)


def test_a_disabled_archive_takes_nothing(collecting: Collecting) -> None:
    """A disabled archive gets no samples until it is enabled again."""
    archive = collecting.catalog.create("off", resolution=10, enabled=False)
    collecting.begin()
    collecting.flush("a 1")
    archive.edit(enabled=True)
    collecting.flush("b 1")
    assert {"b": 1} == collecting.counts("off")
    assert "" == collecting.store.accounts()["off"]["error"]


def test_what_waits_for_an_archive_that_is_disabled_is_dropped_and_counted(collecting: Collecting) -> None:
    """Samples that could not be written before their archive was disabled are counted as dropped."""
    archive = collecting.catalog.create("off", resolution=10)
    collecting.begin()
    collecting.block("off")
    content = archive.path.read_bytes()
    archive.path.write_bytes(b"")
    collecting.flush("a 1", "b 1")
    archive.path.write_bytes(content)
    archive.edit(enabled=False)
    collecting.flush("c 1")
    account = collecting.store.accounts()["off"]
    assert (2, 0) == (account["dropped"], account["pending"])


def test_expired_and_surplus_samples_are_counted_where_they_are_refused(tmp_path: Path) -> None:
    """Retention and the limit of names apply to each archive separately."""
    collecting = Collecting(tmp_path, max_names=2)
    collecting.catalog.create("hour", resolution=10, retention=1)
    collecting.catalog.create("ever", resolution=10, retention=0)
    collecting.begin()
    collecting.flush(f"a 1 {NOW - 3600}", f"a 1 {NOW - 3611}", "b 1", "c 1")
    hour, ever = (collecting.store.accounts()[slug] for slug in ("hour", "ever"))
    assert (2, 1, 1) == (hour["stored"], hour["expired"], hour["cardinality"])
    assert (3, 0, 1) == (ever["stored"], ever["expired"], ever["cardinality"])


@pytest.mark.parametrize(("pattern", "unmatched"), [("a", 3), ("[ab]", 2), ("*", 0)])
def test_samples_that_match_no_archive_are_counted(collecting: Collecting, pattern: str, unmatched: int) -> None:
    """A sample that no enabled archive keeps is unmatched, with its name as an example."""
    collecting.catalog.create("some", resolution=10, pattern=pattern)
    collecting.catalog.create("off", resolution=10, enabled=False)
    collecting.begin()
    batch = collecting.rollup
    collecting.flush("a 1", "b 1", "c:1|c|@0.5")
    assert unmatched == batch.rejected[Reason.UNMATCHED]
    assert (batch.examples.get("unmatched") in (b"b", b"c")) == (unmatched > 0)


def test_without_an_archive_all_is_unmatched(collecting: Collecting) -> None:
    """In an empty directory, every sample is unmatched."""
    batch = collecting.rollup
    collecting.flush("a 1", f"b 1 {NOW - 60}")
    assert {"unmatched": 2} == batch.rejected


def test_what_a_finer_archive_could_not_take_is_counted(collecting: Collecting) -> None:
    """Samples in cells that are too coarse for the only matching archive are unmatched."""
    collecting.catalog.create("coarse", resolution=10, pattern="x")
    collecting.begin()
    batch = collecting.rollup
    collecting.catalog.create("fine", resolution=4)
    collecting.flush("a 1")
    assert {"unmatched": 1} == batch.rejected


OLD = 1_700_000_000


@pytest.fixture
def old_archive(tmp_path: Path) -> Archive:
    """Return an archive that was not written for longer than its retention."""
    made = Catalog(tmp_path, clock=lambda: OLD).create("daily", resolution=10, retention=1)
    made.record([("a", 1, OLD)])
    return made


def test_the_clock_is_confirmed_for_all_archives(old_archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    """An archive that cannot be written is logged; the others expire."""
    caplog.set_level("INFO")
    (old_archive.path.parent / "broken.db").write_bytes(b"no database" * 1000)
    confirm_clock(old_archive.path.parent)
    assert "broken.db" in caplog.messages[0]
    assert "the clock is right" in caplog.messages[1]
    assert not Archive(old_archive.path).commit({}, now=OLD + 7200).is_doubted


@pytest.mark.parametrize("command", ["serve", "collect"])
def test_a_start_with_clock_is_right_expires_at_once(old_archive: Archive, command: str) -> None:
    """Without --clock-is-right, old buckets are kept for a day, and the log names the option."""
    directory = old_archive.path.parent
    with started(directory, command, TALLY_FLUSH_TIME=0.05) as running:
        running.said("archive daily: .* past the retention.*--clock-is-right")
        assert {"a": 1} == old_archive.aggregate("count", by="name")
    with started(directory, command, "--clock-is-right", TALLY_FLUSH_TIME=0.05) as running:
        running.said("the clock is right")
        wait_for(lambda: not old_archive.names(), "expiry")
