"""Directories of archives, and how samples are distributed to archives."""

import threading
from pathlib import Path

import apsw
import pytest

from tally.engine import Archive, Catalog, Outcome
from tally.engine.catalog import distribute
from tally.engine.storing.merging import Cells
from tally.errors import (
    ArchiveExists,
    ArchiveUnavailable,
    InvalidDefinition,
    InvalidSample,
    NotAnArchive,
    UnknownArchive,
)
from tests.engine.model import check_file
from tests.engine.rights import open_directory, unprivileged

NOW = 1_700_000_000
CELL = (2.0, 3.0, 1.0, 2.0, None)
CELLS: Cells = {NOW: {"a": CELL, "b": CELL, "c": CELL}}
SAMPLES = [("a.x", 1.0, NOW), ("a.y", 2.0, NOW), ("b.x", 4.0, NOW), ("b.x", 8.0, NOW - 2 * 3600)]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A catalog with a missing directory and a fixed clock."""
    return Catalog(tmp_path / "parent" / "data", clock=lambda: NOW)


def test_no_directory(catalog: Catalog) -> None:
    """A missing directory has no archives and is not created by reading."""
    assert [] == catalog.slugs()
    assert [] == catalog.archives()
    assert "x" not in catalog
    assert {} == catalog.record(SAMPLES)
    assert not catalog.directory.exists()


def test_create(catalog: Catalog) -> None:
    """The first archive creates the private directory, and archives are found by their slugs."""
    made = catalog.create("x", name="X", resolution=60)
    assert 0o700 == catalog.directory.stat().st_mode & 0o777
    assert catalog.directory / "x.db" == made.path == catalog["x"].path
    assert made.definition() == catalog["x"].definition()
    assert "x" in catalog
    with pytest.raises(ArchiveExists, match="archive 'x' exists"):
        catalog.create("x")


@pytest.mark.parametrize(("slug", "fields"), [("../x", {}), ("X", {}), ("x", {"retention": -1}), ("x", {"color": 1})])
def test_an_invalid_definition_creates_nothing(catalog: Catalog, slug: str, fields: dict[str, object]) -> None:
    """Neither a file nor the directory is created."""
    with pytest.raises(InvalidDefinition):
        catalog.create(slug, **fields)
    assert not catalog.directory.exists()


def test_directory_cannot_be_created(tmp_path: Path) -> None:
    """The error is one clear line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveUnavailable, match=rf"\A{tmp_path}/file: cannot be created: File exists\Z"):
        Catalog(tmp_path / "file").create("x")
    with pytest.raises(ArchiveUnavailable, match=rf"\A{tmp_path}/file/x: cannot be created: Not a directory\Z"):
        Catalog(tmp_path / "file" / "x").prepare()
    with pytest.raises(ArchiveUnavailable, match=rf"\A{tmp_path}/file: cannot be read: Not a directory\Z"):
        Catalog(tmp_path / "file").slugs()
    with open_directory() as directory, unprivileged(directory, 0o500), pytest.raises(ArchiveUnavailable):
        Catalog(directory / "x").prepare()


def test_directory_cannot_be_written() -> None:
    """`prepare` raises an error."""
    with open_directory() as directory:
        with unprivileged(directory, 0o500), pytest.raises(ArchiveUnavailable) as caught:
            Catalog(directory).prepare()
        assert f"{directory}: cannot be written: Permission denied" == str(caught.value)
        Catalog(directory).prepare()
        assert [] == list(directory.iterdir())


def test_directory_cannot_be_read() -> None:
    """An unreadable directory is an error and not empty."""
    with open_directory() as directory:
        catalog = Catalog(directory)
        catalog.create("x")
        with unprivileged(directory, 0o000):
            with pytest.raises(ArchiveUnavailable, match="cannot be read: Permission denied"):
                catalog.slugs()
            with pytest.raises(ArchiveUnavailable, match="cannot be used now: Permission denied"):
                catalog["x"]


def test_slugs(catalog: Catalog) -> None:
    """Archives are the files, or links to files elsewhere, with valid names; they are sorted."""
    for slug in ("b", "a-2", "a_1", "0"):
        catalog.create(slug)
    directory = catalog.directory
    elsewhere = Catalog(directory / "elsewhere").create("x").path
    (directory / "link.db").symlink_to(elsewhere)
    (directory / "again.db").symlink_to(directory / "a-2.db")
    (directory / "dangling.db").symlink_to(directory / "gone.db")
    (directory / "directory.db").mkdir()
    (directory / "garbage.db").write_text("garbage")
    for other in ("Upper.db", ".hidden.db", "x.db-wal", "x.db.bak", "x", "x.sqlite", "two.parts.db", ".db"):
        (directory / other).write_text("")
    assert ["0", "a-2", "a_1", "b", "garbage", "link"] == catalog.slugs()
    assert catalog.slugs() == [archive.slug for archive in catalog.archives()]


