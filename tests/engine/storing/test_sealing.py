"""Sealing: when it begins, how far each commit goes, and what holds in the midst of it."""

import random
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import schema
from tally.engine.storing import sealing, watermarks
from tests.engine.model import Plain, check_file, recomputed, rolled_up, row_count
from tests.engine.storing.filling import Create, fill

T = 1_000_000_800
NAMES = 10
BUCKETS = 6


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal 6 buckets at a time, 12 rows a commit."""
    for name, value in {"SEAL_BUCKETS": 1, "FULL_BUCKETS": BUCKETS, "STEP_ROWS": 12, "STEP_FACTOR": 0}.items():
        monkeypatch.setattr(sealing, name, value)
    monkeypatch.setitem(watermarks.FIRST, "block_buckets", 4)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with 6 closed buckets of 10 names, whose first 2 names are sealed."""
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=0, percentiles=1)
    archive.commit(rolled_up(samples()), now=T + 10 * BUCKETS)
    return archive


def samples() -> list[Plain]:
    """Return a sample for each bucket and name, all different."""
    numbers = enumerate((bucket, name) for bucket in range(BUCKETS) for name in range(NAMES))
    return [(f"n{name}", number / 8, T + 10 * bucket) for number, (bucket, name) in numbers]


def continued(archive: Archive) -> int:
    """Continue sealing by a commit without samples, and return the number of sealed rows."""
    archive.commit({}, now=T + 10 * BUCKETS)
    return row_count(archive, "sealed")


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
    monkeypatch.setattr(sealing, "SEAL_ROWS", 4)
    archive = create()
    fill(archive, buckets, now=now)
    assert sealed == row_count(archive, "sealed")
    check_file(archive)


@pytest.mark.parametrize(("buckets", "sealed"), [(3, 0), (4, 8)])
def test_seal_buckets(create: Create, monkeypatch: pytest.MonkeyPatch, buckets: int, sealed: int) -> None:
    """Rows are not sealed before there are SEAL_BUCKETS closed buckets."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 2)
    monkeypatch.setattr(sealing, "SEAL_BUCKETS", 4)
    archive = create()
    fill(archive, range(100, 110 + 10 * buckets, 10), names=2)
    assert sealed == row_count(archive, "sealed")
    check_file(archive)


@pytest.mark.parametrize(("buckets", "sealed"), [(3, 0), (4, 4)])
def test_seal_full_buckets(create: Create, monkeypatch: pytest.MonkeyPatch, buckets: int, sealed: int) -> None:
    """FULL_BUCKETS closed buckets are sealed even with few rows."""
    monkeypatch.setattr(sealing, "FULL_BUCKETS", 4)
    archive = create()
    fill(archive, range(100, 110 + 10 * buckets, 10))
    assert sealed == row_count(archive, "sealed")
    check_file(archive)


def test_clock_set_back(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows sealed by a fast clock stay sealed, and newer samples are stored."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 2)
    archive = create()
    fill(archive, range(1000, 1100, 10), now=10**9)
    fill(archive, range(1050, 1150, 10), now=1060)
    assert 15 == archive.aggregate("count", by="name", until=1099)["name0"]
    assert (10, 5) == (row_count(archive, "sealed"), row_count(archive, "NOT sealed"))
    check_file(archive)


def test_each_commit_seals_some_names(archive: Archive) -> None:
    """Answers are the same at every step, and the watermarks are deleted after the last one."""
    expected = recomputed(samples(), 10)
    by_name = archive.aggregate(by="name")
    found = [row_count(archive, "sealed")]
    while found[-1] < BUCKETS * NAMES:
        check_file(archive)
        assert () == archive.check().damage
        assert (expected, by_name) == (archive.values(), archive.aggregate(by="name"))
        found.append(continued(archive))
    assert [12, 24, 36, 48, 60] == found
    check_file(archive)
    assert (expected, by_name) == (archive.values(), archive.aggregate(by="name"))
    assert 60 == continued(archive)


@pytest.mark.parametrize("factor", [0, 1, 2])
def test_a_commit_seals_in_proportion(archive: Archive, monkeypatch: pytest.MonkeyPatch, factor: int) -> None:
    """A commit that writes many rows seals more of them, so that sealing keeps up."""
    monkeypatch.setattr(sealing, "STEP_FACTOR", factor)
    new = [(f"n{name}", 1.0, T + 1000) for name in range(NAMES * 2)]
    archive.commit(rolled_up(new), now=T + 1000)
    assert 12 + max(12, factor * 18) == row_count(archive, "sealed")
    check_file(archive)


def test_late_samples(archive: Archive) -> None:
    """Late samples of sealed and unsealed names, and of new ones, count once at every step."""
    taken, chance = samples(), random.Random("late")
    while continued(archive) < BUCKETS * NAMES:
        late = [(f"n{chance.randrange(15)}", chance.random(), T + chance.randrange(-30, 100)) for _ in range(5)]
        taken += late
        archive.commit(rolled_up(late), now=T + 10 * BUCKETS)
        check_file(archive)
        assert recomputed(taken, 10) == archive.values()
        assert () == archive.check().damage


@pytest.mark.parametrize("work", ["rename", "remove", "coarsen", "expire", "drop percentiles"])
def test_what_else_changes_rows(archive: Archive, work: str) -> None:
    """Every operation in the midst of sealing leaves a sound file with the right answer, and sealing goes on."""
    left = samples()
    match work:
        case "rename":
            archive.rename("n1", "n5")
            left = [("n5" if name == "n1" else name, value, second) for name, value, second in left]
        case "remove":
            archive.remove("n[05]", since=T + 20)
            left = [each for each in left if each[0] not in ("n0", "n5") or each[2] < T + 20]
        case "coarsen":
            archive.edit(resolution=20)
        case "expire":
            archive.edit(retention=1)
            archive.commit({}, now=T + 3600 + 30)
            left = [each for each in left if each[2] >= T + 30]
        case _:
            archive.edit(percentiles=0)
    check_file(archive)
    assert () == archive.check().damage
    expected = recomputed(left, archive.definition().resolution)
    assert expected == archive.values()
    for _ in range(5):
        continued(archive)
        check_file(archive)
    assert expected == archive.values()


def test_an_archive_is_copied_in_the_midst(archive: Archive, tmp_path: Path) -> None:
    """A backup, a derived archive and a merge of a file in the midst of sealing have everything."""
    expected = archive.values()
    archive.backup(tmp_path / "copy.db")
    Catalog(tmp_path).derive("coarse", "daily", resolution=20)
    assert expected == Archive(tmp_path / "copy.db").values()
    assert recomputed(samples(), 20) == Catalog(tmp_path)["coarse"].values()
    centre = Catalog(tmp_path).create("centre", resolution=10, retention=0)
    centre.merge_files([archive.path])
    assert expected == centre.values()
    for each in ("copy", "coarse", "centre"):
        check_file(Catalog(tmp_path)[each])


@pytest.mark.parametrize("bucket", [-1, 0, 2, BUCKETS - 1, BUCKETS, BUCKETS + 1])
def test_a_wrong_clock_began_it(archive: Archive, bucket: int) -> None:
    """When the clock turns out to have been ahead, the rows from the current bucket on are unsealed."""
    with schema.OpenArchive(archive.path, write=True) as connection, schema.Transaction(connection):
        sealing.unseal(connection, watermarks.read_watermarks(connection), now=T + 10 * bucket)
    check_file(archive)
    assert () == archive.check().damage
    assert 0 == row_count(archive, f"sealed AND bucket >= {T + 10 * bucket}")
    assert recomputed(samples(), 10) == archive.values()
