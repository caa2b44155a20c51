"""Checks whole archives."""

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from tally.engine import Archive, Catalog, Checkup, Contents
from tally.engine.files import schema
from tally.engine.recovery.backup import backup
from tally.engine.storing import sealing
from tally.engine.storing.merging import Cells
from tally.errors import UnknownArchive

NOW = 1_700_000_000


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive with sealed, unsealed and expired rows."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 100)
    made = Catalog(tmp_path, clock=lambda: NOW).create("daily", resolution=10, retention=1)
    for bucket in (NOW - 3610, NOW - 3600, NOW - 10):
        cells: Cells = {bucket: {f"name{i}": (1, 0.5, 0.5, 0.5, None) for i in range(50)}}
        made.commit(cells, now=NOW - 10)
    return made


def test_a_sound_archive(archive: Archive) -> None:
    """The result describes the archive's contents."""
    size = archive.path.stat().st_size
    contents = Contents(archive.definition(), names=50, rows=150, unsealed=50, expired=50, bytes=size, wal_bytes=0)
    assert Checkup("daily", (), contents) == archive.check()


def _changed(path: Path, statements: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statements).fetchall()
    connection.close()


def _overwritten(path: Path, page: int) -> None:
    content = bytearray(path.read_bytes())
    content[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a lost row of the index": (
        lambda path: _changed(path, "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'WHERE "
                                    "sealed', 'WHERE sealed = 0') WHERE name = 'data_by_name'"),
        "data_by_name",
    ),
    "a page": (lambda path: _overwritten(path, path.stat().st_size // 4096 - 1), ""),
    "a seal too many": (
        lambda path: _changed(path, "UPDATE data SET sealed = 1"),
        "50 rows have a wrong sealed flag",
    ),
    "a seal too few": (
        lambda path: _changed(path, f"UPDATE data SET sealed = 0 WHERE bucket = {NOW - 3600} AND id = 1"),
        "1 rows have a wrong sealed flag",
    ),
    "a bucket": (
        lambda path: _changed(path, f"UPDATE data SET bucket = bucket + 1 WHERE bucket = {NOW - 3600}"),
        "50 rows have a bucket that is no multiple of the resolution",
    ),
    "an aggregate": (lambda path: _changed(path, "UPDATE data SET min = 9 WHERE id = 1"), "3 rows have impossible"),
    "a name": (lambda path: _changed(path, "DELETE FROM names WHERE id = 1"), "3 rows have no name"),
    "rows": (lambda path: _changed(path, "DELETE FROM data WHERE id = 1"), "1 names have no rows"),
    "the index": (lambda path: _changed(path, "DROP INDEX data_by_name"), "there is no data_by_name"),
    "the view": (lambda path: _changed(path, "DROP VIEW cells"), "there is no cells"),
    "meta": (lambda path: _changed(path, "DROP TABLE meta"), "there is no meta"),
    "not an archive": (lambda path: path.write_bytes(b"garbage" * 1000), "file is not a database"),
    "nothing": (lambda path: path.write_bytes(b""), "is not a tally archive"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_found(archive: Archive, kind: str) -> None:
    """All kinds of damage are reported, and the file does not change."""
    make, told = DAMAGES[kind]
    make(archive.path)
    before = archive.path.read_bytes()
    checkup = archive.check()
    assert checkup.damage
    assert told in "\n".join(checkup.damage)
    assert before == archive.path.read_bytes()


def test_an_unavailable_archive_is_not_damaged(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result says why it cannot be checked."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 10)
    with schema.OpenArchive(archive.path, write=True) as connection:
        connection.pragma("locking_mode", "exclusive")
        connection.pragma("journal_mode", "delete")
        connection.execute("BEGIN EXCLUSIVE")
        checkup = archive.check()
    assert ((), None) == (checkup.damage, checkup.contents)
    assert checkup.unavailable.endswith("daily.db: cannot be used now: database is locked")


def test_unknown(tmp_path: Path) -> None:
    """A missing file is an error."""
    with pytest.raises(UnknownArchive):
        Archive(tmp_path / "x.db").check()


def test_a_backup_can_be_checked(archive: Archive, tmp_path: Path) -> None:
    """A copy is checked like an archive."""
    backup(archive.path, tmp_path / "copy.db")
    original, copy = archive.check().contents, Archive(tmp_path / "copy.db", clock=lambda: NOW).check()
    assert original is not None
    assert copy.contents is not None
    assert () == copy.damage
    assert (original.rows, original.unsealed, original.expired) == (
        copy.contents.rows,
        copy.contents.unsealed,
        copy.contents.expired,
    )
