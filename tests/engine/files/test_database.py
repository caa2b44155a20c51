"""Files beside the archives that are not archives."""

from pathlib import Path

import pytest

from tally.engine.files.database import Database, Form
from tally.errors import ArchiveUnavailable

FORM = Form("the file of a test", 5, 1, "CREATE TABLE t (a)", "move it away")


def test_it_is_made_when_it_is_written(tmp_path: Path) -> None:
    """Only a writer makes the file, and it has the tables of its form."""
    database = Database(tmp_path / "a", FORM)
    assert (False, "") == (database.exists(), database.damage())
    with database.open() as connection:
        assert ["t"] == [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
    assert (True, "") == (database.exists(), database.damage())
    assert ["a"] == [each.name for each in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        (FORM._replace(application_id=6), "the file of a test cannot be used: .*another kind of file: move it away"),
        (FORM._replace(user_version=2), "has format 1; this version of tally reads format 2: move it away"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, form: Form, says: str) -> None:
    """A file of another kind or version is not used, and the error says what to do."""
    with Database(tmp_path / "a", FORM).open():
        pass
    other = Database(tmp_path / "a", form)
    with pytest.raises(ArchiveUnavailable, match=says), other.open(write=False):
        pass
    assert "move it away" in other.damage()


def test_damage_is_told(tmp_path: Path) -> None:
    """A file that is no database, or whose pages are not as written, is described."""
    database = Database(tmp_path / "a", FORM)
    (tmp_path / "a").write_bytes(b"no database, but long enough" * 100)
    assert "the file of a test cannot be used" in database.damage()
    assert "a: is damaged: file is not a database: move it away" in database.damage()


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    """Where the file cannot be made, the error says so."""
    with pytest.raises(ArchiveUnavailable, match="cannot be created"), Database(tmp_path / "b" / "a", FORM).open():
        pass
