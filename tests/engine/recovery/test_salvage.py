"""What is salvaged of a damaged archive is right, and the rest is told."""

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
from tally.engine.recovery.salvage import Salvaged, salvage
from tally.engine.storing import commit
from tally.engine.storing.idempotency import Delivery
from tally.engine.storing.rollup import Cells
from tally.errors import ArchiveExists, InvalidDefinition, NotAnArchive, UnknownArchive
from tests.engine.model import check_file
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
    """An archive of several pages, whose cells have more samples than one; its last buckets are not sealed."""
    return filled(tmp_path, {bucket: cells_of(bucket) for bucket in range(T, T + 2000, 10)}, now=T + 1000)


def cells_of(bucket: int) -> dict[str, tuple[float, float, float, float]]:
    """Return the cells of a bucket, no two the same."""
    return {name: (3, bucket / 7 + at, bucket / 70 + at, bucket / 7 - at) for at, name in enumerate(NAMES)}


def filled(directory: Path, found: Cells, *, now: float) -> Archive:
    """Return an archive that keeps cells for ever, of which those that are over are sealed."""
    made = Catalog(directory).create("daily", resolution=10, retention=0, pattern="requests.*", description="ü" * 2000)
    with patch.object(commit, "SEAL_ROWS", 1):
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
    """Return what makes pages those of zeros."""

    def change(content: bytearray, _random: random_module.Random) -> None:
        for page in pages:
            content[(page - 1) * 4096 : page * 4096] = bytes(4096)

    return change


def tried(archive: Archive, **options: object) -> tuple[Salvaged, Archive]:
    """Salvage an archive into another one beside it, which has to be sound."""
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
    """Whatever an archive had and however it was damaged: what is saved is as it was, and all else is told."""
    with tempfile.TemporaryDirectory() as directory, patch.object(commit, "SEAL_ROWS", seal_rows):
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
    """What is sealed is saved, with the definition; of what is not, all that nothing proves is told, and saved too."""
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
    """Without the root of a tree its pages are found all the same; with what is unproven all is saved."""
    had = cells(archive.path)
    damage(archive, zero(page_of(archive, tree)))
    salvaged, saved = tried(archive, unproven=unproven)
    found = account(had, saved.path, salvaged)
    assert (0, 0) == (found.wrong, found.untold)
    if unproven or not tree.startswith(("names", "sqlite")):
        assert found.saved >= (0.99 if unproven else 0.45) * found.cells


def test_constant_cells_stand_for_themselves(tmp_path: Path) -> None:
    """Cells of one value are proven though the tree that has them a second time is lost."""
    found: Cells = {
        bucket: dict.fromkeys(NAMES, (2, bucket / 2, bucket / 4, bucket / 4)) for bucket in range(T, T + 640, 10)
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
    """However the file is damaged, no cell is saved that is wrong, and none is missing that is not told."""
    had = cells(archive.path)
    damage(archive, how, seed)
    salvaged, saved = tried(archive, properties={"resolution": 10})
    found = account(had, saved.path, salvaged)
    assert (0, 0) == (found.wrong, found.untold)
    assert salvaged.is_whole == (found.saved == found.cells)


def test_a_changed_value_is_noticed(archive: Archive) -> None:
    """A minimum that another one took the place of, in one of its two places, is saved as neither."""
    connection = apsw.Connection(str(archive.path))
    connection.execute("UPDATE data SET sealed = 0 WHERE bucket = ?", (T,))
    connection.execute("UPDATE data SET min = min + 0.125 WHERE bucket = ? AND id = 2", (T,))
    connection.execute("INSERT INTO names VALUES (99, 'x')")
    connection.close()
    salvaged, saved = tried(archive)
    assert T not in saved.values().get(NAMES[1], {})
    assert NAMES[1] in salvaged.missing[0].names


def test_what_the_log_has_is_saved(archive: Archive, tmp_path: Path) -> None:
    """Commits that stand in the log only are saved, and a log that is damaged is told."""
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


def test_definition_that_cannot_be_read(archive: Archive) -> None:
    """The resolution has to be given then; of all else there is a default, which is told."""
    damage(archive, zero(page_of(archive, "meta")))
    with pytest.raises(NotAnArchive, match="its resolution is unreadable: give it"):
        tried(archive)
    salvaged, saved = tried(archive, properties={"resolution": 10, "retention": 5})
    assert ("name", "description", "pattern", "enabled") == salvaged.unread
    assert ("saved", 10, 5, True) == (saved.slug, *list(saved.definition().fields().values())[4:])


def test_resolution_that_does_not_fit(archive: Archive) -> None:
    """One that the buckets are no multiples of is not believed."""
    connection = apsw.Connection(str(archive.path))
    connection.execute("UPDATE meta SET value = 7 WHERE key = 'resolution'")
    connection.close()
    with pytest.raises(NotAnArchive, match="its resolution is unreadable"):
        tried(archive)
    assert tried(archive, properties={"resolution": 10})[0].cells >= 100 * len(NAMES)


def test_expired_cells_do_not_come_back(tmp_path: Path) -> None:
    """What was deleted is not saved from pages that are free, though the list of those is lost."""
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
    """A delivery that came before the damage is not taken again."""
    delivery = Delivery("key", bytes(32), T)
    archive.commit({T: {"requests.a": (1, 1.0, 1.0, 1.0)}}, now=T, delivery=delivery)
    _, saved = tried(archive)
    assert archive.receipt(delivery) == saved.receipt(delivery) is not None


def test_what_is_refused(archive: Archive, tmp_path: Path) -> None:
    """Nothing is replaced, what is not there is told, and so are other files and properties that cannot be."""
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
    """It is told how many of the pages were read."""
    calls: list[tuple[int, int]] = []
    archive.salvage(archive.path.with_name("saved.db"), progress=lambda done, total: calls.append((done, total)))
    assert calls
    assert calls == sorted(calls)
    assert all(done <= total for done, total in calls)
