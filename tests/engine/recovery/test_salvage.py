"""Salvaged cells are right, and all others are reported."""

import random as random_module
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog
from tally.engine.files import schema
from tally.engine.recovery.salvage import Salvaged, salvage
from tally.engine.sketch import Cell
from tally.engine.storing import expiry, sealing
from tally.engine.storing.idempotency import Delivery
from tally.engine.storing.merging import Cells
from tally.engine.storing.tracking import Tracker
from tally.errors import ArchiveExists, InvalidDefinition, NotAnArchive, UnknownArchive
from tests.engine.model import check_file, row_count, sealing_in_steps
from tests.engine.salvaging import Damage, account, cells, cut, header, noise, random_bytes, zeros

T = 1_700_000_000
NAMES = tuple(f"requests.get.page{number}" for number in range(8))

names = st.sampled_from(["a", "b.c", "b.d", "é" * 20, "x" * 255])
values = st.one_of(st.integers(0, 3), st.floats(-1e9, 1e9), st.sampled_from([0.1, 0.25, 1e100, -0.0]))
samples = st.lists(st.tuples(names, values, st.integers(T, T + 300)), max_size=25)
damages: st.SearchStrategy[Damage] = st.one_of(
    st.integers(0, 20).map(random_bytes), st.sampled_from([zeros, noise, cut, header])
)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with several pages and cells of several samples, whose last buckets are unsealed."""
    return filled(tmp_path, {bucket: cells_of(bucket) for bucket in range(T, T + 2000, 10)}, now=T + 1000)


def cells_of(bucket: int) -> dict[str, Cell]:
    """Return the cells of a bucket, all different."""
    return {name: (3, bucket / 7 + at, bucket / 70 + at, bucket / 7 - at, None) for at, name in enumerate(NAMES)}


def filled(directory: Path, found: Cells, *, now: float) -> Archive:
    """Return an archive that keeps everything, with closed buckets sealed."""
    made = Catalog(directory).create("daily", resolution=10, retention=0, pattern="requests.*", description="ü" * 2000)
    with patch.object(sealing, "SEAL_ROWS", 1):
        made.commit(found, now=now)
    return made


def damage(archive: Archive, how: Damage, seed: object = 0) -> None:
    """Damage an archive's file."""
    content = bytearray(archive.path.read_bytes())
    how(content, random_module.Random(str(seed)))
    archive.path.write_bytes(content)


def page_of(archive: Archive, tree: str) -> int:
    """Return the root page of a tree."""
    connection = apsw.Connection(str(archive.path))
    try:
        return int(connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (tree,)).get)
    finally:
        connection.close()


def zero(*pages: int) -> Damage:
    """Return a function that overwrites pages with zeros."""

    def change(content: bytearray, _random: random_module.Random) -> None:
        for page in pages:
            content[(page - 1) * 4096 : page * 4096] = bytes(4096)

    return change


def tried(archive: Archive, **options: object) -> tuple[Salvaged, Archive]:
    """Salvage an archive into another one, and check that it is sound."""
    target = archive.path.with_name("saved.db")
    salvaged = salvage(archive.path, target, **options)  # type: ignore[arg-type]
    saved = Archive(target)
    check_file(saved)
    return salvaged, saved


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(samples, st.integers(T, T + 9000)), min_size=1, max_size=6),
    st.integers(1, 12),
    st.integers(1, 20),
    st.lists(damages, min_size=1, max_size=2),
    st.integers(0, 2**32),
)
def test_no_cell_is_wrong_and_none_is_missing_silently(
    parts: list[tuple[list[tuple[str, float, int]], int]],
    resolution: int,
    seal_rows: int,
    hows: list[Damage],
    seed: int,
) -> None:
    """For any archive and damage, salvaged cells are right and missing ones are reported."""
    with tempfile.TemporaryDirectory() as directory, patch.multiple(sealing, **sealing_in_steps(seal_rows)):
        archive = Catalog(directory, clock=lambda: float(T)).create("x", resolution=resolution, retention=1)
        for part, now in parts:
            archive.record(part)
            archive.commit({}, now=now)
        had = cells(archive.path)
        for how in hows:
            damage(archive, how, seed)
        target = archive.path.with_name("saved.db")
        try:
            found = account(had, target, salvage(archive.path, target))
        except NotAnArchive:
            with pytest.raises(UnknownArchive):
                Archive(target).definition()
            return
        assert (0, 0) == (found.wrong, found.untold), found
        check_file(Archive(target))


