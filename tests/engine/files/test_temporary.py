"""Temporary files."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tally.engine.files import temporary
from tally.engine.files.temporary import STALE_S, publish, remove, temporary_file


def test_it_is_private_and_removed_at_the_end(tmp_path: Path) -> None:
    """It is removed with its side files even after an error."""

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
    """The file is moved to its name, and the log of a deleted file is removed."""
    path = tmp_path / "x.db"
    Path(f"{path}-wal").write_text("old")
    with temporary_file(path) as built:
        built.write_text("new")
        publish(built, path, replace=replace)
    assert [path] == list(tmp_path.iterdir())
    assert "new" == path.read_text()


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path) -> None:
    """Otherwise it is kept."""
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
def test_stale_files_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, age: int, stays: bool
) -> None:
    """Temporary files of archives that are a day old are removed, and nothing else."""
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (1000, 1000))
    monkeypatch.setattr(time, "time", lambda: 1000 + age)
    with temporary_file(tmp_path / "x.db"):
        pass
    assert stays == (tmp_path / name).exists()


def test_a_file_may_disappear_while_the_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This is not an error."""
    gone = tmp_path / ".x.db.0123456789abcdef"
    monkeypatch.setattr(Path, "iterdir", lambda _: iter([gone]))
    with temporary_file(tmp_path / "x.db") as built:
        assert built.exists()


@pytest.mark.parametrize("act", [lambda built, path: publish(built, path), lambda _built, path: remove(path)])
def test_nobody_publishes_a_file_whose_side_files_are_being_removed(
    act: Callable[[Path, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The side files of a file that another process has just published and opened stay."""
    path, first, second = (tmp_path / name for name in ("a.db", "first", "second"))
    for built in (first, second):
        built.touch()
    real = temporary.remove_side_files

    def publish_second() -> None:
        with suppress(FileExistsError):
            publish(second, path)

    other = threading.Thread(target=publish_second)

    def removing(removed: Path) -> None:
        if threading.current_thread() is not other:
            other.start()
            other.join(0.5)
            assert not path.exists()
        real(removed)

    monkeypatch.setattr(temporary, "remove_side_files", removing)
    act(first, path)
    other.join()
    assert path.exists()


def test_a_directory_that_goes_away_meanwhile_is_no_error(tmp_path: Path) -> None:
    """Where the directory was moved while a file was built, there is nothing left to remove."""
    directory = tmp_path / "data"
    directory.mkdir()
    with temporary_file(directory / "a.db"):
        directory.rename(tmp_path / "away")
