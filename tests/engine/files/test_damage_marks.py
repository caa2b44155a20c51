"""Marks of damaged archives."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from subprocess import PIPE, run
from typing import Any

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.files import damage_marks, schema
from tally.errors import ArchiveDamaged, ArchiveUnavailable, InvalidQuestion, NotAnArchive, QueryTimeout
from tests.engine.rights import open_directory, unprivileged

NOW = 1_700_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a new archive."""
    return Catalog(tmp_path).create("daily").path


def test_a_mark_is_found_until_it_is_cleared(path: Path) -> None:
    """A mark has its text, a second mark replaces it, and clearing twice is no error."""
    assert None is damage_marks.find(path)
    damage_marks.mark(path, "page 3 is malformed")
    assert "page 3 is malformed" == damage_marks.find(path)
    damage_marks.mark(path, "page 4 is malformed")
    assert "page 4 is malformed" == damage_marks.find(path)
    damage_marks.clear(path)
    damage_marks.clear(path)
    assert None is damage_marks.find(path)
    assert [path] == list(path.parent.iterdir())


def test_the_content_of_a_mark(path: Path) -> None:
    """A mark is a JSON file beside the archive that describes the damage and identifies the file."""
    damage_marks.mark(path, "page 3 is malformed")
    told = json.loads((path.parent / "daily.damaged").read_text())
    status = path.stat()
    assert ("page 3 is malformed", status.st_dev, status.st_ino) == (told["detail"], told["device"], told["inode"])
    assert told["found"] >= status.st_mtime


