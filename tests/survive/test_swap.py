"""Survive 4: an archive's file is damaged, cut, replaced, closed to writing or taken away under a collector."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from tally.engine import Catalog
from tests.processes import Running, started, wait_for
from tests.survive.load import Sender, books, check_balance
from tests.survive.scale import chance, scaled


def other_application(path: Path) -> None:
    """Put a database of another application's, in WAL mode, in the file's place."""
    aside = path.with_name("other")
    connection = apsw.Connection(str(aside))
    connection.execute("PRAGMA journal_mode = wal; CREATE TABLE data (bucket, id)").fetchall()
    connection.close()
    aside.rename(path)


def damaged(path: Path) -> None:
    """Overwrite the file's first pages, in place."""
    with path.open("r+b") as file:
        file.write(b"\xff" * 8192)


def damage_header(path: Path, header: bytes) -> None:
    """Overwrite the mark of SQLite's at the file's start."""
    with path.open("r+b") as file:
        file.write(header)


def cut(path: Path) -> None:
    """Cut the file in its middle."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def emptied(path: Path) -> None:
    """Cut the file to nothing."""
    path.write_bytes(b"")


def directory_instead(path: Path) -> None:
    """Put a directory in the file's place."""
    path.unlink()
    path.mkdir()


def loop_instead(path: Path) -> None:
    """Put a symbolic link to itself in the file's place."""
    path.unlink()
    path.symlink_to(path)


EVENTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "damaged": (damaged, "daily.db: is not a tally archive: file is not a database"),
    "cut": (cut, "daily.db: is (not a tally archive, or )?damaged"),
    "emptied": (emptied, "daily.db: is not a tally archive"),
    "another application's": (other_application, "daily.db: is not a tally archive"),
    "deleted": (lambda path: path.unlink(), "archive daily was deleted"),
    "a directory": (directory_instead, "archive daily was deleted"),
    "a loop": (loop_instead, "daily.db: cannot be used now: Too many levels"),
}


@contextmanager
def between_commits(running: Running, path: Path) -> Iterator[None]:
    """Halt a collector while it has the file not open: a commit that is under way would write over what is done."""
    while True:
        running.process.send_signal(signal.SIGSTOP)
        os.waitpid(running.process.pid, os.WUNTRACED)
        if not path.with_name(f"{path.name}-wal").exists():
            break
        running.process.send_signal(signal.SIGCONT)
    try:
        yield
    finally:
        running.process.send_signal(signal.SIGCONT)


def shape(path: Path) -> object:
    """Return what stands at a path."""
    return path.read_bytes() if path.is_file() else (path.is_dir(), path.is_symlink())


@pytest.mark.parametrize("kind", EVENTS)
def test_the_others_go_on_and_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    """That archive fails loudly and its file stays as it was made; the others get every sample."""
    event, told = EVENTS[kind]
    random = chance(kind)
    for slug in ("daily", "good"):
        Catalog(tmp_path).create(slug, resolution=1, retention=0)
    path = tmp_path / "daily.db"
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=0.05) as running:
        sender = Sender(running.udp_port, random)
        with sender.at_work():
            wait_for(lambda: stored(tmp_path, "daily"), "some samples")
            with between_commits(running, path):
                event(path)
            running.said(told)
            now, before = stored(tmp_path, "good"), shape(path)
            wait_for(lambda: stored(tmp_path, "good") > now + 1000, "the others")
            assert before == shape(path)
        assert 0 == running.end(signal.SIGTERM)
        running.said(f"accepted {sender.lines} lines, rejected 0; the kernel dropped 0 datagrams")
    assert before == shape(path)
    assert sender.lines == check_balance(tmp_path, "good")


def stored(directory: Path, slug: str) -> int:
    """Return how many samples the collector has stored in an archive."""
    return sum(int(each["archives"].get(slug, {}).get("stored", 0)) for each in books(directory))


def is_damaged(path: Path, running: Running) -> bool:
    """Damage the header again, which the checkpoint of a commit under way repairs; return whether that was noticed."""
    damage_header(path, b"x" * 16)
    return any("is damaged" in line for line in running.lines)


def test_an_archive_that_comes_back_has_all(tmp_path: Path) -> None:
    """What came while a file was damaged is stored once it is whole again, in the file as it was before."""
    random = chance("back")
    Catalog(tmp_path).create("daily", resolution=1, retention=0)
    path = tmp_path / "daily.db"
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=0.05) as running:
        sender = Sender(running.udp_port, random)
        with sender.at_work():
            wait_for(lambda: stored(tmp_path, "daily"), "some samples")
            wait_for(lambda: is_damaged(path, running), "the damage to be noticed")
            running.said("daily.db: is damaged: file is not a database; its samples are spilled")
            damage_header(path, b"SQLite format 3\0")
            running.said("archive daily can be written again")
        assert 0 == running.end(signal.SIGTERM)
    assert sender.lines == check_balance(tmp_path, "daily")


def test_another_archive_in_its_place_is_written_from_then_on(tmp_path: Path) -> None:
    """Whenever another one is renamed over it, each commit is whole in the one or in the other, and nothing is lost."""
    random = chance("another")
    Catalog(tmp_path).create("daily", resolution=1, retention=0)
    before = [tmp_path / f"before-{turn}" for turn in range(scaled(8, 200))]
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=0.05) as running:
        sender = Sender(running.udp_port, random)
        with sender.at_work():
            for directory in before:
                now = stored(tmp_path, "daily")
                wait_for(lambda now=now: stored(tmp_path, "daily") > now + 1000, "some samples")  # type: ignore[misc]
                time.sleep(random.random() / 20)
                other = Catalog(directory / "new").create("daily", resolution=1, retention=0)
                (directory / "daily.db").hardlink_to(tmp_path / "daily.db")
                other.path.rename(tmp_path / "daily.db")
        assert 0 == running.end(signal.SIGTERM)
    assert sender.lines == sum(check_balance(directory, "daily") for directory in [*before, tmp_path])
