"""What SQLite's errors mean for an archive."""

from pathlib import Path

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import damage_marks, failure
from tally.engine.files.failure import translate_errors
from tally.engine.storing import watermarks
from tally.engine.storing.rollup import Cells
from tally.errors import ArchiveDamaged, ArchiveUnavailable, NotAnArchive, QueryTimeout, TallyError

CELLS: Cells = {1000: {f"name{i}": (1, 0.5, 0.5, 0.5) for i in range(1000)}}


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
def test_an_error_of_the_moment_is_no_damage(path: Path, error: type[Exception]) -> None:
    """A lock, a full disk or an I/O error says nothing about the content of the file."""
    with (
        pytest.raises(ArchiveUnavailable, match=r"daily.db: cannot be used now: first second") as raised,
        translate_errors(path),
    ):
        raise error("first\nsecond")
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize("error", [apsw.CorruptError, apsw.NotADBError])
def test_bytes_that_are_none_of_a_database_are_damage_in_an_archive_only(
    path: Path, alien: Path, error: type[Exception]
) -> None:
    """What the file's header says decides whose file it is."""
    with pytest.raises(ArchiveDamaged, match=r"daily.db: is damaged: first second"), translate_errors(path):
        raise error("first\nsecond")
    with (
        pytest.raises(NotAnArchive, match=r"alien.db: is not an archive of tally's: why") as raised,
        translate_errors(alien),
    ):
        raise error("why")
    assert NotAnArchive is raised.type


@pytest.mark.parametrize("error", [*failure.DOUBTFUL])
def test_a_doubtful_error_is_damage_where_a_check_finds_some(path: Path, error: type[Exception]) -> None:
    """A statement that fails on a sound file, such as one that is too long, marks no archive as damaged."""
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


def test_a_question_that_took_too_long() -> None:
    """An interruption is told as the time limit."""
    with pytest.raises(QueryTimeout), translate_errors(Path("x.db")):
        raise apsw.InterruptError


@pytest.mark.parametrize("error", [apsw.MisuseError, apsw.ThreadingViolationError, KeyError])
def test_a_bug_comes_as_it_is(path: Path, error: type[Exception]) -> None:
    """Wrong use of SQLite is nobody's damage."""
    with pytest.raises(error), translate_errors(path):
        raise error


def test_only_wrong_use_is_not_translated() -> None:
    """The errors of apsw that are told as they are are those of who uses it wrongly."""
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
    """What Python makes of a value that should not be there is told as damage, and without such a value as a bug."""
    with pytest.raises(error), translate_errors(path):
        raise error
    changed(path, "UPDATE data SET bucket = 'x' || id WHERE id = 1")
    with (
        pytest.raises(ArchiveDamaged, match=r"is damaged: 1 rows have impossible values"),
        translate_errors(path),
    ):
        raise error


def test_what_is_known_is_not_looked_for_again(path: Path) -> None:
    """Reading all of a large file takes long: of one that is marked, the mark says what is wrong."""
    damage_marks.mark(path, "a page is gone")
    with pytest.raises(ArchiveDamaged, match=r"daily.db: is damaged: a page is gone"), translate_errors(path):
        raise TypeError


def test_what_cannot_be_looked_for_now_is_no_damage(path: Path) -> None:
    """While the file cannot be read, an error that may come of damage is told as that of the moment."""
    connection = apsw.Connection(str(path))
    connection.pragma("locking_mode", "exclusive")
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ArchiveUnavailable, match=r"locked"), translate_errors(path):
        raise TypeError
    connection.close()


def test_text_that_is_none_is_damage(path: Path) -> None:
    """A name that is not UTF-8 is told as damage."""
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
def test_a_mark_that_is_none_is_damage(path: Path, change: str) -> None:
    """A file that does not say what of it is sealed is damaged."""
    changed(path, change)
    with pytest.raises(ArchiveDamaged, match=r"is damaged: its watermarks are missing or not valid"):
        Archive(path).names()


def test_verify(path: Path) -> None:
    """What SQLite finds, and with the writer's rules what those find, is told as damage of the path that is given."""
    changed(path, "DELETE FROM totals")
    connection = apsw.Connection(str(path))
    failure.verify(connection, path)
    with pytest.raises(ArchiveDamaged, match=r"\Atold.db: is damaged: \d+ totals do not match their rows"):
        failure.verify(connection, Path("told.db"), by_rules=True)
    connection.close()


def test_what_sqlite_finds_is_told_in_lines(path: Path) -> None:
    """Each thing is one line, and none says only that there are some."""
    with path.open("r+b") as file:
        file.seek(4 * 4096 + 8)  # The pointers of the root of `data`.
        file.write(bytes(range(200)))
    connection = apsw.Connection(str(path))
    found = failure.check_integrity(connection)
    connection.close()
    assert found
    assert [] == [text for text in found if "\n" in text or text.startswith("***")]


def test_every_kind_is_of_the_tree() -> None:
    """Damage is a kind of being no archive, so that who catches the one catches the other."""
    assert issubclass(ArchiveDamaged, NotAnArchive)
    assert issubclass(NotAnArchive, TallyError)
