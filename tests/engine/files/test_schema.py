"""Creates, validates, opens and deletes the file of an archive."""

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from tally.engine import Archive, Catalog, Definition
from tally.engine.files import schema
from tally.engine.storing.merging import Cells
from tally.errors import (
    ArchiveDamaged,
    ArchiveExists,
    ArchiveUnavailable,
    NotAnArchive,
    TallyError,
    UnknownArchive,
)
from tests.engine.model import beside, check_file
from tests.engine.rights import open_directory, unprivileged

CELLS: Cells = {1000: {f"name{i}": (1, 0.5, 0.5, 0.5, None) for i in range(1000)}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a new archive."""
    return Catalog(tmp_path).create("daily", resolution=10, retention=0).path


def test_create(path: Path) -> None:
    """A new file has its application id, is in WAL mode, private and empty, and has no side files."""
    connection = apsw.Connection(str(path))
    tables = dict(connection.execute("SELECT name, type FROM sqlite_schema WHERE sql NOT NULL"))
    marks = [connection.pragma(name) for name in ("application_id", "user_version", "journal_mode")]
    connection.close()
    expected = dict.fromkeys(("meta", "names", "data", "totals", "blocks", "deliveries"), "table")
    assert {**expected, "data_by_name": "index", "cells": "view"} == tables
    assert [0x74616C79, 1, "wal"] == marks
    assert 0o600 == path.stat().st_mode & 0o777
    assert [path] == list(path.parent.iterdir())
    check_file(Archive(path))


def test_definition_is_stored(tmp_path: Path) -> None:
    """Every property is read back unchanged; the slug is the file's name."""
    definition = Definition.create(
        "a", name="A", description="é", pattern="x*", resolution=7, retention=3, enabled=False
    )
    schema.create(tmp_path / "b.db", definition)
    assert {**definition.fields(), "slug": "b"} == Archive(tmp_path / "b.db").definition().fields()


def test_create_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is synced after a file is created and after one is deleted."""
    path = tmp_path / "x.db"
    synced: list[tuple[bool, bool]] = []

    def sync(descriptor: int) -> None:
        synced.append((os.path.samestat(os.fstat(descriptor), tmp_path.stat()), path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    schema.create(path, Definition.create("x"))
    schema.delete(path)
    assert [(True, True), (True, False)] == synced


@pytest.mark.parametrize("kind", ["archive", "other", "directory", "dangling"])
def test_create_replaces_nothing(tmp_path: Path, kind: str) -> None:
    """An existing file is kept, and no temporary file is left."""
    path = tmp_path / "x.db"
    makers: dict[str, Callable[[], object]] = {
        "archive": lambda: schema.create(path, Definition.create("x", name="first")),
        "other": lambda: path.write_text("other"),
        "directory": path.mkdir,
        "dangling": lambda: path.symlink_to(tmp_path / "gone"),
    }
    makers[kind]()
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ArchiveExists, match=r"\Aarchive 'x' exists: use another slug, or delete it first\Z"):
        schema.create(path, Definition.create("x", name="second"))
    assert before == (path.read_bytes() if path.is_file() else None)
    assert [path] == list(tmp_path.iterdir())


def test_concurrent_create(tmp_path: Path) -> None:
    """Exactly one of several concurrent calls creates the archive, and the file is complete."""
    catalog = Catalog(tmp_path)
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def create(name: str) -> None:
        start.wait()
        try:
            outcomes.append(catalog.create("x", name=name).definition().name)
        except ArchiveExists:
            outcomes.append("exists")

    threads = [threading.Thread(target=create, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 7 == outcomes.count("exists")
    assert catalog["x"].definition().name in outcomes
    check_file(catalog["x"])


def test_create_beside_an_old_log(path: Path) -> None:
    """The log of an archive that was deleted by hand is not applied to a new archive."""
    archive = Archive(path)
    with closing(schema.connect(path)) as reader:
        reader.execute("BEGIN; SELECT * FROM meta").fetchall()
        archive.commit(CELLS, now=1000)
        copy = path.with_name("copy.db-wal")
        shutil.copy(f"{path}-wal", copy)
    path.unlink()
    copy.rename(f"{path}-wal")
    schema.create(path, Definition.create("daily"))
    assert [] == archive.names()
    check_file(archive)


def test_a_log_is_not_left_to_a_replacement(path: Path, tmp_path: Path) -> None:
    """A commit in progress while the file is replaced does not affect the new file."""
    other = Catalog(tmp_path / "aside").create("daily", resolution=10, retention=0)
    other.record([("other", 1, 1000)])
    (tmp_path / "before.db").hardlink_to(path)
    with schema.OpenArchive(path, write=True) as connection, schema.Transaction(connection):
        connection.execute("INSERT INTO names (name) VALUES ('mine')")
        other.path.rename(path)
    assert ["other"] == Archive(path).names()
    assert ["mine"] == Archive(tmp_path / "before.db").names()
    check_file(Archive(path))


@pytest.mark.parametrize(("mode", "reason"), [(0o500, "Permission denied"), (0o000, "Permission denied")])
def test_create_in_an_unwritable_directory(mode: int, reason: str) -> None:
    """The error is one clear line."""
    with (
        open_directory() as directory,
        unprivileged(directory, mode),
        pytest.raises(ArchiveUnavailable, match=rf"\A{directory}/x.db: cannot be created: {reason}\Z"),
    ):
        schema.create(directory / "x.db", Definition.create("x"))


def test_create_in_no_directory(tmp_path: Path) -> None:
    """`schema` does not create a missing directory."""
    with pytest.raises(ArchiveUnavailable, match=r"x.db: cannot be created: No such file or directory\Z"):
        schema.create(tmp_path / "gone" / "x.db", Definition.create("x"))


def _changed(path: Path, statements: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statements).fetchall()
    connection.close()


def _cut(path: Path, size: float) -> None:
    Archive(path).commit(CELLS, now=1000)
    data = path.read_bytes()
    path.write_bytes(data[: int(size if size > 1 else len(data) * size)])


def _written(path: Path, data: bytes) -> None:
    path.write_bytes(data)


BAD_FILES: dict[str, tuple[type[TallyError], Callable[[Path], None], str]] = {
    "another application's": (
        NotAnArchive,
        lambda path: _replaced(path, "CREATE TABLE t (x)"),
        "is not a tally archive",
    ),
    "another's in WAL mode": (
        NotAnArchive,
        lambda path: _replaced(path, "PRAGMA journal_mode = wal; CREATE TABLE t (x)"),
        "is not a tally archive",
    ),
    "empty": (NotAnArchive, lambda path: _written(path, b""), "is not a tally archive"),
    "one byte": (NotAnArchive, lambda path: _written(path, b"S"), "is not a tally archive"),
    "garbage": (NotAnArchive, lambda path: _written(path, b"garbage" * 1000), "file is not a database"),
    "garbage after a header": (
        ArchiveDamaged,
        lambda path: _written(path, path.read_bytes()[:100] + b"x" * 8092),
        "malformed",
    ),
    "newer": (
        NotAnArchive,
        lambda path: _changed(path, "PRAGMA user_version = 3"),
        "has format 3; this version of tally reads formats 1 and 2",
    ),
    "older": (
        NotAnArchive,
        lambda path: _changed(path, "PRAGMA user_version = 0"),
        "has format 0; this version of tally reads formats 1 and 2",
    ),
    "cut in its header": (NotAnArchive, lambda path: _cut(path, 50), "malformed"),
    "cut after its header": (ArchiveDamaged, lambda path: _cut(path, 100), "malformed"),
    "cut to a page": (ArchiveDamaged, lambda path: _cut(path, 4096), "malformed"),
    "cut in the middle": (ArchiveDamaged, lambda path: _cut(path, 0.5), "malformed"),
    "cut by a page": (ArchiveDamaged, lambda path: _cut(path, path.stat().st_size), "malformed"),
    "cut by a byte": (ArchiveDamaged, lambda path: _cut(path, 0.99999), "is damaged: its last page is cut short"),
    "without meta": (ArchiveDamaged, lambda path: _changed(path, "DROP TABLE meta"), "is damaged: there is no meta"),
    "without a property": (
        ArchiveDamaged,
        lambda path: _changed(path, "DELETE FROM meta WHERE key = 'pattern'"),
        "is damaged: its definition has no pattern",
    ),
    "with an impossible property": (
        ArchiveDamaged,
        lambda path: _changed(path, "UPDATE meta SET value = 0 WHERE key = 'resolution'"),
        "is damaged: resolution 0 is not valid: use a whole number",
    ),
}


def _replaced(path: Path, statements: str) -> None:
    path.unlink()
    _changed(path, statements)


@pytest.mark.parametrize("kind", BAD_FILES)
def test_not_an_archive(path: Path, kind: str) -> None:
    """Every operation rejects a file that is not a sound archive, with one line, and does not change it."""
    error, make, reason = BAD_FILES[kind]
    make(path)
    before = path.read_bytes()
    archive = Archive(path)
    operations: list[Callable[[], object]] = [
        archive.definition,
        archive.summary,
        archive.names,
        archive.values,
        lambda: archive.edit(name="y"),
        lambda: archive.commit({}, now=1000),
        lambda: schema.delete(path),
    ]
    for operation in operations:
        with pytest.raises(NotAnArchive, match=rf"\A{path}: [^\n]*{reason}[^\n]*\Z") as raised:
            operation()
        assert error is raised.type
    assert before == path.read_bytes()
    assert [] == beside(path)


@pytest.mark.parametrize("table", ["data", "names", "data_by_name", "totals", "blocks"])
def test_altered_by_hand(path: Path, table: str) -> None:
    """An archive without one of its tables is damaged."""
    Archive(path).commit(CELLS, now=1000)
    _changed(path, f"DROP {'INDEX' if table == 'data_by_name' else 'TABLE'} {table}")
    archive = Archive(path)
    with pytest.raises(ArchiveDamaged, match=f"damaged: there is no {table}"):
        assert archive.aggregate(by="name") == archive.values()


@pytest.mark.parametrize("write", [False, True])
def test_unknown(tmp_path: Path, write: bool) -> None:
    """A missing file is not created."""
    for name in ("x.db", "directory.db", "x.db/y.db"):
        (tmp_path / "directory.db").mkdir(exist_ok=True)
        with pytest.raises(UnknownArchive, match=r"there is no archive '[a-z]*'"):
            schema.connect(tmp_path / name, write=write)
    assert ["directory.db"] == [each.name for each in tmp_path.iterdir()]


@pytest.mark.parametrize("write", [False, True])
def test_connection(path: Path, write: bool) -> None:
    """Connections wait for locks and commit durably, and only writers can write."""
    with schema.OpenArchive(path, write=write) as connection:
        pragmas = [connection.pragma(name) for name in ("busy_timeout", "synchronous", "query_only")]
    assert [schema.BUSY_TIMEOUT_MS, 2, int(not write)] == pragmas


def test_reader_cannot_write(path: Path) -> None:
    """A connection for reading cannot change an archive."""
    with pytest.raises(ArchiveUnavailable, match="readonly"), schema.OpenArchive(path) as connection:
        connection.execute("DELETE FROM meta")


def test_read_only_directory() -> None:
    """An archive in a read-only directory can be read but not written."""
    with open_directory() as directory:
        archive = Archive(Catalog(directory).create("x", retention=0).path.rename(directory / "50% #1?.db"))
        archive.path.chmod(0o644)
        archive.commit(CELLS, now=1000)
        with unprivileged(directory, 0o555):
            assert 1000 == len(archive.names())
            assert {1000: 500.0} == archive.aggregate("sum")
            for operation in (lambda: archive.commit(CELLS, now=1000), lambda: schema.delete(archive.path)):
                with pytest.raises(ArchiveUnavailable, match=rf"\A{re.escape(str(archive.path))}: cannot be written: "):
                    operation()
            with closing(schema.connect(archive.path)) as connection:
                assert schema.BUSY_TIMEOUT_MS == connection.pragma("busy_timeout")
        assert [archive.path] == list(directory.iterdir())


def test_read_only_file() -> None:
    """A read-only file can be read, and no side files are left."""
    with open_directory() as directory:
        archive = Catalog(directory).create("x", retention=0)
        archive.commit(CELLS, now=1000)
        with unprivileged(archive.path, 0o444):
            assert 1000 == len(archive.names())
            with pytest.raises(ArchiveUnavailable, match="cannot be written: the file or its directory is read-only"):
                archive.commit(CELLS, now=1000)
            assert [] == beside(archive.path)


def test_copy_with_a_log_in_a_read_only_directory() -> None:
    """A copy with a log is not read, because it would be incomplete without the log."""
    with open_directory() as directory:
        archive = Catalog(directory).create("x", retention=0)
        archive.path.chmod(0o644)
        Path(f"{archive.path}-wal").write_bytes(b"log")
        with unprivileged(directory, 0o555), pytest.raises(ArchiveUnavailable, match="it has a -wal beside it"):
            archive.names()


@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_unreadable_file(mode: int) -> None:
    """A file or directory without read permission is unavailable, not unknown."""
    with open_directory() as directory:
        archive = Catalog(directory).create("x")
        target = archive.path if mode == 0 else directory
        with unprivileged(target, mode), pytest.raises(ArchiveUnavailable, match="cannot be used now"):
            archive.names()


@contextmanager
def holding(path: Path) -> Iterator[apsw.Connection]:
    """Hold the write lock of an archive."""
    with schema.OpenArchive(path, write=True) as connection, schema.Transaction(connection):
        yield connection


def test_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that does not get the lock in time raises an error and changes nothing."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 10)
    with holding(path), pytest.raises(ArchiveUnavailable, match="cannot be used now: database is locked"):
        Archive(path).commit(CELLS, now=1000)
    assert [] == Archive(path).names()


def test_waits_for_the_lock(path: Path) -> None:
    """A writer waits for another one."""
    is_locked, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with holding(path):
            is_locked.set()
            may_end.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    is_locked.wait(30)
    threading.Timer(0.1, may_end.set).start()
    assert 1000 == Archive(path).commit(CELLS, now=1000).stored
    holder.join()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_transaction_rolls_back(path: Path, error: type[BaseException]) -> None:
    """A transaction that ends early, for any reason, is rolled back."""

    def fail() -> None:
        with holding(path) as connection:
            schema.write_meta(connection, "name", "changed")
            raise error

    with pytest.raises(error):
        fail()
    assert "daily" == Archive(path).definition().name


class _FullDisk(apsw.Connection):
    def wal_checkpoint(self, *_: object, **__: object) -> tuple[int, int]:
        raise apsw.FullError


def test_transaction_is_committed_once(path: Path) -> None:
    """An error after the commit is ignored, because the caller would commit again."""
    with closing(_FullDisk(str(path))) as connection, schema.Transaction(connection):
        schema.write_meta(connection, "name", "changed")
    assert "changed" == Archive(path).definition().name


def test_delete(path: Path) -> None:
    """A deleted archive leaves no files, even while it is read, and the reader can continue."""
    Archive(path).commit(CELLS, now=1000)
    with closing(schema.connect(path)) as reader:
        rows = reader.execute("SELECT * FROM data")
        next(rows)
        schema.delete(path)
        assert [] == list(path.parent.iterdir())
        Catalog(path.parent).create("daily").commit({1000: {"new": (1, 1.0, 1.0, 1.0, None)}}, now=1000)
        assert 999 == len(list(rows))
    assert ["new"] == Archive(path).names()
    check_file(Archive(path))


def test_delete_waits_for_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deletion waits for a commit in progress."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 10)
    with holding(path), pytest.raises(ArchiveUnavailable, match="locked"):
        schema.delete(path)
    assert path.exists()
