"""The marks of damaged archives."""

import json
import os
import shutil
import sys
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, run

import apsw
import pytest

from tally.engine import Catalog, damaged
from tests.engine.rights import open_directory, unprivileged


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a new archive."""
    return Catalog(tmp_path).create("daily").path


def test_a_mark_is_found_until_it_is_cleared(path: Path) -> None:
    """Nothing is marked at first; a mark has its text, a second one replaces it, and clearing may come twice."""
    assert None is damaged.find(path)
    damaged.mark(path, "page 3 is malformed")
    assert "page 3 is malformed" == damaged.find(path)
    damaged.mark(path, "page 4 is malformed")
    assert "page 4 is malformed" == damaged.find(path)
    damaged.clear(path)
    damaged.clear(path)
    assert None is damaged.find(path)
    assert [path] == list(path.parent.iterdir())


def test_the_file_says_what_was_found_and_of_which_file(path: Path) -> None:
    """The mark is JSON for people and programs, and stands beside the archive under its slug."""
    damaged.mark(path, "page 3 is malformed")
    told = json.loads((path.parent / "daily.damaged").read_text())
    status = path.stat()
    assert ("page 3 is malformed", status.st_dev, status.st_ino) == (told["detail"], told["device"], told["inode"])
    assert told["found"] >= status.st_mtime


def test_every_process_finds_it(path: Path) -> None:
    """Another process sees the mark."""
    damaged.mark(path, "page 3 is malformed")
    program = f"from pathlib import Path; from tally.engine import damaged; print(damaged.find(Path({str(path)!r})))"
    assert "page 3 is malformed\n" == run([sys.executable, "-c", program], stdout=PIPE, text=True, check=True).stdout


def test_a_mark_is_not_of_the_file_that_comes_in_its_place(path: Path, tmp_path: Path) -> None:
    """A file moved there, made there anew or copied over the archive is not marked; the archive itself still is."""
    other = Catalog(tmp_path).create("other").path
    grown = Catalog(tmp_path).create("grown")
    grown.record([(f"name{i}", 1, 1000) for i in range(1000)])
    damaged.mark(path, "malformed")
    kept = path.rename(tmp_path / "kept")
    assert None is damaged.find(path)
    shutil.copyfile(other, path)
    assert None is damaged.find(path)
    kept.replace(path)
    assert "malformed" == damaged.find(path)
    shutil.copyfile(grown.path, path)
    assert None is damaged.find(path)


def test_a_backup_that_is_copied_over_the_archive_is_not_marked(path: Path, tmp_path: Path) -> None:
    """A backup of the same size, copied over the same file, is told by its header: it is not in WAL mode."""
    Catalog(tmp_path)["daily"].backup(tmp_path / "copy")
    damaged.mark(path, "malformed")
    size = path.stat().st_size
    shutil.copyfile(tmp_path / "copy", path)
    assert (size, None) == (path.stat().st_size, damaged.find(path))


def test_further_damage_does_not_clear_it(path: Path) -> None:
    """Bytes that change behind the header leave the mark as it is."""
    damaged.mark(path, "malformed")
    with path.open("r+b") as file:
        file.seek(damaged.HEADER_BYTES)
        file.write(b"x")
    assert "malformed" == damaged.find(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_a_mark_that_cannot_be_read_counts(path: Path, content: bytes) -> None:
    """Rather is an archive told as damaged than a damaged one written to."""
    damaged.mark_path(path).write_bytes(content)
    assert "daily.damaged: cannot be read" in (damaged.find(path) or "")


def test_a_mark_of_no_archive(tmp_path: Path) -> None:
    """Where there is no archive, or no directory, there is no mark; to mark one is an error."""
    assert None is damaged.find(tmp_path / "daily.db")
    assert None is damaged.find(tmp_path / "gone" / "daily.db")
    assert None is damaged.find(Path(__file__) / "daily.db")
    with pytest.raises(FileNotFoundError):
        damaged.mark(tmp_path / "daily.db", "malformed")


def test_a_directory_that_cannot_be_written() -> None:
    """Who marks is told; who clears leaves it to others."""
    with open_directory() as directory:
        path = Catalog(directory).create("daily").path
        path.chmod(0o644)
        with unprivileged(directory, 0o555):
            with pytest.raises(PermissionError):
                damaged.mark(path, "malformed")
            damaged.clear(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_whoever_may_use_the_archive_may_read_its_mark(path: Path) -> None:
    """A mark that root writes belongs to the archive's owner."""
    os.chown(path, 65_534, 65_534)
    damaged.mark(path, "malformed")
    status = damaged.mark_path(path).stat()
    assert (65_534, 65_534, 0o600) == (status.st_uid, status.st_gid, status.st_mode & 0o777)


def test_reading_the_header_keeps_the_locks_of_sqlite(path: Path) -> None:
    """A lock that a connection of this process holds on the file is there afterwards, for other processes too."""
    program = f"import apsw; apsw.Connection({str(path)!r}).execute('BEGIN IMMEDIATE')"
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("locking_mode", "exclusive")
        connection.execute("BEGIN EXCLUSIVE")
        assert damaged.header(path).startswith(b"SQLite format 3\0")
        assert "locked" in run([sys.executable, "-c", program], stderr=PIPE, text=True, check=False).stderr


@pytest.mark.parametrize("size", [0, 2, 99, 100, 101])
def test_header_of_any_file(tmp_path: Path, size: int) -> None:
    """A file that is shorter than a header gives what it has; one that is missing nothing."""
    (tmp_path / "x").write_bytes(b"x" * size)
    assert b"x" * min(size, 100) == damaged.header(tmp_path / "x")
    assert b"" == damaged.header(tmp_path / "y")


def test_a_new_archive_of_the_same_slug_is_not_marked(path: Path, tmp_path: Path) -> None:
    """The mark goes with the archive, and does not wait for the next one."""
    damaged.mark(path, "malformed")
    Catalog(tmp_path).delete("daily")
    assert [] == list(tmp_path.iterdir())
    damaged.mark_path(path).write_text("")
    Catalog(tmp_path).create("daily")
    assert None is damaged.find(path)
