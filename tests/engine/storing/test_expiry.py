"""Expiry: which rows and names are hidden and deleted, when, and how many at a time."""

from collections import Counter
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog, Outcome
from tally.engine.files import schema
from tally.engine.storing import expiry, sealing
from tally.engine.storing.watermarks import read_watermarks
from tests.engine.model import Plain, check_file, confirm_clock, recomputed, rolled_up, row_count
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


BUCKETS = 8
NAMES = 6


def hidden_samples() -> list[Plain]:
    """Return samples of 8 buckets, all different: `once` has only the first, `n0` to `n5` have each."""
    numbered = enumerate((bucket, f"n{name}") for bucket in range(BUCKETS) for name in range(NAMES))
    return [("once", 1.0, NOW), *((name, number / 8, NOW + 10 * bucket) for number, (bucket, name) in numbered)]


@pytest.fixture
def hiding(create: Create, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive that hides each expired bucket, and deletes 4 hidden rows a commit. All its buckets are sealed."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 1)
    archive = create(retention=1, percentiles=1)
    archive.commit(rolled_up(hidden_samples()), now=NOW + 10 * BUCKETS)
    monkeypatch.setattr(expiry, "FEW_ROWS", 1)
    monkeypatch.setattr(sealing, "STEP_ROWS", 4)
    monkeypatch.setattr(sealing, "STEP_FACTOR", 0)
    return archive


def expire(archive: Archive, buckets: int) -> None:
    """Commit without samples once so many buckets have expired."""
    archive.commit({}, now=NOW + HOUR_S + 10 * buckets)
    check_file(archive)
    assert () == archive.check().damage


def left_after(buckets: int) -> list[Plain]:
    """Return the samples that have not expired then."""
    return [sample for sample in hidden_samples() if sample[2] >= NOW + 10 * buckets]


@pytest.mark.parametrize(("names", "rows"), [(expiry.FEW_ROWS - 1, 0), (expiry.FEW_ROWS, expiry.FEW_ROWS)])
def test_buckets_of_many_names_are_hidden(
    create: Create, monkeypatch: pytest.MonkeyPatch, names: int, rows: int
) -> None:
    """A bucket of FEW_ROWS names stays in the file for a while; no answer has it."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 1)
    archive = create(retention=1)
    fill(archive, range(NOW, NOW + 30, 10), names=names)
    archive.commit({}, now=NOW + HOUR_S + 10)
    assert rows == row_count(archive, f"bucket = {NOW}")
    assert NOW + 10 == archive.summary().first
    assert (2 * names, 2 * names) == (archive.points(), sum(archive.aggregate("count").values()))
    with schema.OpenArchive(archive.path) as connection:
        assert 2 * names == connection.execute("SELECT count(*) FROM cells").get
    check_file(archive)


def test_hidden_rows_are_in_no_answer(hiding: Archive) -> None:
    """Whatever is asked, hidden rows do not count, before and while they are deleted."""
    for buckets in range(1, BUCKETS):
        for _ in range(3):
            expire(hiding, buckets)
            left = left_after(buckets)
            assert recomputed(left, 10) == hiding.values()
            assert recomputed(left, 10) == hiding.values(since=0, q="n*")
            assert {name for name, *_ in left} == set(hiding.names())
            for question in ({"by": "name"}, {"q": "n[12]"}, {"q": "n[12]", "by": "name"}, {}):
                own = [sample for sample in left if "q" not in question or sample[0] in ("n1", "n2")]
                key = 0 if "by" in question else 2
                expected = Counter(sample[key] for sample in own)
                assert expected == hiding.aggregate("count", **question)
            assert len(left) == sum(hiding.aggregate("count", step=40).values())
            assert [NOW + 10 * buckets] == list(hiding.aggregate("count", moving=20))[:1]
            highest = hiding.values("sum", limit=1, since=NOW)
            assert sorted(highest) == ["n5"]


@pytest.mark.parametrize("buckets", [2, 3, 5])
def test_hidden_rows_are_in_no_percentile(hiding: Archive, create: Create, buckets: int) -> None:
    """Percentiles are those of an archive that never had the hidden rows, at each step of their deletion."""
    other = create("other", percentiles=1)
    other.record(left_after(buckets))
    for _ in range(3):
        expire(hiding, buckets)
        for question in ({}, {"by": "name"}, {"q": "n[12]"}, {"q": "n[12]", "by": "name"}, {"moving": 30}):
            assert other.aggregate("p50", **question) == hiding.aggregate("p50", **question)
        assert other.values("p50", limit=2) == hiding.values("p50", limit=2)


def test_hidden_rows_are_deleted_in_blocks(hiding: Archive) -> None:
    """Deletion begins once hidden buckets span a block of 3 buckets, and goes on name after name."""
    found = []
    for buckets in (1, 2, 3, 3, 3, 3, 3, 3, 3):
        expire(hiding, buckets)
        found.append(row_count(hiding, f"bucket < {NOW + 30}"))
    # The only row of `once` was deleted with its name. Then the rows of one name are deleted at a time.
    assert [18, 18, 15, 12, 9, 6, 3, 0, 0] == found
    with schema.OpenArchive(hiding.path) as connection:
        assert [] == connection.execute("SELECT key FROM meta WHERE key GLOB 'expir*'").fetchall()


@pytest.mark.parametrize(("buckets", "left"), [(5, 9), (6, 6)])
def test_deletion_waits_for_sealing(hiding: Archive, buckets: int, left: int) -> None:
    """No commit does both, unless the hidden buckets span two blocks."""
    expire(hiding, 3)
    now = NOW + HOUR_S
    hiding.commit(rolled_up([(f"n{name}", 1.0, now + 30) for name in range(NAMES)]), now=now + 35)
    expire(hiding, 4)
    assert (9, 4) == (row_count(hiding, f"bucket < {NOW + 30}"), row_count(hiding, f"sealed AND bucket >= {now}"))
    expire(hiding, buckets)
    assert (left, 6) == (row_count(hiding, f"bucket < {NOW + 30}"), row_count(hiding, f"sealed AND bucket >= {now}"))


def test_buckets_that_expire_meanwhile_wait(hiding: Archive) -> None:
    """What is hidden during a deletion is left to the next one."""
    for buckets in (3, 4, 5, 6):
        expire(hiding, buckets)
    assert 2 * 3 == row_count(hiding, f"bucket < {NOW + 30}")
    assert 3 * NAMES == row_count(hiding, f"bucket BETWEEN {NOW + 30} AND {NOW + 50}")


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_late_samples_for_hidden_buckets(hiding: Archive, steps: int) -> None:
    """If the retention is longer again, samples of hidden buckets are stored; what has expired stays gone."""
    for _ in range(steps):
        expire(hiding, 4)
    hiding.edit(retention=0)
    late = [("n1", 64.0, NOW + 5), ("new", 32.0, NOW + 25)]
    assert Outcome(stored=2) == hiding.commit(rolled_up(late), now=NOW + HOUR_S + 40)
    assert recomputed([*left_after(4), *late], 10) == hiding.values()
    check_file(hiding)
    assert () == hiding.check().damage


def test_recorded_samples(hiding: Archive) -> None:
    """Samples that are recorded whatever their age can be read, until the next commit."""
    expire(hiding, 2)
    hiding.record([("n1", 64.0, NOW)])
    assert recomputed([*left_after(2), ("n1", 64.0, NOW)], 10) == hiding.values()
    expire(hiding, 2)
    assert recomputed(left_after(2), 10) == hiding.values()


@pytest.mark.parametrize("work", ["rename", "remove", "coarsen", "drop percentiles", "merge", "clock"])
@pytest.mark.parametrize("buckets", [2, 4])
def test_what_else_changes_rows(hiding: Archive, create: Create, work: str, buckets: int) -> None:
    """Every operation while rows are hidden, or being deleted, leaves a sound file with the right answer."""
    expire(hiding, buckets)
    left = left_after(buckets)
    match work:
        case "rename":
            renamed = hiding.rename("n1", "n4", dry_run=True)
            assert renamed == hiding.rename("n1", "n4")
            left = [("n4" if name == "n1" else name, value, second) for name, value, second in left]
        case "remove":
            removed = hiding.remove("n[05]", until=NOW + 50, dry_run=True)
            assert removed == hiding.remove("n[05]", until=NOW + 50)
            left = [each for each in left if each[0] not in ("n0", "n5") or each[2] >= NOW + 60]
        case "coarsen":
            hiding.edit(resolution=20)
        case "drop percentiles":
            hiding.edit(percentiles=0)
        case "merge":
            other = create("other")
            other.record([("n1", 64.0, NOW + 75)])
            hiding.merge_files([other.path])
            left.append(("n1", 64.0, NOW + 75))
        case _:
            with schema.OpenArchive(hiding.path, write=True) as connection, schema.Transaction(connection):
                marks = expiry.finish_expiry(connection, read_watermarks(connection))
                sealing.unseal(connection, marks, now=NOW)
    check_file(hiding)
    assert () == hiding.check().damage
    assert recomputed(left, hiding.definition().resolution) == hiding.values()


def test_copies_have_no_hidden_rows(hiding: Archive, create: Create, tmp_path: Path) -> None:
    """A derived archive, a merge and a salvaged file have what answers have, in the midst of a deletion."""
    expire(hiding, 4)
    expected = recomputed(left_after(4), 10)
    Catalog(tmp_path).derive("derived", "x", retention=0)
    centre = create("centre")
    assert len(left_after(4)) == centre.merge_files([hiding.path]).samples
    salvaged = hiding.salvage(tmp_path / "salvaged.db")
    assert ([], 0) == (salvaged.missing, salvaged.unproven)
    hiding.backup(tmp_path / "copy.db")
    for each in ("derived", "centre", "salvaged", "copy"):
        assert expected == Catalog(tmp_path)[each].values()
        check_file(Catalog(tmp_path)[each])


def test_unsealed_rows_wait_for_hidden_ones(hiding: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unsealed rows that expire are deleted at once, but after the hidden rows."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 1000)
    fill(hiding, range(NOW + 100, NOW + 120, 10), names=2)
    now = NOW + 2 * HOUR_S
    confirm_clock(hiding, now)
    for _ in range(4 * NAMES):
        hiding.commit({}, now=now)
        check_file(hiding)
    assert (0, []) == (row_count(hiding), hiding.names())


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE meta SET value = value + 10 WHERE key = 'expired_before'", "totals do not match their rows"),
        ("UPDATE meta SET value = value + 1 WHERE key = 'expiring_id'", "rows should have been deleted"),
        ("DELETE FROM meta WHERE key = 'expired_before'", "totals do not match their rows"),
    ],
)
def test_damaged_watermarks(hiding: Archive, damage: str, found: str) -> None:
    """The check finds watermarks that contradict the rows."""
    expire(hiding, 4)
    with schema.OpenArchive(hiding.path, write=True) as connection:
        connection.execute(damage)
    assert any(found in text for text in hiding.check().damage)
