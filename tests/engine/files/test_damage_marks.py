"""The marks of damaged archives."""

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
    """Nothing is marked at first; a mark has its text, a second one replaces it, and clearing may come twice."""
    assert None is damage_marks.find(path)
    damage_marks.mark(path, "page 3 is malformed")
    assert "page 3 is malformed" == damage_marks.find(path)
    damage_marks.mark(path, "page 4 is malformed")
    assert "page 4 is malformed" == damage_marks.find(path)
    damage_marks.clear(path)
    damage_marks.clear(path)
    assert None is damage_marks.find(path)
    assert [path] == list(path.parent.iterdir())


def test_the_file_says_what_was_found_and_of_which_file(path: Path) -> None:
    """The mark is JSON for people and programs, and stands beside the archive under its slug."""
    damage_marks.mark(path, "page 3 is malformed")
    told = json.loads((path.parent / "daily.damaged").read_text())
    status = path.stat()
    assert ("page 3 is malformed", status.st_dev, status.st_ino) == (told["detail"], told["device"], told["inode"])
    assert told["found"] >= status.st_mtime


def test_every_process_finds_it(path: Path) -> None:
    """Another process sees the mark."""
    damage_marks.mark(path, "page 3 is malformed")
    program = (
        "import pathlib, sys, tally.engine.files.damage_marks as marks; print(marks.find(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(path)]
    assert "page 3 is malformed\n" == run(command, stdout=PIPE, text=True, check=True).stdout


def test_a_mark_is_not_of_the_file_that_comes_in_its_place(path: Path, tmp_path: Path) -> None:
    """A file moved there, made there anew or copied over the archive is not marked; the archive itself still is."""
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
    """A backup of the same size, copied over the same file, is told by its header: it is not in WAL mode."""
    Catalog(tmp_path)["daily"].backup(tmp_path / "copy")
    damage_marks.mark(path, "malformed")
    size = path.stat().st_size
    shutil.copyfile(tmp_path / "copy", path)
    assert (size, None) == (path.stat().st_size, damage_marks.find(path))


def test_further_damage_does_not_clear_it(path: Path) -> None:
    """Bytes that change behind the header leave the mark as it is."""
    damage_marks.mark(path, "malformed")
    with path.open("r+b") as file:
        file.seek(damage_marks.HEADER_BYTES)
        file.write(b"x")
    assert "malformed" == damage_marks.find(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_a_mark_that_cannot_be_read_counts(path: Path, content: bytes) -> None:
    """Rather is an archive told as damaged than a damaged one written to."""
    damage_marks.mark_path(path).write_bytes(content)
    assert "daily.damaged: cannot be read" in (damage_marks.find(path) or "")


def test_a_mark_of_no_archive(tmp_path: Path) -> None:
    """Where there is no archive, or no directory, there is no mark; to mark one is an error."""
    assert None is damage_marks.find(tmp_path / "daily.db")
    assert None is damage_marks.find(tmp_path / "gone" / "daily.db")
    assert None is damage_marks.find(Path(__file__) / "daily.db")
    with pytest.raises(FileNotFoundError):
        damage_marks.mark(tmp_path / "daily.db", "malformed")


def test_a_directory_that_cannot_be_written() -> None:
    """Who marks is told; who clears leaves it to others."""
    with open_directory() as directory:
        path = Catalog(directory).create("daily").path
        path.chmod(0o644)
        with unprivileged(directory, 0o555):
            with pytest.raises(PermissionError):
                damage_marks.mark(path, "malformed")
            damage_marks.clear(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_whoever_may_use_the_archive_may_read_its_mark(path: Path) -> None:
    """A mark that root writes belongs to the archive's owner."""
    os.chown(path, 65_534, 65_534)
    damage_marks.mark(path, "malformed")
    status = damage_marks.mark_path(path).stat()
    assert (65_534, 65_534, 0o600) == (status.st_uid, status.st_gid, status.st_mode & 0o777)


def test_reading_the_header_keeps_the_locks_of_sqlite(path: Path) -> None:
    """A lock that a connection of this process holds on the file is there afterwards, for other processes too."""
    program = f"import apsw; apsw.Connection({str(path)!r}).execute('BEGIN IMMEDIATE')"
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("locking_mode", "exclusive")
        connection.execute("BEGIN EXCLUSIVE")
        assert damage_marks.header(path).startswith(b"SQLite format 3\0")
        assert "locked" in run([sys.executable, "-c", program], stderr=PIPE, text=True, check=False).stderr


@pytest.mark.parametrize("size", [0, 2, 99, 100, 101])
def test_header_of_any_file(tmp_path: Path, size: int) -> None:
    """A file that is shorter than a header gives what it has; one that is missing nothing."""
    (tmp_path / "x").write_bytes(b"x" * size)
    assert b"x" * min(size, 100) == damage_marks.header(tmp_path / "x")
    assert b"" == damage_marks.header(tmp_path / "y")


def test_a_new_archive_of_the_same_slug_is_not_marked(path: Path, tmp_path: Path) -> None:
    """The mark goes with the archive, and does not wait for the next one."""
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
    """Overwrite all pages but the first ones, and return what was there."""
    content = path.read_bytes()
    path.write_bytes(content[: first_page * 4096] + b"\xff" * (len(content) - first_page * 4096))
    return content


def ask_all(archive: Archive) -> list[Any]:
    """Take an answer whose damage shows after its first rows."""
    return list(archive.ask(Question.parse("values", [], aggregate=None, by="time", now=NOW)))


def download_all(archive: Archive) -> list[bytes]:
    """Take a copy."""
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
def test_whatever_finds_damage_marks_the_archive(tmp_path: Path, use: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every use of a catalog's archive does, in whichever process; the log tells it once, with the path."""
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


def test_damage_that_shows_while_an_answer_is_taken_marks_it(tmp_path: Path) -> None:
    """Rows come first, and then the error."""
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
    """Its file stays as it is, byte for byte, also where SQLite would not notice; what can be read is read."""
    archive = filled(tmp_path)
    damage_marks.mark(archive.path, "malformed")
    before = archive.path.read_bytes()
    for each in (archive, Archive(archive.path)):
        with pytest.raises(ArchiveDamaged, match=r"daily.db: is damaged: malformed\Z"):
            USES[write](each)
    assert before == archive.path.read_bytes()
    assert 100 == len(archive.names())


def test_other_errors_mark_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock, another application's file, a newer one, a question that makes no sense or takes too long."""
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
        connection.execute("PRAGMA user_version = 2").fetchall()
    with pytest.raises(NotAnArchive):
        archive.values()
    archive.path.write_bytes(b"garbage" * 1000)
    with pytest.raises(NotAnArchive):
        archive.values()
    assert archive.check().damage
    assert None is archive.damage()


def test_damage_of_another_file_marks_neither(tmp_path: Path) -> None:
    """A copy that is damaged is told when it is restored or asked, and nothing is written beside it."""
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
    """Whether by its slug or by its path; while it is damaged the mark stays."""
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
    """However damaged it is: also where it can no longer be opened, and beside the log of what it was."""
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
    """Where the directory is read-only the catalog knows it, until the file is another one or found sound."""
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
