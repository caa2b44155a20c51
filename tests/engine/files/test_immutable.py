"""Files that are read as if nobody could change them: on a full disk, and where nobody may write."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.files.immutable import Frozen, check_unchanged
from tally.errors import ArchiveUnavailable
from tests.survive.test_disk_full import filled, small_disk

NOW = 1_700_000_000
SAMPLES = [(f"name{i}", i, NOW - 10 * at) for at in range(50) for i in range(100)]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A disk of its own, so small that it can be filled."""
    if shutil.which("mount") is None:
        pytest.skip("a disk of its own cannot be mounted")
    with small_disk() as disk:
        yield disk


def fill(directory: Path) -> Archive:
    """Make an archive and fill the disk."""
    archive = Catalog(directory, clock=lambda: NOW).create("daily", resolution=10, retention=0)
    archive.record(SAMPLES)
    filled(directory).fill(None)  # type: ignore[arg-type]
    return archive


def chunks(archive: Archive) -> Iterator[bytes]:
    """Return an answer of several chunks."""
    return iter(archive.ask(Question.parse("values", [("format", "rows")], aggregate=None, by="time", now=NOW)))


READS: dict[str, Callable[[Archive], object]] = {
    "definition": Archive.definition,
    "summary": Archive.summary,
    "names": Archive.names,
    "values": Archive.values,
    "answer": lambda archive: b"".join(chunks(archive)),
    "check": lambda archive: archive.check().damage,
}


def test_on_a_full_disk_an_archive_can_be_read_and_copied(directory: Path, tmp_path: Path) -> None:
    """Where it has no log beside it every question is answered, and a backup to another disk is made and sound."""
    archive = Catalog(directory, clock=lambda: NOW).create("daily", resolution=10, retention=0)
    archive.record(SAMPLES)
    before = {name: read(archive) for name, read in READS.items()}
    filled(directory).fill(None)  # type: ignore[arg-type]
    assert before == {name: read(archive) for name, read in READS.items()}
    archive.backup(tmp_path / "copy.db")
    copy = Archive(tmp_path / "copy.db", clock=lambda: NOW)
    assert (before["values"], ()) == (copy.values(), copy.check().damage)
    with pytest.raises(ArchiveUnavailable, match=r"daily.db: cannot be used now: the disk is full \(0 bytes free\)"):
        archive.record([("a", 1, NOW)])


def test_with_a_log_beside_it_the_error_says_that_the_disk_is_full(directory: Path) -> None:
    """What is in the log would be missing from an answer without it."""
    archive = Catalog(directory, clock=lambda: NOW).create("daily", resolution=10, retention=0)
    program = (
        f"import apsw, os; c = apsw.Connection({str(archive.path)!r}); c.wal_autocheckpoint(0);"
        " c.execute('INSERT INTO names VALUES (1, 1)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    (directory / "daily.db-shm").unlink()
    filled(directory).fill(None)  # type: ignore[arg-type]
    for read in (Archive.definition, Archive.names, Archive.values):
        with pytest.raises(ArchiveUnavailable, match=r"cannot be used now: the disk is full \(0 bytes free\)"):
            read(archive)
    assert "the disk is full" in archive.check().unavailable


def test_what_was_read_while_the_file_changed_does_not_count(directory: Path) -> None:
    """Once there is room again and somebody writes, the reader without a lock gets an error, and marks no damage."""
    archive = fill(directory)
    answer = chunks(archive)
    first = next(answer)
    (directory / "other").unlink()
    Catalog(directory, clock=lambda: NOW)["daily"].record([("name1", 1, NOW)])
    with pytest.raises(ArchiveUnavailable, match=r"daily.db: was written while it was read without a lock: ask again"):
        list(answer)
    content = archive.path.read_bytes()
    assert first
    with closing(Frozen(archive.path)) as connection:
        archive.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        with pytest.raises(ArchiveUnavailable):
            check_unchanged(connection)
    assert None is archive.damage()


def test_closing_one_keeps_the_locks_of_others(tmp_path: Path) -> None:
    """A lock that another connection of this process holds on the file is there afterwards."""
    path = Catalog(tmp_path).create("daily").path
    program = f"import apsw; apsw.Connection({str(path)!r}).execute('BEGIN IMMEDIATE')"
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("locking_mode", "exclusive")
        connection.execute("BEGIN EXCLUSIVE")
        Frozen(path).close()
        assert "locked" in subprocess.run([sys.executable, "-c", program], stderr=PIPE, text=True, check=False).stderr


def test_files_that_cannot_grow_are_read(tmp_path: Path) -> None:
    """The same where it is not the disk that is full: a limit of the process, or a quota."""
    archive = Catalog(tmp_path, clock=lambda: NOW).create("daily", resolution=10, retention=0)
    archive.record(SAMPLES)
    expected = archive.values("sum", q="name7")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        assert expected == archive.values("sum", q="name7")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