@pytest.mark.parametrize("slug", ["gone", "dangling", "directory", "../data/x", "X", "", "x.db", 1, None])
def test_unknown(catalog: Catalog, slug: str) -> None:
    """Only the slug of an archive finds it."""
    catalog.create("x")
    (catalog.directory / "directory.db").mkdir()
    (catalog.directory / "dangling.db").symlink_to("gone.db")
    assert slug not in catalog
    with pytest.raises(UnknownArchive, match="there is no archive"):
        catalog[slug]
    with pytest.raises(UnknownArchive, match="there is no archive"):
        catalog.delete(slug)
    assert ["x"] == catalog.slugs()


def test_link(catalog: Catalog) -> None:
    """A link is an archive under its own name; deleting it keeps its target."""
    archive = Catalog(catalog.directory / "elsewhere").create("x")
    (catalog.directory / "link.db").symlink_to(archive.path)
    catalog["link"].record([("a", 1, NOW)])
    assert ["a"] == archive.names()
    assert ("link", "x") == (catalog["link"].definition().slug, catalog["link"].definition().name)
    catalog.delete("link")
    assert ([], ["a"]) == (catalog.slugs(), archive.names())
    check_file(archive)


def test_delete(catalog: Catalog) -> None:
    """A deleted archive leaves no files, and its slug can be used again."""
    archive = catalog.create("x")
    archive.record([("a", 1, NOW)])
    catalog.delete("x")
    assert [] == list(catalog.directory.iterdir())
    with pytest.raises(UnknownArchive, match="there is no archive 'x'"):
        archive.names()
    assert [] == catalog.create("x").names()


def test_delete_a_foreign_file(catalog: Catalog) -> None:
    """A file that is not an archive is not deleted."""
    catalog.prepare()
    (catalog.directory / "x.db").write_text("other")
    with pytest.raises(NotAnArchive):
        catalog.delete("x")
    assert "other" == (catalog.directory / "x.db").read_text()


def test_changes_are_seen(catalog: Catalog) -> None:
    """Each operation sees archives that others created, changed or deleted."""
    others = Catalog(catalog.directory)
    others.create("x")
    assert ["x"] == catalog.slugs()
    others["x"].edit(name="new")
    assert "new" == catalog["x"].definition().name
    others.delete("x")
    assert [] == catalog.slugs()


def test_record(catalog: Catalog) -> None:
    """Samples are stored in each enabled archive whose pattern matches, within its retention."""
    catalog.create("all", retention=0)
    catalog.create("hour", retention=1)
    catalog.create("a-only", pattern="a.*", retention=0)
    catalog.create("off", enabled=False)
    catalog.create("nothing", pattern="c")
    assert {
        "a-only": Outcome(stored=2),
        "all": Outcome(stored=4),
        "hour": Outcome(stored=3, expired=1),
        "nothing": Outcome(),
    } == catalog.record(SAMPLES)
    assert ["a.x", "a.y"] == catalog["a-only"].names()
    assert {"a.x": 1, "a.y": 1, "b.x": 2} == catalog["all"].aggregate("count", by="name")
    assert [] == catalog["off"].names()


def test_record_max_names(catalog: Catalog) -> None:
    """The name limit applies to each archive separately."""
    catalog.create("all", retention=0)
    catalog.create("b", pattern="b.*", retention=0)
    assert {"all": Outcome(stored=2, cardinality=2), "b": Outcome(stored=2)} == catalog.record(SAMPLES, max_names=2)


def test_record_validates_first(catalog: Catalog) -> None:
    """An invalid sample stores nothing in any archive."""
    catalog.create("x")
    with pytest.raises(InvalidSample):
        catalog.record([*SAMPLES, ("", 1, NOW)])
    assert [] == catalog["x"].names()


def test_record_beside_a_bad_file(catalog: Catalog) -> None:
    """If an archive fails, the others store their samples before the error is raised."""
    for slug in ("a", "m", "z"):
        catalog.create(slug)
    catalog["m"].path.write_text("garbage")
    with pytest.raises(NotAnArchive, match=r"m\.db"):
        catalog.record(SAMPLES[:1])
    assert ["a.x"] == catalog["a"].names() == catalog["z"].names()


