"""Commits: merging, expiry, names and sealing; and changes of the resolution."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tally.engine import Archive, Catalog, Outcome
from tally.engine.files import statements
from tally.engine.storing import commit
from tally.errors import ArchiveUnavailable, InvalidDefinition
from tests.engine.model import check_file, confirm_clock, recomputed, rolled_up, row_count

HOUR_S = 3600
NOW = 1_000_000_800
Create = Callable[..., Archive]


@pytest.fixture
def create(tmp_path: Path) -> Create:
    """Create an archive with buckets of 10 s, by default kept forever."""
    catalog = Catalog(tmp_path)

    def make(slug: str = "x", **properties: Any) -> Archive:
        return catalog.create(slug, **{"resolution": 10, "retention": 0, **properties})

    return make


def fill(archive: Archive, buckets: range, names: int = 1, *, now: float | None = None) -> Outcome:
    """Commit one sample of 0.5 for each bucket and name, by default while the last bucket is open."""
    samples = [(f"name{number}", 0.5, bucket) for bucket in buckets for number in range(names)]
    return archive.commit(rolled_up(samples), now=buckets[-1] if now is None else now)


def test_merge(create: Create) -> None:
    """Cells of the same bucket and name merge exactly, within a commit and with stored rows."""
    archive = create()
    samples = [("a", 0.25, 1000), ("a", 4.5, 1009), ("b", -1.0, 1005), ("a", -0.5, 1010)]
    archive.commit(rolled_up(samples), now=1010)
    more = [("a", -8.0, 1001), ("a", 16.0, 1002), ("c", 0.125, 1010)]
    assert Outcome(stored=3) == archive.commit(rolled_up(more), now=1010)
    assert recomputed(samples + more, 10) == archive.values()
    check_file(archive)


def test_weighted_samples(create: Create) -> None:
    """Fractional counts are stored unchanged, and rounding loses no samples."""
    archive = create()
    cell = (3.5, 7.0, 2.0, 2.0)
    assert Outcome(stored=7) == archive.commit({1000: {"a": cell}, 1010: {"a": cell}}, now=1010)
    assert {1000: 3.5, 1010: 3.5} == archive.aggregate("count")
    assert {1000: 2.0, 1010: 2.0} == archive.aggregate("avg")
    check_file(archive)


def test_an_empty_commit(create: Create) -> None:
    """It does not change the file unless something expires."""
    archive = create(retention=1)
    assert Outcome() == archive.commit({}, now=1000)
    assert {} == archive.values()
    fill(archive, range(100, 200, 10))
    before = archive.path.read_bytes()
    assert Outcome() == archive.commit({}, now=3600 + 109)
    assert before == archive.path.read_bytes()
    assert Outcome() == archive.commit({}, now=3600 + 110)
    assert before != archive.path.read_bytes()
    check_file(archive)


def test_expired_samples(create: Create) -> None:
    """Samples before the first kept bucket are counted and not stored, and neither are their names."""
    archive = create(retention=1)
    cutoff = NOW - HOUR_S
    samples = [("old", 1.0, cutoff - 1), ("old", 1.0, cutoff - 10), ("old", 1.0, 0), ("new", 1.0, cutoff)]
    assert Outcome(stored=1, expired=3) == archive.commit(rolled_up(samples), now=NOW + 9.9)
    assert {"new": [cutoff]} == {name: list(buckets) for name, buckets in archive.values().items()}
    check_file(archive)


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
    monkeypatch.setattr(commit, "EXPIRE_ROWS", 25)
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
    monkeypatch.setattr(commit, "EXPIRE_ROWS", 5)
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
    monkeypatch.setattr(commit, "SEAL_ROWS", seal_rows)
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
    monkeypatch.setattr(commit, "SEAL_ROWS", 1)
    one = create(retention=1)
    other = Archive(one.path)
    for number, bucket in enumerate(range(NOW, NOW + 5 * HOUR_S, HOUR_S + 20)):
        writer = (one, other)[number % 2]
        confirm_clock(one, bucket)
        writer.commit(rolled_up([("a", 1.0, bucket), (f"b{number}", 1.0, bucket)]), now=bucket)
        assert ["a", f"b{number}"] == one.names() == other.names()
        check_file(one)


@pytest.mark.parametrize(
    ("max_names", "names", "refused"),
    [
        (0, ["a", "b", "c", "d"], 0),
        (4, ["a", "b", "c", "d"], 0),
        (3, ["a", "b", "c"], 2),
        (2, ["b", "c"], 3),
        (1, ["b", "c"], 3),
    ],
)
def test_max_names(create: Create, max_names: int, names: list[str], refused: int) -> None:
    """New names beyond the limit are counted and not stored; known names are stored."""
    archive = create()
    archive.commit(rolled_up([("b", 1.0, 0), ("c", 1.0, 0)]), now=10)
    samples = [("d", 1.0, 10), ("d", 1.0, 20), ("a", 1.0, 10), ("b", 1.0, 10), ("c", 1.0, 20)]
    outcome = archive.commit(rolled_up(samples), now=20, max_names=max_names)
    assert Outcome(stored=5 - refused, cardinality=refused) == outcome
    assert names == archive.names()
    check_file(archive)


def test_expired_names_make_room(create: Create) -> None:
    """A name that expires in a commit makes room for a new name in the same commit."""
    archive = create(retention=1)
    archive.commit(rolled_up([("a", 1.0, NOW)]), now=NOW, max_names=1)
    samples = rolled_up([("b", 1.0, NOW + HOUR_S)])
    assert Outcome(cardinality=1) == archive.commit(samples, now=NOW + HOUR_S + 9, max_names=1)
    assert Outcome(stored=1) == archive.commit(samples, now=NOW + HOUR_S + 10, max_names=1)
    assert ["b"] == archive.names()


@pytest.mark.parametrize(
    ("buckets", "now", "sealed"),
    [
        (range(100, 140, 10), 140, 4),
        (range(100, 130, 10), 140, 0),
        (range(100, 140, 10), 139, 0),
        (range(100, 150, 10), 140, 4),
        (range(100, 200, 10), 130, 0),
        (range(100, 200, 10), 10_000, 10),
    ],
)
def test_seal(create: Create, monkeypatch: pytest.MonkeyPatch, buckets: range, now: int, sealed: int) -> None:
    """Rows are sealed once closed buckets contain SEAL_ROWS of them."""
    monkeypatch.setattr(commit, "SEAL_ROWS", 4)
    archive = create()
    fill(archive, buckets, now=now)
    assert sealed == row_count(archive, "sealed")
    check_file(archive)


@pytest.mark.parametrize(("buckets", "sealed"), [(3, 0), (4, 8)])
def test_seal_buckets(create: Create, monkeypatch: pytest.MonkeyPatch, buckets: int, sealed: int) -> None:
    """Rows are not sealed before there are SEAL_BUCKETS closed buckets."""
    monkeypatch.setattr(commit, "SEAL_ROWS", 2)
    monkeypatch.setattr(commit, "SEAL_BUCKETS", 4)
    archive = create()
    fill(archive, range(100, 110 + 10 * buckets, 10), names=2)
    assert sealed == row_count(archive, "sealed")
    check_file(archive)


@pytest.mark.parametrize(("buckets", "sealed"), [(3, 0), (4, 4)])
def test_seal_full_buckets(create: Create, monkeypatch: pytest.MonkeyPatch, buckets: int, sealed: int) -> None:
    """FULL_BUCKETS closed buckets are sealed even with few rows."""
    monkeypatch.setattr(commit, "FULL_BUCKETS", 4)
    archive = create()
    fill(archive, range(100, 110 + 10 * buckets, 10))
    assert sealed == row_count(archive, "sealed")
    check_file(archive)


def test_late_samples(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """A late sample is merged into its bucket, sealed or not, with a known or a new name."""
    monkeypatch.setattr(commit, "SEAL_ROWS", 4)
    archive = create()
    samples = [("a", 1.0, second) for second in range(100, 170, 10)]
    archive.commit(rolled_up(samples[:5]), now=150)
    archive.commit(rolled_up(samples[5:]), now=170)
    assert (5, 2) == (row_count(archive, "sealed"), row_count(archive, "NOT sealed"))
    late = [(name, -2.0, second) for name in ("a", "b") for second in (95, 105, 149, 150, 165)]
    assert Outcome(stored=10) == archive.commit(rolled_up(late), now=169)
    assert recomputed(samples + late, 10) == archive.values()
    assert (9, 4) == (row_count(archive, "sealed"), row_count(archive, "NOT sealed"))
    check_file(archive)


def test_clock_set_back(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows sealed by a fast clock stay sealed, and newer samples are stored."""
    monkeypatch.setattr(commit, "SEAL_ROWS", 2)
    archive = create()
    fill(archive, range(1000, 1100, 10), now=10**9)
    fill(archive, range(1050, 1150, 10), now=1060)
    assert 15 == archive.aggregate("count", by="name", until=1099)["name0"]
    assert (10, 5) == (row_count(archive, "sealed"), row_count(archive, "NOT sealed"))
    check_file(archive)