def test_nothing_is_lost_of_a_sound_archive(archive: Archive) -> None:
    """All sealed cells are salvaged; unproven ones are counted, and salvaged on request."""
    salvaged, saved = tried(archive)
    had = cells(archive.path)
    sealed = {key for key in had if key[0] < T + 1000}
    assert sealed <= cells(saved.path).keys() < had.keys()
    assert len(had) == salvaged.cells + salvaged.unproven
    assert (T + 1000, T + 1990) == (salvaged.missing[0].first, salvaged.missing[-1].last)
    before, after = archive.definition().fields(), saved.definition().fields()
    assert {**before, "slug": "saved"} == after
    everything = archive.path.with_name("everything.db")
    assert salvage(archive.path, everything, unproven=True).is_whole
    assert had == cells(everything)


@pytest.mark.parametrize("tree", ["data", "data_by_name", "names", "sqlite_autoindex_names_1", "totals", "blocks"])
@pytest.mark.parametrize("unproven", [False, True])
def test_a_root_of_zeros(archive: Archive, tree: str, unproven: bool) -> None:
    """The pages of a tree without a root are found."""
    had = cells(archive.path)
    damage(archive, zero(page_of(archive, tree)))
    salvaged, saved = tried(archive, unproven=unproven)
    found = account(had, saved.path, salvaged)
    assert (0, 0) == (found.wrong, found.untold)
    if unproven or not tree.startswith(("names", "sqlite")):
        assert found.saved >= (0.99 if unproven else 0.45) * found.cells


def test_cells_with_one_value_prove_themselves(tmp_path: Path) -> None:
    """They are salvaged even if the other tree is lost."""
    found: Cells = {
        bucket: dict.fromkeys(NAMES, (2, bucket / 2, bucket / 4, bucket / 4, None)) for bucket in range(T, T + 640, 10)
    }
    archive = filled(tmp_path, found, now=T + 10_000)
    had = cells(archive.path)
    connection = apsw.Connection(str(archive.path))
    pages = [page for (page,) in connection.execute("SELECT pageno FROM dbstat WHERE name = 'data_by_name'")]
    connection.close()
    damage(archive, zero(*pages))
    salvaged, saved = tried(archive)
    assert had == cells(saved.path)
    assert salvaged.is_whole


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("how", [random_bytes(1), random_bytes(10), random_bytes(100), zeros, noise, cut, header])
def test_damage(archive: Archive, how: Damage, seed: int) -> None:
    """For each kind of damage, salvaged cells are right and missing ones are reported."""
    had = cells(archive.path)
    damage(archive, how, seed)
    salvaged, saved = tried(archive, properties={"resolution": 10})
    found = account(had, saved.path, salvaged)
    assert (0, 0) == (found.wrong, found.untold)
    assert salvaged.is_whole == (found.saved == found.cells)


def test_a_changed_value_is_noticed(archive: Archive) -> None:
    """A cell whose minimum was changed in one place is salvaged with neither value."""
    connection = apsw.Connection(str(archive.path))
    connection.execute("UPDATE data SET sealed = 0 WHERE bucket = ?", (T,))
    connection.execute("UPDATE data SET min = min + 0.125 WHERE bucket = ? AND id = 2", (T,))
    connection.execute("INSERT INTO names VALUES (99, 'x')")
    connection.close()
    salvaged, saved = tried(archive)
    assert T not in saved.values().get(NAMES[1], {})
    assert NAMES[1] in salvaged.missing[0].names


def test_commits_in_the_log_are_salvaged(archive: Archive, tmp_path: Path) -> None:
    """Damage to the log is reported."""
    copy = tmp_path / "copy" / "daily.db"
    copy.parent.mkdir()
    connection = apsw.Connection(str(archive.path))
    connection.execute("PRAGMA wal_autocheckpoint = 0; UPDATE meta SET value = 'new' WHERE key = 'name'").fetchall()
    for suffix in ("", "-wal"):
        shutil.copy(f"{archive.path}{suffix}", f"{copy}{suffix}")
    connection.close()
    assert "new" == tried(Archive(copy))[0].definition.name
    log = Path(f"{copy}-wal")
    content = bytearray(log.read_bytes())
    content[100] ^= 1
    log.write_bytes(content)
    copy.with_name("saved.db").unlink()
    salvaged, _ = tried(Archive(copy))
    assert ("daily", False, False) == (salvaged.definition.name, salvaged.is_log_sound, salvaged.is_whole)
    assert content == log.read_bytes()


