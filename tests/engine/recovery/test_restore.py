"""Restores archives from copies, even while they are in use."""

import os
import re
import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import schema
from tally.engine.files.disk import format_size
from tally.engine.recovery import backup as module
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
    """A copy of the archive, which is then changed."""
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
def test_the_restored_data_are_those_of_the_copy(catalog: Catalog, copy: Path, slug: str) -> None:
    """An existing or a new archive has the copy's data and accepts samples."""
    before = Archive(copy).values()
    restored = catalog.restore(copy, slug, replace=True)
    assert before == restored.values() == catalog[slug].values()
    assert ("as it was", 10, slug) == (restored.definition().name, restored.definition().resolution, restored.slug)
    fill(restored, 400)
    assert 21 * NAMES == sum(restored.aggregate("count").values())
    check_file(restored)
    assert [] == beside(restored.path)
    assert before == Archive(copy).values()


def test_a_writer_can_continue(catalog: Catalog, copy: Path) -> None:
    """Its cache of name ids is not used for the restored data."""
    writer = catalog["daily"]
    writer.commit({300: {"late": (1, 0.5, 0.5, 0.5)}}, now=300)
    catalog.restore(copy, "daily", replace=True)
    writer.commit({300: {"other": (1, 0.5, 0.5, 0.5)}}, now=300)
    writer.commit({300: {"late": (1, 0.5, 0.5, 0.5), "other": (1, 0.5, 0.5, 0.5)}}, now=300)
    assert {"late": 1, "other": 2} == writer.aggregate("count", by="name", since="300")
    check_file(writer)


def test_a_reader_sees_old_or_new_data(catalog: Catalog, copy: Path) -> None:
    """An answer in progress has the old data, and later ones the new data."""
    now, before = catalog["daily"].values(), Archive(copy).values()
    with schema.OpenArchive(catalog["daily"].path) as reader:
        reader.execute("BEGIN; SELECT * FROM meta").fetchall()
        catalog.restore(copy, "daily", replace=True)
        assert 0 == reader.execute("SELECT count(*) FROM data WHERE bucket % 20 <> 0").get
        assert now != before == catalog["daily"].values()
    check_file(catalog["daily"])


def test_it_waits_for_a_commit(catalog: Catalog, copy: Path) -> None:
    """A commit in progress ends first."""
    before = Archive(copy).values()
    with schema.OpenArchive(catalog["daily"].path, write=True) as writer:
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
    """Damage a page of a file."""
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
def test_a_rejected_restore_changes_nothing(catalog: Catalog, copy: Path, kind: str) -> None:
    """Every file in the directory is unchanged."""
    make, slug, replace, expected = REFUSED[kind]
    apsw.Connection(str(catalog.directory / "alien.db")).execute("CREATE TABLE data (x)").fetchall()
    given = make(copy)
    before = {path.name: path.read_bytes() for path in catalog.directory.iterdir()}
    with pytest.raises(expected):
        catalog.restore(given, slug, replace=replace)
    assert before == {path.name: path.read_bytes() for path in catalog.directory.iterdir()}


@pytest.mark.parametrize("at_share", [0.0, 0.5])
def test_an_interrupted_restore_changes_nothing(
    catalog: Catalog, copy: Path, at_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be interrupted while it verifies or copies."""
    monkeypatch.setattr(module, "STEP_PAGES", 8)
    now = catalog["daily"].values()

    def stop(done_bytes: int, of_bytes: int) -> None:
        if done_bytes >= at_share * of_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.restore(copy, "daily", replace=True, progress=stop)
    assert now == catalog["daily"].values()
    check_file(catalog["daily"])


class _FullDisk(apsw.Connection):
    def wal_checkpoint(self, *_: object, **__: object) -> tuple[int, int]:
        raise apsw.FullError


@pytest.mark.parametrize("is_empty", [False, True])
def test_no_space(catalog: Catalog, copy: Path, monkeypatch: pytest.MonkeyPatch, is_empty: bool) -> None:
    """It does not start without space for the log and the growth of the file."""
    if is_empty:
        catalog.delete("daily")
        catalog.create("daily")
    archive = catalog["daily"]
    now, size = archive.values(), copy.stat().st_size
    needed = size + max(0, size - archive.path.stat().st_size)
    assert (needed > size) == is_empty
    usage = shutil.disk_usage(copy)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=needed - 1))
    with pytest.raises(ArchiveUnavailable, match=rf"written: .* free \({re.escape(format_size(needed))} required\)"):
        catalog.restore(copy, "daily", replace=True)
    assert now == archive.values()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=needed))
    catalog.restore(copy, "daily", replace=True)
    assert now != archive.values()


def test_an_error_after_the_commit_is_ignored(catalog: Catalog, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later commit checkpoints the log."""
    before = Archive(copy).values()
    with monkeypatch.context() as patched:
        patched.setattr(apsw, "Connection", _FullDisk)
        catalog.restore(copy, "daily", replace=True)
    assert before == catalog["daily"].values()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DROP TABLE data", "there is no data"),
        ("DROP INDEX data_by_name", "there is no data_by_name"),
        ("UPDATE data SET count = -1 WHERE id = 1", "rows have impossible values"),
    ],
)
@pytest.mark.parametrize("slug", ["daily", "other"])
def test_a_copy_that_is_not_sound(catalog: Catalog, copy: Path, slug: str, statement: str, told: str) -> None:
    """A copy that breaks tally's rules is not restored, and the error names the copy."""
    with closing(apsw.Connection(str(copy))) as connection:
        connection.execute(statement).fetchall()
    now = catalog["daily"].values()
    with pytest.raises(NotAnArchive, match=f"old.db: is damaged: .*{told}"):
        catalog.restore(copy, slug, replace=True)
    assert now == catalog["daily"].values()
    assert ["daily"] == [archive.slug for archive in catalog.archives()]


def test_damage_of_the_copy_names_the_copy(catalog: Catalog, copy: Path) -> None:
    """The archive to be replaced is sound."""
    for page in range(8, 16):
        with copy.open("r+b") as file:
            file.seek(page * 4096)
            file.write(bytes(4096))
        with pytest.raises(NotAnArchive) as caught:
            catalog.restore(copy, "daily", replace=True)
        assert str(caught.value).startswith(str(copy))


def test_pages_of_another_size(catalog: Catalog, copy: Path) -> None:
    """The error says what to do, because the pages cannot be copied."""
    with closing(apsw.Connection(str(copy))) as connection:
        connection.execute("PRAGMA page_size = 1024; VACUUM").fetchall()
    with pytest.raises(ArchiveUnavailable, match="pages have 4096 bytes, and the copy's 1024; restore under another"):
        catalog.restore(copy, "daily", replace=True)
    assert Archive(copy).values() == catalog.restore(copy, "other").values()


def test_a_lasting_lock_is_an_error(catalog: Catalog, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite has no message for it here."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 10)
    with schema.OpenArchive(catalog["daily"].path, write=True) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(ArchiveUnavailable, match=r"daily\.db: cannot be used now: database is locked"):
            catalog.restore(copy, "daily", replace=True)