@pytest.mark.parametrize("seal_rows", [1, 7, 20, 1000])
@pytest.mark.parametrize("resolution", [10, 20, 70, 10_000])
def test_coarser_resolution(create: Create, monkeypatch: pytest.MonkeyPatch, seal_rows: int, resolution: int) -> None:
    """Stored rows merge as if the archive had always had the coarser resolution."""
    monkeypatch.setattr(commit, "SEAL_ROWS", seal_rows)
    archive, expected = create(), create("expected", resolution=resolution)
    samples = [(f"n{second % 3}", (second % 7 - 3) / 8, second) for second in range(1000, 1300, 4)]
    for start in range(0, len(samples), 20):
        for each in (archive, expected):
            each.commit(rolled_up(samples[start : start + 20]), now=samples[start][2] + 80)
    archive.edit(resolution=resolution)
    check_file(archive)
    for each in (archive, expected):
        each.commit(rolled_up([("n0", 0.5, 1005), ("n0", 0.5, 1400)]), now=1400)
        check_file(each)
    assert recomputed([*samples, ("n0", 0.5, 1005), ("n0", 0.5, 1400)], resolution) == archive.values()
    assert expected.values() == archive.values()
    assert expected.names() == archive.names()


def test_coarser_resolution_leaves_the_open_bucket(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that was only partly sealed is not sealed, as it may be open."""
    monkeypatch.setattr(commit, "SEAL_ROWS", 10)
    archive = create()
    fill(archive, range(0, 150, 10), now=150)
    assert 15 == row_count(archive, "sealed")
    archive.edit(resolution=100)
    assert (1, 1) == (row_count(archive, "sealed"), row_count(archive, "NOT sealed AND bucket = 100"))
    check_file(archive)


def test_other_resolution(create: Create) -> None:
    """A resolution that is not a multiple is rejected with the whole edit."""
    archive = create()
    fill(archive, range(100, 200, 10))
    before = archive.values(), archive.definition()
    for resolution in (15, 5, 1):
        with pytest.raises(InvalidDefinition):
            archive.edit(name="changed", resolution=resolution)
    assert before == (archive.values(), archive.definition())


def test_coarser_resolution_is_one_transaction(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted merge changes nothing."""
    archive = create()
    fill(archive, range(100, 200, 10))
    before = archive.values(), archive.definition()
    monkeypatch.setattr(statements, "COARSENED", "INSERT INTO gone VALUES (?)")
    with pytest.raises(ArchiveUnavailable):
        archive.edit(resolution=20)
    assert before == (archive.values(), archive.definition())
    check_file(archive)