def test_every_process_finds_it(path: Path) -> None:
    """Another process finds the mark."""
    damage_marks.mark(path, "page 3 is malformed")
    program = (
        "import pathlib, sys, tally.engine.files.damage_marks as marks; print(marks.find(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(path)]
    assert "page 3 is malformed\n" == run(command, stdout=PIPE, text=True, check=True).stdout


def test_a_mark_does_not_apply_to_a_replacement(path: Path, tmp_path: Path) -> None:
    """A file that is moved, created or copied over the archive is not marked."""
    other = Catalog(tmp_path).create("other").path
    grown = Catalog(tmp_path).create("grown")
    grown.record([(f"name{i}", 1, 1000) for i in range(1000)])
    damage_marks.mark(path, "malformed")
    kept = path.rename(tmp_path / "kept")
    assert None is damage_marks.find(path)
    shutil.copyfile(other, path)
    assert None is damage_marks.find(path)
    kept.replace(path)
    assert "malformed" == damage_marks.find(path)
    shutil.copyfile(grown.path, path)
    assert None is damage_marks.find(path)


def test_a_backup_that_is_copied_over_the_archive_is_not_marked(path: Path, tmp_path: Path) -> None:
    """A backup of the same size in the same inode has another header, as it is not in WAL mode."""
    Catalog(tmp_path)["daily"].backup(tmp_path / "copy")
    damage_marks.mark(path, "malformed")
    size = path.stat().st_size
    shutil.copyfile(tmp_path / "copy", path)
    assert (size, None) == (path.stat().st_size, damage_marks.find(path))


def test_further_damage_does_not_clear_it(path: Path) -> None:
    """The mark still applies if bytes after the header change."""
    damage_marks.mark(path, "malformed")
    with path.open("r+b") as file:
        file.seek(damage_marks.HEADER_BYTES)
        file.write(b"x")
    assert "malformed" == damage_marks.find(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_a_mark_that_cannot_be_read_counts(path: Path, content: bytes) -> None:
    """An unreadable mark counts as damage, so that no damaged archive is written to."""
    damage_marks.mark_path(path).write_bytes(content)
    assert "daily.damaged: cannot be read" in (damage_marks.find(path) or "")


def test_a_mark_of_no_archive(tmp_path: Path) -> None:
    """A missing archive or directory has no mark, and marking it is an error."""
    assert None is damage_marks.find(tmp_path / "daily.db")
    assert None is damage_marks.find(tmp_path / "gone" / "daily.db")
    assert None is damage_marks.find(Path(__file__) / "daily.db")
    with pytest.raises(FileNotFoundError):
        damage_marks.mark(tmp_path / "daily.db", "malformed")


def test_a_directory_that_cannot_be_written() -> None:
    """Marking raises an error, and clearing ignores it."""
    with open_directory() as directory:
        path = Catalog(directory).create("daily").path
        path.chmod(0o644)
        with unprivileged(directory, 0o555):
            with pytest.raises(PermissionError):
                damage_marks.mark(path, "malformed")
            damage_marks.clear(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_mark_belongs_to_the_owner_of_the_archive(path: Path) -> None:
    """This includes marks written by root."""
    os.chown(path, 65_534, 65_534)
    damage_marks.mark(path, "malformed")
    status = damage_marks.mark_path(path).stat()
    assert (65_534, 65_534, 0o600) == (status.st_uid, status.st_gid, status.st_mode & 0o777)


def test_reading_the_header_keeps_the_locks_of_sqlite(path: Path) -> None:
    """Other processes still see the lock of a connection in this process."""
    program = f"import apsw; apsw.Connection({str(path)!r}).execute('BEGIN IMMEDIATE')"
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("locking_mode", "exclusive")
        connection.execute("BEGIN EXCLUSIVE")
        assert damage_marks.header(path).startswith(b"SQLite format 3\0")
        assert "locked" in run([sys.executable, "-c", program], stderr=PIPE, text=True, check=False).stderr


@pytest.mark.parametrize("size", [0, 2, 99, 100, 101])
def test_header_of_any_file(tmp_path: Path, size: int) -> None:
    """A short file gives the bytes that it has, and a missing file none."""
    (tmp_path / "x").write_bytes(b"x" * size)
    assert b"x" * min(size, 100) == damage_marks.header(tmp_path / "x")
    assert b"" == damage_marks.header(tmp_path / "y")


def test_a_new_archive_of_the_same_slug_is_not_marked(path: Path, tmp_path: Path) -> None:
    """Deleting an archive deletes its mark."""
    damage_marks.mark(path, "malformed")
    Catalog(tmp_path).delete("daily")
    assert [] == list(tmp_path.iterdir())
    damage_marks.mark_path(path).write_text("")
    Catalog(tmp_path).create("daily")
    assert None is damage_marks.find(path)


def filled(directory: Path, slug: str = "daily") -> Archive:
    """Return a new archive with rows in many pages."""
    archive = Catalog(directory, clock=lambda: NOW).create(slug, resolution=10, retention=0)
    archive.record([(f"name{i}", 1, NOW - 10 * at) for at in range(20) for i in range(100)])
    return archive


def overwrite(path: Path, *, first_page: int = 2) -> bytes:
    """Overwrite all pages but the first ones, and return the old content."""
    content = path.read_bytes()
    path.write_bytes(content[: first_page * 4096] + b"\xff" * (len(content) - first_page * 4096))
    return content


def ask_all(archive: Archive) -> list[Any]:
    """Read an answer whose damage shows after its first rows."""
    return list(archive.ask(Question.parse("values", [], aggregate=None, by="time", now=NOW)))


def download_all(archive: Archive) -> list[bytes]:
    """Read a whole download."""
    with closing(archive.download()) as download:
        return list(download)


USES: dict[str, Callable[[Archive], object]] = {
    "definition": Archive.definition,
    "summary": Archive.summary,
    "points": Archive.points,
    "names": Archive.names,
    "values": Archive.values,
    "answer": ask_all,
    "commit": lambda archive: archive.commit({NOW: {"a": (1, 1, 1, 1)}}, now=NOW),
    "record": lambda archive: archive.record([("a", 1, NOW)]),
    "edit": lambda archive: archive.edit(resolution=20),
    "check": Archive.check,
    "backup": lambda archive: archive.backup(archive.path.with_name("copy")),
    "download": download_all,
}


@pytest.mark.parametrize("use", USES)
def test_every_operation_that_finds_damage_marks_the_archive(
    tmp_path: Path, use: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, with the path."""
    archive = filled(tmp_path)
    overwrite(archive.path, first_page=1)
    assert None is archive.damage()
    with caplog.at_level("ERROR"):
        for _ in range(2):
            with suppress(ArchiveDamaged):
                USES[use](Catalog(tmp_path, clock=lambda: NOW)["daily"])
    assert archive.damage()
    assert archive.damage() == damage_marks.find(archive.path)
    told = f"{archive.path}: is damaged: {archive.damage()}; nothing is written to it until"
    assert [True] == [text.startswith(told) for text in caplog.messages]


def test_damage_found_while_reading_an_answer_marks_the_archive(tmp_path: Path) -> None:
    """Rows are returned first, and then the error is raised."""
    archive = filled(tmp_path)
    archive.record([(f"name{i}", 1, NOW + 10 * at) for at in range(200) for i in range(100)])
    content = archive.path.read_bytes()
    archive.path.write_bytes(content[: len(content) // 2 // 4096 * 4096] + b"\xff" * (len(content) // 2 // 4096 * 4096))
    chunks: list[bytes] = []
    with pytest.raises(ArchiveDamaged):
        chunks.extend(archive.ask(Question.parse("values", [], aggregate=None, by="time", now=NOW)))
    assert archive.damage()


@pytest.mark.parametrize("write", ["commit", "record", "edit"])
def test_a_marked_archive_is_not_written_to(tmp_path: Path, write: str) -> None:
    """The file does not change, even if SQLite would not notice the damage, and can still be read."""
    archive = filled(tmp_path)
    damage_marks.mark(archive.path, "malformed")
    before = archive.path.read_bytes()
    for each in (archive, Archive(archive.path)):
        with pytest.raises(ArchiveDamaged, match=r"daily.db: is damaged: malformed\Z"):
            USES[write](each)
    assert before == archive.path.read_bytes()
    assert 100 == len(archive.names())


def test_other_errors_mark_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks, foreign or newer files, invalid questions and timeouts do not mark the archive."""
    archive = filled(tmp_path)
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 0)
    with closing(apsw.Connection(str(archive.path))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(ArchiveUnavailable):
            archive.record([("a", 1, NOW)])
        connection.execute("ROLLBACK")
        with pytest.raises(InvalidQuestion):
            archive.values(step=7)
        with pytest.raises(QueryTimeout):
            list(archive.ask(Question.parse("values", [], aggregate=None, by="time", now=NOW), timeout_s=-1))
        connection.execute("PRAGMA user_version = 3").fetchall()
    with pytest.raises(NotAnArchive):
        archive.values()
    archive.path.write_bytes(b"garbage" * 1000)
    with pytest.raises(NotAnArchive):
        archive.values()
    assert archive.check().damage
    assert None is archive.damage()


def test_damage_of_another_file_marks_neither(tmp_path: Path) -> None:
    """A damaged copy raises an error when it is restored or queried, and is not marked."""
    archive, other = filled(tmp_path), tmp_path / "copies" / "copy.db"
    other.parent.mkdir()
    archive.backup(other)
    overwrite(other, first_page=1)
    for use in (
        lambda: Catalog(tmp_path).restore(other, "daily", replace=True),
        lambda: Catalog(tmp_path).restore(other, "another"),
        lambda: archive.backup(other, replace=True),
        Archive(other).values,
    ):
        with pytest.raises(ArchiveDamaged):
            use()
    assert Archive(other).check().damage
    assert (None, None, [other]) == (archive.damage(), Archive(other).damage(), list(other.parent.iterdir()))


@pytest.mark.parametrize("make", [Archive, lambda path: Catalog(path.parent)["daily"]])
def test_a_check_that_finds_it_sound_clears_the_mark(tmp_path: Path, make: Callable[[Path], Archive]) -> None:
    """The check may use the slug or the path; while the archive is damaged the mark stays."""
    archive = filled(tmp_path)
    content = overwrite(archive.path)
    assert Catalog(tmp_path)["daily"].check().damage
    assert make(archive.path).check().damage
    assert archive.damage()
    with archive.path.open("r+b") as file:
        file.write(content)
    assert archive.damage()
    assert () == make(archive.path).check().damage
    assert None is archive.damage()
    archive.record([("a", 1, NOW)])


@pytest.mark.parametrize("first_page", [1, 2, 5])
def test_restoring_a_damaged_archive_clears_the_mark(tmp_path: Path, first_page: int) -> None:
    """This includes archives that can no longer be opened, or that have an old log."""
    archive = filled(tmp_path)
    archive.backup(tmp_path / "copy")
    expected = archive.values()
    archive.path.chmod(0o640)
    overwrite(archive.path, first_page=first_page)
    with suppress(ArchiveDamaged):
        archive.values()
    (tmp_path / "daily.db-wal").write_bytes(b"a log of another file")
    archive = Catalog(tmp_path, clock=lambda: NOW).restore(tmp_path / "copy", "daily", replace=True)
    assert (None, expected, 0o640) == (archive.damage(), archive.values(), archive.path.stat().st_mode & 0o777)
    archive.record([("a", 1, NOW)])
    assert ((), ["copy", "daily.db"]) == (archive.check().damage, sorted(each.name for each in tmp_path.iterdir()))


def test_a_mark_that_cannot_be_written_is_remembered(caplog: pytest.LogCaptureFixture) -> None:
    """The catalog remembers the damage until the file is replaced or found sound."""
    with open_directory() as directory:
        filled(directory)
        path = directory / "daily.db"
        path.chmod(0o644)
        content = overwrite(path, first_page=1)
        catalog = Catalog(directory)
        with unprivileged(directory, 0o555):
            for _ in range(2):
                with pytest.raises(ArchiveDamaged):
                    catalog["daily"].values()
            assert catalog["daily"].damage()
            assert None is Catalog(directory)["daily"].damage()
            assert 1 == len(caplog.messages)
        path.write_bytes(content[:-4096])
        assert None is catalog["daily"].damage()
