"""Problem documents, and which texts of errors are public."""

from http import HTTPStatus
from pathlib import Path

import pytest

from tally import errors
from tally.api.problems import STATUSES, Problem, problem, public, reply
from tally.errors import TallyError
from tests.api.asking import Got


def test_every_error_of_the_tree_is_told_with_its_text() -> None:
    """Each error has its status from the table, or 500, and its text begins the detail."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, TallyError):
            error = kind(Path("one line"), "cut") if issubclass(kind, errors.ArchiveDamaged) else kind("one line")
            told = problem(error)
            assert (STATUSES.get(kind, 500), True) == (told.status, str(told).startswith("one line"))


@pytest.mark.parametrize("error", [KeyError("secret"), OSError(28, "secret"), AssertionError("secret")])
def test_other_errors_tell_nothing(error: Exception) -> None:
    """Any other exception is 500 without its text."""
    told = problem(error)
    assert (500, False) == (told.status, "secret" in str(told))


def test_a_problem_is_a_document_of_rfc_9457() -> None:
    """A problem is answered as problem+json with type, title, status and detail, and its own headers."""
    told = reply(Problem(HTTPStatus.NOT_FOUND, "no é", headers=(("Allow", "GET"),)))
    got = Got(told.status, dict(told.headers), b"".join(told.chunks))
    assert {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no é"} == got.json
    assert ("application/problem+json", "GET") == (got.headers["Content-Type"], got.headers["Allow"])


TEXTS = {
    "{d}/daily.db: is damaged: malformed": "daily: is damaged: malformed",
    "{d}/a-b_1.db: cannot be used now; {d}/x.db: too": "a-b_1: cannot be used now; x: too",
    "{d}/daily.db-wal: has grown": "daily.db-wal: has grown",
    "{d}/daily.spill: cannot be written": "daily.spill: cannot be written",
    "{d}/daily.damaged: cannot be read": "daily.damaged: cannot be read",
    "{d}/.daily.db.0123456789abcdef: gone": ".daily.db.0123456789abcdef: gone",
    "{d}: cannot be read: Permission denied": "the data directory: cannot be read: Permission denied",
    "{d}": "the data directory",
    "there is no archive 'x'": "there is no archive 'x'",
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("directory", ["/srv/tally", "tally-data", "../data", "/a.b/c+d", "/srv/tally-1"])
def test_paths_become_slugs(directory: str, text: str) -> None:
    """Archives are named by their slugs and other files by their names, wherever the data directory is."""
    assert TEXTS[text] == public(text.format(d=directory), Path(directory))


@pytest.mark.parametrize("directory", [".", ""])
def test_the_working_directory(directory: str) -> None:
    """In the working directory, a path is a file name. Other text stays unchanged."""
    text = "daily.db: is damaged. See a.b.db, x/y.db and /daily.db; use 0.5 ... or ."
    assert text.replace("daily.db: is", "daily: is", 1) == public(text, Path(directory))


def test_the_real_path_of_a_directory_is_none_either(tmp_path: Path) -> None:
    """Neither the name of a symbolic link nor its target is shown."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    assert "a: x; b: y" == public(f"{link}/a.db: x; {tmp_path}/real/b.db: y", link)


@pytest.mark.parametrize("directory", ["d", "data", "a"])
def test_a_directory_with_a_short_name_takes_nothing_from_words(directory: str) -> None:
    """Words that equal the name of the directory stay unchanged elsewhere."""
    text = f"{directory}/daily.db: a bad data header; add it, read/write: {directory}: cannot be read"
    expected = "daily: a bad data header; add it, read/write: the data directory: cannot be read"
    assert expected == public(text, Path(directory))


def test_what_only_begins_alike_stays() -> None:
    """Paths in other directories stay unchanged."""
    assert "/srv/tally2/x: gone" == public("/srv/tally2/x: gone", Path("/srv/tally"))
