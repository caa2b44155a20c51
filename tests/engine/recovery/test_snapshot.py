"""Copies a file and its log at one moment."""

import os
from pathlib import Path

import apsw
import pytest

from tally.engine.recovery import snapshot
from tally.errors import ArchiveUnavailable, UnknownArchive

ROWS = 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file whose log has a commit for each of ROWS rows, as a killed process leaves it."""
    connection = apsw.Connection(str(tmp_path / "open.db"))
    connection.pragma("journal_mode", "wal")
    connection.pragma("wal_autocheckpoint", 0)
    connection.execute("CREATE TABLE t (a, b)").fetchall()
    for each in range(ROWS):
        connection.execute("INSERT INTO t VALUES (?, hex(randomblob(300)))", (each,)).fetchall()
    left = tmp_path / "left.db"
    for suffix in ("", "-wal"):
        left.with_name(f"left.db{suffix}").write_bytes((tmp_path / f"open.db{suffix}").read_bytes())
    connection.close()
    return left


def count(path: Path) -> int:
    """Return the number of rows of a sound copy."""
    connection = apsw.Connection(str(path))
    try:
        assert "ok" == connection.pragma("integrity_check")
        return int(connection.execute("SELECT count(*) FROM t").get)
    finally:
        connection.close()


def test_all_commits_of_the_log(path: Path, tmp_path: Path) -> None:
    """The copy has all commits and needs no log, and the original files do not change."""
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    assert snapshot.take(path, tmp_path / "copy")
    assert before == {each: content for each, content in before.items() if each.read_bytes() == content}
    assert before.keys() | {tmp_path / "copy"} == set(tmp_path.iterdir())
    assert ROWS == count(tmp_path / "copy")


@pytest.mark.parametrize(("at", "is_sound", "rows"), [(0.5, False, range(1, ROWS)), (-10, True, range(ROWS - 1, ROWS))])
def test_damage_in_the_log(path: Path, tmp_path: Path, at: float, is_sound: bool, rows: range) -> None:
    """Commits before the damage are applied. Commits after it show that the log is damaged."""
    log = path.with_name("left.db-wal")
    content = bytearray(log.read_bytes())
    place = int(at * len(content)) if at > 0 else len(content) + int(at)
    if is_sound:
        del content[place:]
    else:
        content[place] ^= 1
    log.write_bytes(content)
    assert is_sound == snapshot.take(path, tmp_path / "copy")
    assert count(tmp_path / "copy") in rows


def test_a_log_without_a_header(path: Path, tmp_path: Path) -> None:
    """Nothing of it is applied, and it counts as damaged."""
    log = path.with_name("left.db-wal")
    log.write_bytes(bytes(32) + log.read_bytes()[32:])
    assert not snapshot.take(path, tmp_path / "copy")
    assert path.read_bytes() == (tmp_path / "copy").read_bytes()


def test_no_log(path: Path, tmp_path: Path) -> None:
    """Without a log the copy has the same bytes."""
    path.with_name("left.db-wal").unlink()
    assert snapshot.take(path, tmp_path / "copy")
    assert path.read_bytes() == (tmp_path / "copy").read_bytes()


def test_a_missing_file(tmp_path: Path) -> None:
    """It is an error."""
    with pytest.raises(UnknownArchive):
        snapshot.take(tmp_path / "none.db", tmp_path / "copy")


def test_a_file_that_is_written_all_the_time(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error if the file never stays the same during the copy."""
    monkeypatch.setattr(snapshot, "PAUSE_S", 0)
    copied = snapshot._copy

    def copy(source: Path, target: Path) -> None:
        copied(source, target)
        os.utime(source, ns=(0, 1 + source.stat().st_mtime_ns))

    monkeypatch.setattr(snapshot, "_copy", copy)
    with pytest.raises(ArchiveUnavailable, match="is written all the time"):
        snapshot.take(path, tmp_path / "copy")
