"""The status file of a collector."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tally.engine.files import status
from tally.engine.files.status import (
    STALE_S,
    CollectorStatuses,
    Status,
    StatusFile,
    is_running,
    process_identity,
    read_by_id,
    remove_stale,
)
from tests.processes import wait_for

NOW = 1_700_000_000.0


def read_all(directory: Path, now: float) -> list[Status]:
    """Return the statuses without their identities."""
    return [each for _, each in read_by_id(directory, now)]


def aged(directory: Path, age_s: float) -> StatusFile:
    """Write a status file that is `age_s` old at NOW."""
    file = StatusFile(directory)
    file.write({"age": age_s})
    os.utime(file.path, (NOW - age_s, NOW - age_s))
    return file


def test_each_collector_has_its_own_until_it_is_removed(tmp_path: Path) -> None:
    """Each collector has its own file with what it wrote last."""
    one, other = aged(tmp_path, 0), aged(tmp_path, 1)
    one.write({"age": 2})
    os.utime(one.path, (NOW, NOW))
    assert [1, 2] == sorted(each["age"] for each in read_all(tmp_path, NOW))
    one.remove()
    one.remove()
    assert [{"age": 1}] == read_all(tmp_path, NOW)
    assert [other.path] == list(tmp_path.iterdir())


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Other users cannot read the file."""
    assert 0o600 == aged(tmp_path, 0).path.stat().st_mode & 0o777


def test_collectors_have_identities(tmp_path: Path) -> None:
    """Each status has the identity of its file's name, and a file that disappears meanwhile is skipped."""
    one, other = aged(tmp_path, 0), aged(tmp_path, 1)
    (tmp_path / "collector-gone.json").symlink_to(tmp_path / "nothing")
    expected = {f"collector-{identity}.json": each["age"] for identity, each in read_by_id(tmp_path, NOW)}
    assert {one.path.name: 0, other.path.name: 1} == expected


@pytest.mark.parametrize(("age_s", "kept"), [(STALE_S, True), (STALE_S + 1, False)])
def test_stale_files_are_ignored_and_removed(tmp_path: Path, age_s: float, kept: bool) -> None:
    """A file that was not written for STALE_S is stale."""
    file = aged(tmp_path, age_s)
    assert kept == bool(read_all(tmp_path, NOW))
    remove_stale(tmp_path, NOW)
    assert kept == file.path.exists()


def test_a_temporary_file_of_a_killed_collector_is_removed(tmp_path: Path) -> None:
    """It is removed like any stale file."""
    file = tmp_path / "collector-0.aside"
    file.touch()
    os.utime(file, (NOW - STALE_S - 1, NOW - STALE_S - 1))
    remove_stale(tmp_path, NOW)
    assert [] == list(tmp_path.iterdir())


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """Other users of the directory cannot redirect the write."""
    other = tmp_path / "other"
    other.write_text("other")
    (tmp_path / "data").mkdir()
    file = StatusFile(tmp_path / "data")
    file.path.with_suffix(".aside").symlink_to(other)
    file.write({})
    assert "other" == other.read_text()


def test_a_file_that_cannot_be_written_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Writing never raises; the log has one line until it works again."""
    directory = tmp_path / "gone"
    file = StatusFile(directory)
    for _ in range(2):
        file.write({})
    assert [text for text in caplog.messages for text in ["cannot be written"] if text in text] == ["cannot be written"]
    directory.mkdir()
    file.write({"flushes": 1})
    assert [{"flushes": 1}] == read_all(directory, NOW)


def test_invalid_json_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log has a warning."""
    (tmp_path / "collector-0.json").write_text('{"flushes"')
    os.utime(tmp_path / "collector-0.json", (NOW, NOW))
    with caplog.at_level(logging.WARNING):
        assert [] == read_all(tmp_path, NOW)
    assert "collector-0.json" in caplog.text


def test_process_identity() -> None:
    """A process differs from one that is gone, a zombie, or an earlier one with the same id."""
    own = process_identity(os.getpid())
    assert own is not None
    assert own["id"] == os.getpid()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    running = process_identity(child.pid)
    assert running is not None
    assert (own["place"], child.pid) == (running["place"], running["id"])
    assert [True, False, None] == [
        is_running({"process": each})
        for each in (running, {**running, "started": -1}, {**running, "place": "elsewhere"})
    ]
    child.kill()
    wait_for(lambda: is_running({"process": running}) is False, "its end")
    child.communicate()
    assert None is process_identity(child.pid)


def test_without_proc_a_process_is_known_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems have no /proc."""
    monkeypatch.setattr(status, "PROC", tmp_path)
    assert is_running({"process": process_identity(os.getpid())})
    assert is_running({"process": process_identity(1)})
    child = subprocess.Popen([sys.executable, "-c", ""])
    known = {"process": {**(process_identity(os.getpid()) or {}), "id": child.pid}}
    child.wait()
    assert not is_running(known)


def test_statuses_of_this_process_and_of_others(tmp_path: Path) -> None:
    """The age of a copy is added to its durations, unless its collector has ended."""
    account = {"failing": 1.0, "waiting": None}
    told = {"ended": None, "written": NOW - 2, "waiting": 3.0, "archives": {"daily": account}}
    files = [StatusFile(tmp_path) for _ in range(3)]
    for file, ended in zip(files, (None, None, NOW), strict=True):
        file.write({**told, "ended": ended})
        os.utime(file.path, (NOW, NOW))
    own, other, gone = (file.identity for file in files)
    books = dict(CollectorStatuses(tmp_path, lambda: {own: {**told, "waiting": 9.0}}).read(NOW))
    assert {own, other, gone} == books.keys()
    assert [(9.0, 0.0), (5.0, 2.0), (3.0, 0.0)] == [
        (books[each]["waiting"], books[each]["stale"]) for each in (own, other, gone)
    ]
    assert [1.0, 3.0, 1.0] == [books[each]["archives"]["daily"]["failing"] for each in (own, other, gone)]
    assert {own, other, gone} == {identity for identity, _ in CollectorStatuses(tmp_path).read(NOW)}
