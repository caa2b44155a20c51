"""An archive that is made of a copy again, also over one that is in use."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from tally.engine import Archive, Catalog, schema
from tally.engine import backup as module
from tally.errors import ArchiveExists, ArchiveUnavailable, InvalidDefinition, NotAnArchive, TallyError, UnknownArchive
from tests.engine.model import beside, check_file

NAMES = 500


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A catalog with an archive of many pages."""
    made = Catalog(tmp_path / "data")
    fill(made.create("daily", name="as it was", resolution=10, retention=0), *range(0, 200, 10))
    return made


@pytest.fixture
def copy(catalog: Catalog, tmp_path: Path) -> Path:
    """A copy of it; then it goes on and is edited."""
    target = tmp_path / "copies" / "old.db"
    target.parent.mkdir()
    catalog["daily"].backup(target)
    fill(catalog["daily"], 190, 300)
    catalog["daily"].edit(name="as it is", resolution=20)
    return target


def fill(archive: Archive, *buckets: int) -> None:
    """Commit a sample of 0.5 for each of NAMES names in each bucket."""
    for bucket in buckets:
        archive.commit({bucket: {f"name{i}": (1, 0.5, 0.5, 0.5) for i in range(NAMES)}}, now=bucket)


@pytest.mark.parametrize("slug", ["daily", "other"])
def test_all_is_as_it_was(catalog: Catalog, copy: Path, slug: str) -> None:
    """Over an archive, and under a new slug, there is what the copy has, and it takes samples as any other."""
    before = Archive(copy).values()
    restored = catalog.restore(copy, slug, replace=True)
    assert before == restored.values() == catalog[slug].values()
    assert ("as it was", 10, slug) == (restored.definition().name, restored.definition().resolution, restored.slug)
    fill(restored, 400)
    assert 21 * NAMES == sum(restored.aggregate("count").values())
    check_file(restored)
    assert [] == beside(restored.path)
    assert before == Archive(copy).values()


def test_who_writes_it_goes_on(catalog: Catalog, copy: Path) -> None:
    """What a writer remembers of names and ids does not hold for what is restored, where others have those ids."""
    writer = catalog["daily"]
    writer.commit({300: {"late": (1, 0.5, 0.5, 0.5)}}, now=300)
    catalog.restore(copy, "daily", replace=True)
    writer.commit({300: {"other": (1, 0.5, 0.5, 0.5)}}, now=300)
    writer.commit({300: {"late": (1, 0.5, 0.5, 0.5), "other": (1, 0.5, 0.5, 0.5)}}, now=300)
    assert {"late": 1, "other": 2} == writer.aggregate("count", by="name", since="300")
    check_file(writer)


def test_who_reads_it_sees_what_was_or_what_is(catalog: Catalog, copy: Path) -> None:
    """An answer that is under way ends with what was there, and others have it from now on."""
    now, before = catalog["daily"].values(), Archive(copy).values()
    with schema.opened(catalog["daily"].path) as reader:
        reader.execute("BEGIN; SELECT * FROM meta").fetchall()
        catalog.restore(copy, "daily", replace=True)
        assert 0 == reader.execute("SELECT count(*) FROM data WHERE bucket % 20 <> 0").get
        assert now != before == catalog["daily"].values()
    check_file(catalog["daily"])


def test_it_waits_for_a_commit(catalog: Catalog, copy: Path) -> None:
    """A commit that is under way is not torn: it is there first, and then replaced."""
    before = Archive(copy).values()
    with schema.opened(catalog["daily"].path, write=True) as writer:
        writer.execute("BEGIN IMMEDIATE; INSERT INTO names (name) VALUES ('x')").fetchall()
        thread = threading.Thread(target=catalog.restore, args=(copy, "daily"), kwargs={"replace": True})
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        writer.execute("COMMIT")
    thread.join()
    assert before == catalog["daily"].values()
    check_file(catalog["daily"])


def damaged(path: Path) -> Path:
    """Make a file of which a page is not what it was."""
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(os.urandom(4096))
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str, bool, type[TallyError]]] = {
    "not to be replaced": (lambda copy: copy, "daily", False, ArchiveExists),
    "itself": (lambda copy: copy.parents[1] / "data" / "daily.db", "daily", True, ArchiveExists),
    "no slug": (lambda copy: copy, "No Slug", True, InvalidDefinition),
    "no copy": (lambda copy: copy.with_name("none.db"), "daily", True, UnknownArchive),
    "no copy for a new one": (lambda copy: copy.with_name("none.db"), "other", False, UnknownArchive),
    "damaged": (damaged, "daily", True, NotAnArchive),
    "damaged for a new one": (damaged, "other", False, NotAnArchive),
    "over another application's": (lambda copy: copy, "alien", True, NotAnArchive),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_changes_nothing(catalog: Catalog, copy: Path, kind: str) -> None:
    """Every file in the directory is as it was."""
    make, slug, replace, expected = REFUSED[kind]
    apsw.Connection(str(catalog.directory / "alien.db")).execute("CREATE TABLE data (x)").fetchall()
    given = make(copy)
    before = {path.name: path.read_bytes() for path in catalog.directory.iterdir()}
    with pytest.raises(expected):
        catalog.restore(given, slug, replace=replace)
    assert before == {path.name: path.read_bytes() for path in catalog.directory.iterdir()}


@pytest.mark.parametrize("at_share", [0.0, 0.5])
def test_what_is_broken_off_changes_nothing(
    catalog: Catalog, copy: Path, at_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while it verifies nor while it copies."""
    monkeypatch.setattr(module, "STEP_PAGES", 8)
    now = catalog["daily"].values()

    def stop(done_bytes: int, of_bytes: int) -> None:
        if done_bytes >= at_share * of_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.restore(copy, "daily", replace=True, progress=stop)
    assert now == catalog["daily"].values()
    check_file(catalog["daily"])


def test_no_room(catalog: Catalog, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the copy does not fit beside the archive nothing is begun."""
    now = catalog["daily"].values()
    size = copy.stat().st_size
    usage = shutil.disk_usage(copy)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=size - 1))
    with pytest.raises(ArchiveUnavailable, match=f"it needs {size} bytes, and {size - 1} are free"):
        catalog.restore(copy, "daily", replace=True)
    assert now == catalog["daily"].values()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=size))
    catalog.restore(copy, "daily", replace=True)
    assert now != catalog["daily"].values()