def test_an_unreadable_definition(archive: Archive) -> None:
    """The resolution must be given; defaults for the rest are reported."""
    damage(archive, zero(page_of(archive, "meta")))
    with pytest.raises(NotAnArchive, match="its resolution is unreadable: give it"):
        tried(archive)
    salvaged, saved = tried(archive, properties={"resolution": 10, "retention": 5})
    assert ("name", "description", "pattern", "enabled", "percentiles") == salvaged.unread
    assert ("saved", 10, 5, True, 0) == (saved.slug, *list(saved.definition().fields().values())[4:])


def test_every_key_of_meta_is_known(tmp_path: Path) -> None:
    """A sound archive is salvaged whole while it is sealed, expires, is replicated and has merged others."""
    with patch.multiple(sealing, SEAL_ROWS=1, STEP_ROWS=1, STEP_FACTOR=0), patch.object(expiry, "FEW_ROWS", 1):
        archive = filled(tmp_path, {T + 10 * bucket: cells_of(T) for bucket in range(8)}, now=T + 80)
        while row_count(archive, "NOT sealed"):
            archive.commit({}, now=T + 80)
        other = Catalog(tmp_path).create("other", resolution=10, retention=0)
        other.record([("requests.a", 1.0, T + 100)])
        archive.merge_files([other.path])
        archive.remove(NAMES[0], until=T + 60)
        Tracker(archive.path).start()
        archive.edit(retention=1)
        archive.commit({T + 200: cells_of(T)}, now=T + 3600 + 50)
    with schema.OpenArchive(archive.path) as connection:
        found = {key for (key,) in connection.execute("SELECT key FROM meta")}
    assert {"sealing_id", "expiring_id", "changed", "merges", "rewrites", "clock"} <= found
    expected = archive.values()
    salvaged, saved = tried(archive, unproven=True)
    assert (expected, []) == (saved.values(), salvaged.missing)


def test_resolution_that_does_not_fit(archive: Archive) -> None:
    """A stored resolution that does not divide the buckets is rejected."""
    connection = apsw.Connection(str(archive.path))
    connection.execute("UPDATE meta SET value = 7 WHERE key = 'resolution'")
    connection.close()
    with pytest.raises(NotAnArchive, match="its resolution is unreadable"):
        tried(archive)
    assert tried(archive, properties={"resolution": 10})[0].cells >= 100 * len(NAMES)


def test_expired_cells_do_not_come_back(tmp_path: Path) -> None:
    """Cells on free pages are not salvaged, even if the list of free pages is lost."""
    archive = filled(tmp_path, {bucket: cells_of(bucket) for bucket in range(T, T + 4000, 10)}, now=T + 4000)
    archive.edit(retention=1)
    archive.commit({}, now=T + 3600 + 2000)
    had = cells(archive.path)
    assert min(had)[0] == T + 2000
    damage(archive, header)
    salvaged, saved = tried(archive)
    assert had == cells(saved.path)
    assert salvaged.gaps == []


def test_deliveries_are_kept(archive: Archive) -> None:
    """A delivery from before the damage is not stored again."""
    delivery = Delivery("key", bytes(32), T)
    archive.commit({T: {"requests.a": (1, 1.0, 1.0, 1.0, None)}}, now=T, delivery=delivery)
    _, saved = tried(archive)
    assert archive.receipt(delivery) == saved.receipt(delivery) is not None


def test_rejected_calls(archive: Archive, tmp_path: Path) -> None:
    """Existing targets, missing or foreign files, and invalid properties are errors."""
    with pytest.raises(ArchiveExists):
        archive.salvage(archive.path)
    with pytest.raises(UnknownArchive):
        Archive(tmp_path / "none.db").salvage(tmp_path / "saved.db")
    with pytest.raises(InvalidDefinition):
        archive.salvage(tmp_path / "saved.db", resolution=0)
    (tmp_path / "other.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(NotAnArchive):
        Archive(tmp_path / "other.db").salvage(tmp_path / "saved.db")
    assert not (tmp_path / "saved.db").exists()
    assert [] == [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_progress(archive: Archive) -> None:
    """The number of read pages is reported."""
    calls: list[tuple[int, int]] = []
    archive.salvage(archive.path.with_name("saved.db"), progress=lambda done, total: calls.append((done, total)))
    assert calls
    assert calls == sorted(calls)
    assert all(done <= total for done, total in calls)
