"""Copies of an archive while it is written, and what a copy must not replace."""

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import schema
from tally.engine.files.disk import format_size
from tally.engine.recovery import backup as module
from tally.engine.recovery.backup import Download
from tally.errors import ArchiveExists, ArchiveUnavailable, NotAnArchive, TallyError, UnknownArchive
from tests.engine.model import beside, check_file
from tests.engine.rights import open_directory, unprivileged

NAMES = 500
LIMIT_S = 30


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive of many pages."""
    made = Catalog(tmp_path / "data").create("daily", resolution=10, retention=0)
    for bucket in range(0, 200, 10):
        fill(made, bucket)
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The path of a copy in an empty directory."""
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies" / "daily.db"


def fill(archive: Archive, bucket: int) -> None:
    """Commit a sample of 0.5 for each of NAMES names."""
    archive.commit({bucket: {f"name{i}": (1, 0.5, 0.5, 0.5) for i in range(NAMES)}}, now=bucket)


def journal(path: Path) -> tuple[int, int]:
    """Return the two bytes of a file's header that give its journal mode: 1 for DELETE, 2 for WAL."""
    header = path.read_bytes()[:100]
    return header[18], header[19]


def test_a_copy_is_an_archive(archive: Archive, target: Path) -> None:
    """A copy has the archive's data in one private file, and accepts samples of its own."""
    archive.backup(target)
    copy = Archive(target)
    assert archive.values() == copy.values()
    assert archive.definition() == copy.definition()
    assert ([target], 0o600, (1, 1)) == (list(target.parent.iterdir()), target.stat().st_mode & 0o777, journal(target))
    fill(copy, 300)
    assert 21 == len(copy.aggregate("count"))
    assert (2, 2) == journal(target)
    check_file(copy)


def test_a_copy_opens_in_a_read_only_directory(archive: Archive) -> None:
    """SQLite opens it without options."""
    with open_directory() as directory:
        target = directory / "daily.db"
        archive.backup(target)
        target.chmod(0o644)
        values = archive.values()
        with unprivileged(directory, 0o555):
            with closing(apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
                assert NAMES == connection.execute("SELECT count(*) FROM names").get
            assert values == Archive(target).values()


def test_a_copy_is_of_one_moment(archive: Archive, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit during the copy is not in the copy and is not delayed."""
    monkeypatch.setattr(module, "STEP_PAGES", 10)
    before = archive.aggregate("count")
    steps: list[int] = []

    def commit(done: int, total: int) -> None:
        assert done <= total
        steps.append(done)
        fill(archive, 1000 + 10 * len(steps))

    archive.backup(target, progress=commit)
    assert steps == sorted(steps)
    assert len(steps) > 10
    assert before == Archive(target).aggregate("count")
    assert len(before) + len(steps) == len(archive.aggregate("count"))
    check_file(archive)
    check_file(Archive(target))


def test_a_damaged_archive_is_not_copied(archive: Archive, target: Path) -> None:
    """Damage to a page that no query has read is found, and no copy is made."""
    content = bytearray(archive.path.read_bytes())
    content[-4096:] = b"\xff" * 4096
    archive.path.write_bytes(content)
    with pytest.raises(NotAnArchive, match=rf"\A{archive.path}: [^\n]*damaged: [^\n]*\Z"):
        archive.backup(target)
    assert [] == list(target.parent.iterdir())


def test_a_missing_archive_is_not_copied(tmp_path: Path, target: Path) -> None:
    """No file is created."""
    with pytest.raises(UnknownArchive):
        Archive(tmp_path / "x.db").backup(target)
    assert [] == list(target.parent.iterdir())


@pytest.mark.parametrize("kind", ["archive", "other", "directory", "link", "dangling", "itself", "in use"])
@pytest.mark.parametrize("replace", [False, True])
def test_only_an_unused_archive_is_replaced(archive: Archive, target: Path, kind: str, replace: bool) -> None:
    """Even that needs `replace`."""
    if kind in ("archive", "in use"):
        Catalog(target.parent).create("daily")
    if kind == "in use":
        Path(f"{target}-wal").write_text("log")
    if kind == "other":
        target.write_bytes(b"other" * 1000)
    if kind == "directory":
        target.mkdir()
    if kind in ("link", "dangling"):
        target.symlink_to(archive.path if kind == "link" else target.parent / "gone")
    if kind == "itself":
        target = archive.path
    before = (target.is_symlink(), target.read_bytes() if target.is_file() else None)
    if kind == "archive" and replace:
        archive.backup(target, replace=True)
        assert archive.values() == Archive(target).values()
        return
    with pytest.raises((ArchiveExists, NotAnArchive), match=rf"\A{target}"):
        archive.backup(target, replace=replace)
    assert before == (target.is_symlink(), target.read_bytes() if target.is_file() else None)
    assert [] == [path for path in target.parent.iterdir() if path.name.startswith(".")]


def test_a_hard_link_to_the_archive_is_the_archive(archive: Archive, target: Path) -> None:
    """Another name of the archive is not replaced by its copy."""
    target.hardlink_to(archive.path)
    with pytest.raises(ArchiveExists, match="is the archive itself"):
        archive.backup(target, replace=True)


def test_free_space_is_checked(archive: Archive, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that does not fit is not started."""
    size = archive.path.stat().st_size
    usage = shutil.disk_usage(target.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=size - 1))
    with pytest.raises(
        ArchiveUnavailable, match=rf"cannot be written: .* free \({re.escape(format_size(size))} required\)"
    ):
        archive.backup(target)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=size))
    archive.backup(target)


