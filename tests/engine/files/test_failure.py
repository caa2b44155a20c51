"""Translates SQLite's errors."""

from pathlib import Path

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import damage_marks, failure
from tally.engine.files.failure import translate_errors
from tally.engine.storing import watermarks
from tally.engine.storing.merging import Cells
from tally.errors import ArchiveDamaged, ArchiveUnavailable, NotAnArchive, QueryTimeout, TallyError

CELLS: Cells = {1000: {f"name{i}": (1, 0.5, 0.5, 0.5, None) for i in range(1000)}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of an archive with some rows."""
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=0)
    archive.commit(CELLS, now=1000)
    return archive.path


@pytest.fixture
def alien(tmp_path: Path) -> Path:
    """The path of another application's file."""
    (tmp_path / "alien.db").write_bytes(b"garbage" * 1000)
    return tmp_path / "alien.db"


def changed(path: Path, statements: str) -> None:
    """Change an archive's file by hand."""
    connection = apsw.Connection(str(path))
    connection.execute(statements).fetchall()
    connection.close()


@pytest.mark.parametrize("error", [*failure.UNAVAILABLE])
def test_a_temporary_error_is_no_damage(path: Path, error: type[Exception]) -> None:
    """A lock, a full disk or an I/O error says nothing about the file's content."""
    with (
        pytest.raises(ArchiveUnavailable, match=r"daily.db: cannot be used now: first second") as raised,
        translate_errors(path),
    ):
        raise error("first\nsecond")
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize("error", [apsw.CorruptError, apsw.NotADBError])
def test_invalid_bytes_are_damage_only_in_an_archive(path: Path, alien: Path, error: type[Exception]) -> None:
    """The header of the file decides whether it is an archive."""
    with pytest.raises(ArchiveDamaged, match=r"daily.db: is damaged: first second"), translate_errors(path):
        raise error("first\nsecond")
    with (
        pytest.raises(NotAnArchive, match=r"alien.db: is not a tally archive: why") as raised,
        translate_errors(alien),
    ):
        raise error("why")
    assert NotAnArchive is raised.type


@pytest.mark.parametrize("error", [*failure.DOUBTFUL])
def test_a_doubtful_error_is_damage_if_a_check_finds_damage(path: Path, error: type[Exception]) -> None:
    """A statement that fails on a sound file does not mark it as damaged."""
    with (
        pytest.raises(ArchiveUnavailable, match=r"daily.db: the operation failed: first second"),
        translate_errors(path),
    ):
        raise error("first\nsecond")
    changed(path, "DROP TABLE totals")
    with (
        pytest.raises(ArchiveDamaged, match=r"daily.db: is damaged: there is no totals"),
        translate_errors(path),
    ):
        raise error("first\nsecond")


def test_an_interrupt_is_a_timeout() -> None:
    """An interrupted query raises QueryTimeout."""
    with pytest.raises(QueryTimeout), translate_errors(Path("x.db")):
        raise apsw.InterruptError


@pytest.mark.parametrize("error", [apsw.MisuseError, apsw.ThreadingViolationError, KeyError])
def test_a_bug_is_not_translated(path: Path, error: type[Exception]) -> None:
    """Wrong usage of SQLite raises its own error."""
    with pytest.raises(error), translate_errors(path):
        raise error


def test_only_wrong_usage_is_not_translated() -> None:
    """Every other error of apsw is translated."""
    errors = {each for each in vars(apsw).values() if isinstance(each, type) and issubclass(each, apsw.Error)}
    translated = {apsw.InterruptError, apsw.CorruptError, apsw.NotADBError, *failure.UNAVAILABLE, *failure.DOUBTFUL}
    assert {
        "BindingsError", "ConnectionClosedError", "ConnectionNotClosedError", "CursorClosedError", "ExecTraceAbort",
        "ExecutionCompleteError", "ExtensionLoadingError", "ForkingViolationError", "IncompleteExecutionError",
        "InvalidContextError", "MisuseError", "NoFTS5Error", "RangeError", "ThreadingViolationError",
        "VFSFileClosedError", "VFSNotImplementedError",
    } == {each.__name__ for each in errors - translated - {apsw.Error}}  # fmt: skip


@pytest.mark.parametrize("error", [TypeError, AssertionError, OverflowError])
def test_a_value_of_the_wrong_type_is_damage(path: Path, error: type[Exception]) -> None:
    """A Python error caused by such a value is damage, and without such a value a bug."""
    with pytest.raises(error), translate_errors(path):
        raise error
    changed(path, "UPDATE data SET bucket = 'x' || id WHERE id = 1")
    with (
        pytest.raises(ArchiveDamaged, match=r"is damaged: 1 rows have impossible values"),
        translate_errors(path),
    ):
        raise error


def test_known_damage_is_not_searched_again(path: Path) -> None:
    """A marked archive is not checked again, which takes long for a large file."""
    damage_marks.mark(path, "a page is gone")
    with pytest.raises(ArchiveDamaged, match=r"daily.db: is damaged: a page is gone"), translate_errors(path):
        raise TypeError


def test_a_file_that_cannot_be_checked_is_unavailable(path: Path) -> None:
    """An error that may be caused by damage is then ArchiveUnavailable."""
    connection = apsw.Connection(str(path))
    connection.pragma("locking_mode", "exclusive")
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ArchiveUnavailable, match=r"locked"), translate_errors(path):
        raise TypeError
    connection.close()


def test_invalid_utf8_is_damage(path: Path) -> None:
    """A name that is not UTF-8 is damage."""
    changed(path, "UPDATE names SET name = CAST(x'FF' AS TEXT) WHERE id = 1")
    with pytest.raises(ArchiveDamaged, match=r"damaged: 'utf-8' codec can't decode"):
        Archive(path).names()


@pytest.mark.parametrize(
    "change",
    [
        *(f"DELETE FROM meta WHERE key = '{mark}'" for mark in watermarks.FIRST),
        "UPDATE meta SET value = 'x' WHERE key = 'sealed_before'",
        "UPDATE meta SET value = 0 WHERE key = 'block_buckets'",
    ],
)
def test_missing_watermarks_are_damage(path: Path, change: str) -> None:
    """An archive without valid watermarks is damaged."""
    changed(path, change)
    with pytest.raises(ArchiveDamaged, match=r"is damaged: its watermarks are missing or not valid"):
        Archive(path).names()


def test_verify(path: Path) -> None:
    """Damage found by SQLite, and by tally's rules if requested, is raised for the given path."""
    changed(path, "DELETE FROM totals")
    connection = apsw.Connection(str(path))
    failure.verify(connection, path)
    with pytest.raises(ArchiveDamaged, match=r"\Atold.db: is damaged: \d+ totals do not match their rows"):
        failure.verify(connection, Path("told.db"), by_rules=True)
    connection.close()


def test_check_integrity_returns_one_line_each(path: Path) -> None:
    """Headings without a finding are left out."""
    with path.open("r+b") as file:
        file.seek(4 * 4096 + 8)  # The pointers of the root of `data`.
        file.write(bytes(range(200)))
    connection = apsw.Connection(str(path))
    found = failure.check_integrity(connection)
    connection.close()
    assert found
    assert [] == [text for text in found if "\n" in text or text.startswith("***")]


def test_damage_is_a_kind_of_not_an_archive() -> None:
    """Code that catches NotAnArchive also catches ArchiveDamaged."""
    assert issubclass(ArchiveDamaged, NotAnArchive)
    assert issubclass(NotAnArchive, TallyError)
