"""The write-ahead log beside an archive."""

import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import schema, wal
from tests.processes import LIMIT_S


def grow(archive: Archive, times: int = 3) -> None:
    """Commit some pages several times."""
    for second in range(times):
        archive.record([(f"name{i}", 1, second) for i in range(500)])


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive, and a small bound."""
    monkeypatch.setattr(wal, "LOG_MAX_BYTES", 100_000)
    return Catalog(tmp_path).create("daily", resolution=1, retention=0)


def test_an_open_read_transaction_keeps_the_log(archive: Archive) -> None:
    """The log is reported while the transaction is open."""
    with closing(apsw.Connection(str(archive.path))) as reader:
        reader.execute("BEGIN")
        assert 0 == reader.execute("SELECT count(*) FROM data").get
        grow(archive)
        size = wal.log_bytes(archive.path)
        assert size > 100_000
        assert size == archive.held_log_bytes() == wal.held_bytes(archive.path)
        grow(archive)
        assert wal.held_bytes(archive.path) > size
        reader.execute("COMMIT")
        assert 0 == archive.held_log_bytes()
        assert wal.log_bytes(archive.path) > 100_000
    assert (0, 0) == (archive.held_log_bytes(), wal.log_bytes(archive.path))


def test_a_short_log_is_not_reported(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below LOG_MAX_BYTES readers are not checked."""
    with closing(apsw.Connection(str(archive.path))) as reader:
        reader.execute("BEGIN")
        assert 0 == reader.execute("SELECT count(*) FROM data").get
        grow(archive)
        size = wal.log_bytes(archive.path)
        monkeypatch.setattr(wal, "LOG_MAX_BYTES", size)
        assert 0 == wal.held_bytes(archive.path)
        monkeypatch.setattr(wal, "LOG_MAX_BYTES", size - 1)
        assert size == wal.held_bytes(archive.path)


def test_the_log_is_beside_the_target_of_a_link(archive: Archive, tmp_path: Path) -> None:
    """SQLite keeps it beside the file itself."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "daily.db").symlink_to(archive.path)
    with closing(apsw.Connection(str(archive.path))) as reader:
        reader.execute("BEGIN")
        assert 0 == reader.execute("SELECT count(*) FROM data").get
        grow(archive)
        assert wal.log_bytes(archive.path) == Catalog(tmp_path / "data")["daily"].held_log_bytes() > 0


def test_an_unusable_archive_has_no_log(archive: Archive, tmp_path: Path) -> None:
    """Missing and damaged archives are reported elsewhere."""
    assert (0, 0) == (wal.log_bytes(tmp_path / "gone.db"), wal.held_bytes(tmp_path / "gone.db"))
    archive.path.write_bytes(b"garbage" * 1000)
    (tmp_path / "daily.db-wal").write_bytes(b"x" * 200_000)
    assert (200_000, 0) == (wal.log_bytes(archive.path), wal.held_bytes(archive.path))


def test_only_an_unused_log_is_removed(archive: Archive, tmp_path: Path) -> None:
    """Its commits are in the file then. A reader keeps it."""
    log = tmp_path / "daily.db-wal"
    with closing(apsw.Connection(str(archive.path))) as reader:
        reader.execute("BEGIN")
        assert 0 == reader.execute("SELECT count(*) FROM data").get
        archive.record([("a", 1, 0)])
        wal.remove_unused_log(archive.path)
        assert log.stat().st_size > 0
        left = {path: path.read_bytes() for path in (archive.path, log)}
    for path, content in left.items():
        path.write_bytes(content)
    wal.remove_unused_log(archive.path)
    assert not log.exists()
    assert {"a": 1} == archive.aggregate("count", by="name")


def test_a_locked_log_is_not_waited_for(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left as it is."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 600_000)
    with closing(apsw.Connection(str(archive.path))) as writer:
        writer.pragma("locking_mode", "exclusive")
        writer.execute("BEGIN EXCLUSIVE")
        removing = threading.Thread(target=wal.remove_unused_log, args=(archive.path,), daemon=True)
        removing.start()
        removing.join(LIMIT_S)
        assert (False, True) == (removing.is_alive(), (tmp_path / "daily.db-wal").exists())
