"""Files that are built aside and then take their name."""

import os
import time
from pathlib import Path

import pytest

from tally.engine.files.temporary import STALE_S, publish, temporary_file


def test_it_is_private_and_gone_in_the_end(tmp_path: Path) -> None:
    """A file that is built aside is its owner's alone, and nothing of it stays, whatever happens."""

    def build() -> None:
        with temporary_file(tmp_path / "x.db") as built:
            assert (tmp_path, 0o600, 0) == (built.parent, built.stat().st_mode & 0o777, built.stat().st_size)
            Path(f"{built}-journal").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("replace", [False, True])
def test_publish(tmp_path: Path, replace: bool) -> None:
    """The file gets its name, and stays under no other; the log of a file that is gone goes."""
    path = tmp_path / "x.db"
    Path(f"{path}-wal").write_text("old")
    with temporary_file(path) as built:
        built.write_text("new")
        publish(built, path, replace=replace)
    assert [path] == list(tmp_path.iterdir())
    assert "new" == path.read_text()


def test_what_is_there_is_replaced_only_if_that_is_asked_for(tmp_path: Path) -> None:
    """A file that has the name keeps it, unless it is to be replaced."""
    path = tmp_path / "x.db"
    path.write_text("old")
    with temporary_file(path) as built:
        built.write_text("new")
        with pytest.raises(FileExistsError):
            publish(built, path)
        assert "old" == path.read_text()
        publish(built, path, replace=True)
    assert "new" == path.read_text()


@pytest.mark.parametrize(
    ("name", "age", "stays"),
    [
        (".x.db.0123456789abcdef", STALE_S + 1, False),
        (".x.db.0123456789abcdef-journal", STALE_S + 1, False),
        (".x.db.0123456789abcdef", STALE_S - 1, True),
        (".x.db.0123456789abcde", STALE_S + 1, True),
        (".y.db.0123456789abcdef", STALE_S + 1, False),
        (".y.db.0123456789abcdef-wal", STALE_S + 1, False),
        (".y.db.0123456789abcdef", STALE_S - 1, True),
        (".y.0123456789abcdef", STALE_S + 1, True),
        (".db.0123456789abcdef", STALE_S + 1, True),
        ("x.db.0123456789abcdef", STALE_S + 1, True),
    ],
)
def test_what_a_killed_process_left_is_swept_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, age: int, stays: bool
) -> None:
    """What was built aside for an archive and is a day old goes when the next file is, and nothing else does."""
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (1000, 1000))
    monkeypatch.setattr(time, "time", lambda: 1000 + age)
    with temporary_file(tmp_path / "x.db"):
        pass
    assert stays == (tmp_path / name).exists()


def test_others_may_be_done_with_theirs_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone between the look into the directory and the look at it is nobody's error."""
    gone = tmp_path / ".x.db.0123456789abcdef"
    monkeypatch.setattr(Path, "iterdir", lambda _: iter([gone]))
    with temporary_file(tmp_path / "x.db") as built:
        assert built.exists()
