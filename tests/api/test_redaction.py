"""What anybody may read of an error."""

from pathlib import Path

import pytest

from tally.api.redaction import public

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
    """Whatever the data directory is called, an archive is told by its slug and another file by its name."""
    assert TEXTS[text] == public(text.format(d=directory), Path(directory))


@pytest.mark.parametrize("directory", [".", ""])
def test_the_working_directory(directory: str) -> None:
    """In the working directory a path is a file's name; other text stays as it is."""
    text = "daily.db: is damaged. See a.b.db, x/y.db and /daily.db; use 0.5 ... or ."
    assert text.replace("daily.db: is", "daily: is", 1) == public(text, Path(directory))


def test_the_real_path_of_a_directory_is_none_either(tmp_path: Path) -> None:
    """A symbolic link is followed: neither of its names is told."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    assert "a: x; b: y" == public(f"{link}/a.db: x; {tmp_path}/real/b.db: y", link)


@pytest.mark.parametrize("directory", ["d", "data", "a"])
def test_a_directory_with_a_short_name_takes_nothing_from_words(directory: str) -> None:
    """Letters and words that are the directory's name too stay where they stand."""
    text = f"{directory}/daily.db: a bad data header; add it, read/write: {directory}: cannot be read"
    expected = "daily: a bad data header; add it, read/write: the data directory: cannot be read"
    assert expected == public(text, Path(directory))


def test_what_only_begins_alike_stays() -> None:
    """Another directory is none of this one's."""
    assert "/srv/tally2/x: gone" == public("/srv/tally2/x: gone", Path("/srv/tally"))