def test_record_while_an_archive_is_deleted(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that was deleted meanwhile is not an error."""
    catalog.create("a")
    catalog.create("b")
    listed = catalog.archives()
    catalog.delete("a")
    monkeypatch.setattr(catalog, "archives", lambda: listed)
    assert {"b": Outcome(stored=1)} == catalog.record(SAMPLES[:1])


def test_threads(catalog: Catalog) -> None:
    """Several threads can create, fill, list and delete with one catalog."""
    failures: list[BaseException] = []
    start = threading.Barrier(6)
    catalog.create("shared", retention=0)

    def run(number: int) -> None:
        try:
            start.wait()
            for _ in range(10):
                catalog.create(f"own{number}", retention=0, pattern=f"own{number}")
                catalog["shared"].record([("a", 1, NOW)])
                assert f"own{number}" in catalog.slugs()
                catalog[f"own{number}"].record([(f"own{number}", 1, NOW)])
                assert [f"own{number}"] == catalog[f"own{number}"].names()
                catalog.delete(f"own{number}")
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
    assert ["shared"] == catalog.slugs()
    assert {"a": 60} == catalog["shared"].aggregate("count", by="name")
    check_file(catalog["shared"])


def test_several_objects_for_one_file(catalog: Catalog) -> None:
    """Archives of several catalogs and of a path use the same file."""
    catalog.create("x", retention=0).record([("a", 1, NOW)])
    for same in (Catalog(str(catalog.directory))["x"], Archive(str(catalog.directory / "x.db"))):
        same.record([("a", 1, NOW)])
    assert {"a": 3} == catalog["x"].aggregate("count", by="name")


def test_a_broken_link_does_not_hide_other_archives(tmp_path: Path) -> None:
    """It is an error when it is used."""
    catalog = Catalog(tmp_path)
    catalog.create("daily")
    (tmp_path / "loop.db").symlink_to(tmp_path / "loop.db")
    (tmp_path / "dangling.db").symlink_to(tmp_path / "gone.db")
    assert ["daily", "loop"] == catalog.slugs()
    with pytest.raises(ArchiveUnavailable, match=r"loop.db: cannot be used now: Too many levels of symbolic links\Z"):
        Archive(tmp_path / "loop.db").definition()


def test_a_link_to_an_archive_elsewhere(tmp_path: Path) -> None:
    """The target is written, and deleting removes only the link."""
    elsewhere = Catalog(tmp_path / "elsewhere").create("real", resolution=10, retention=0)
    catalog = Catalog(tmp_path / "data")
    catalog.prepare()
    (tmp_path / "data" / "link.db").symlink_to(elsewhere.path)
    catalog["link"].record([("a", 1, 1000)])
    assert {"a": 1} == elsewhere.aggregate("count", by="name")
    catalog.delete("link")
    assert [] == list((tmp_path / "data").iterdir())
    assert [elsewhere.path] == list(elsewhere.path.parent.iterdir())
    assert {"a": 1} == elsewhere.aggregate("count", by="name")


def test_the_directory_is_private(tmp_path: Path) -> None:
    """The directory and its archives are only accessible to their owner."""
    archive = Catalog(tmp_path / "new" / "data").create("daily")
    assert [0o700, 0o600] == [path.stat().st_mode & 0o777 for path in (archive.path.parent, archive.path)]


def test_samples_that_are_not_stored_are_counted(tmp_path: Path) -> None:
    """Samples of broken archives and unmatched samples are counted separately."""
    catalog = Catalog(tmp_path, clock=lambda: NOW)
    catalog.create("good", pattern="a")
    catalog.create("off", enabled=False)
    bad = catalog.create("bad", pattern="b")
    with apsw.Connection(str(bad.path)) as other:
        other.execute("DROP TABLE data")
    found = distribute(catalog.archives(), CELLS, now=NOW, max_names=0)
    assert {"good": Outcome(stored=2)} == found.outcomes
    assert (2, 2, 1) == (found.failed, found.unmatched, len(found.errors))


def test_without_archives_all_is_unmatched(tmp_path: Path) -> None:
    """Without archives every sample is unmatched, and there is no error."""
    found = distribute(Catalog(tmp_path).archives(), CELLS, now=NOW, max_names=0)
    assert (6, 0, []) == (found.unmatched, found.failed, found.errors)