def test_no_directory(archive: Archive, tmp_path: Path) -> None:
    """A missing directory is one clear line."""
    with pytest.raises(ArchiveUnavailable, match=r"x.db: cannot be written: No such file or directory\Z"):
        archive.backup(tmp_path / "gone" / "x.db")


@pytest.mark.parametrize("moment", [0, 1])
def test_an_error_in_progress_stops_the_copy(archive: Archive, target: Path, moment: int) -> None:
    """It leaves no files, during the copy or the verification."""

    def interrupt(done: int, total: int) -> None:
        if done >= total * moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.backup(target, progress=interrupt)
    assert [] == list(target.parent.iterdir())


@pytest.fixture
def download(archive: Archive) -> Iterator[Download]:
    """A download of the archive."""
    made = Download(archive.path)
    yield made
    made.close()


def test_download(archive: Archive, download: Download, target: Path) -> None:
    """A download is a copy in chunks that leaves no files and excludes later commits."""
    before = archive.values()
    first = next(download)
    assert module.CHUNK_BYTES == len(first)
    assert {archive.path, archive.path.with_name(module.DOWNLOAD_LOCK)} == set(archive.path.parent.iterdir())
    fill(archive, 1000)
    target.write_bytes(b"".join([first, *download]))
    assert before == Archive(target).values()
    assert [] == list(download)
    download.close()
    assert [archive.path] == list(archive.path.parent.iterdir())


def test_a_lock_that_a_killed_download_left_is_taken(archive: Archive, download: Download) -> None:
    """The file of the lock alone is in nobody's way, and is removed with the next download."""
    lock = archive.path.with_name(module.DOWNLOAD_LOCK)
    lock.touch()
    assert next(download)
    download.close()
    assert not lock.exists()


def test_a_download_does_not_keep_the_log(archive: Archive, download: Download) -> None:
    """A slow client does not delay checkpoints."""
    next(download)
    fill(archive, 1000)
    assert [] == beside(archive.path)


def test_one_download_at_a_time(archive: Archive, download: Download) -> None:
    """A second download in a directory raises an error until the first ends."""
    next(download)
    with pytest.raises(ArchiveUnavailable, match="another backup is being downloaded: try again later"):
        next(Download(archive.path))
    download.close()
    download.close()
    assert [] == list(download)
    with closing(Download(archive.path)) as second:
        assert next(second)


@pytest.mark.parametrize("error", [UnknownArchive, NotAnArchive])
def test_a_download_that_fails_leaves_nothing(archive: Archive, error: type[TallyError]) -> None:
    """It raises an error if the archive is deleted or damaged, and the next download can start."""
    download = Download(archive.path)
    content = archive.path.read_bytes()
    archive.path.unlink()
    if error is NotAnArchive:
        archive.path.write_bytes(b"garbage" * 1000)
    with pytest.raises(error):
        next(download)
    download.close()
    archive.path.write_bytes(content)
    assert [archive.path] == list(archive.path.parent.iterdir())
    with closing(Download(archive.path)) as second:
        assert next(second)


def test_a_download_is_stopped_while_it_copies(
    archive: Archive, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing it from another thread stops the copy and frees its space."""
    monkeypatch.setattr(module, "STEP_PAGES", 1)
    copying, stopping = threading.Event(), threading.Event()

    def check(_done: int, _total: int) -> None:
        copying.set()
        stopping.wait(LIMIT_S)
        original(_done, _total)

    original = download._check
    monkeypatch.setattr(download, "_check", check)
    chunks: list[bytes] = []
    reader = threading.Thread(target=lambda: chunks.extend(download))
    reader.start()
    assert copying.wait(LIMIT_S)
    closer = threading.Thread(target=download.close)
    closer.start()
    while not download._is_closed:
        closer.join(0.01)
    stopping.set()
    for thread in (reader, closer):
        thread.join(LIMIT_S)
    assert [] == chunks
    assert [archive.path] == list(archive.path.parent.iterdir())


def test_a_file_created_meanwhile_is_kept(archive: Archive, target: Path) -> None:
    """A file that appears at the target during the copy is not replaced."""

    def intrude(done: int, total: int) -> None:
        if done == total:
            target.write_text("other")

    with pytest.raises(ArchiveExists):
        archive.backup(target, progress=intrude)
    assert "other" == target.read_text()
    with schema.OpenArchive(archive.path) as connection:
        assert "wal" == connection.pragma("journal_mode")
