"""What `/status/` and `/readyz` tell."""

import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from tally.api.faults import LATE_FLUSHES, LATE_S, SILENT_FLUSHES, SILENT_S
from tally.api.service import Service
from tally.engine import Catalog
from tally.engine.files.disk import FREE_MIN_BYTES
from tally.engine.files.status import process_identity
from tests.api.asking import NOW, Got, ask, service, settings
from tests.api.books import ACCOUNT, STATUS, write

EMPTY: dict[str, Any] = {
    "lines": {},
    "empty": 0,
    "datagrams": {},
    "connections": {},
    "samples": {},
    "errors": {},
    "faults": [],
}
NO_COLLECTOR = {
    "check": "collector",
    "archive": None,
    "detail": "no collector is at work: none writes its status into the data directory; start tally serve or collect",
}
NOTHING = {
    **EMPTY, "collectors": 0, "updated": None, "flushes": {}, "window": None, "pending": 0, "waiting": None,
    "faults": [NO_COLLECTOR],
}  # fmt: skip
SILENCE_S = SILENT_FLUSHES * STATUS["flush_time"] + SILENT_S
Usage = namedtuple("Usage", "total used free")


def told(directory: Path, **settings: Any) -> Any:
    """Return what `/status/` answers."""
    return ask(service(directory, **settings), "/status/").json


def ready(directory: Path, **settings: Any) -> Got:
    """Return what `/readyz` answers."""
    return ask(service(directory, **settings), "/readyz")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Return a directory where all is well."""
    Catalog(tmp_path).create("daily")
    write(tmp_path)
    return tmp_path


def test_without_a_collector_nothing_is_lost(tmp_path: Path) -> None:
    """Where no collector writes, the answer is empty and no error, with or without a data directory."""
    assert NOTHING == told(tmp_path)
    assert NOTHING == {**told(tmp_path / "missing"), "faults": [NO_COLLECTOR]}


def test_a_collectors_losses_are_told(tmp_path: Path) -> None:
    """What one collector lost lately is told as it says."""
    identity = write(tmp_path)
    assert {
        "collectors": 1,
        "updated": NOW - 1.5,
        "flushes": {identity: {"updated": NOW - 1.5, "ago": 1.5, "silent": False, "waiting": None, "stale": 1.5}},
        "window": 300,
        "lines": {"value": 7},
        "empty": 9,
        "datagrams": {"kernel_drops": 6},
        "connections": {"refused": 2},
        "samples": {"daily": {"expired": 5, "dropped": 1}},
        "pending": 2,
        "waiting": None,
        "errors": {},
        "faults": [],
    } == told(tmp_path)


def test_collectors_are_added_up(tmp_path: Path) -> None:
    """Losses of several collectors are summed by place and reason, and the latest flush is told."""
    write(tmp_path)
    lost = {"lines": {"name": 1, "value": 1}, "connections": {"refused": 1}, "samples": {"weekly": {"expired": 2}}}
    recent = {"seconds": 300, "datagrams": {}, **lost}
    archives = {"weekly": {**ACCOUNT, "error": "disk full"}}
    write(tmp_path, updated=NOW, recent=recent, archives=archives)
    both = told(tmp_path)
    assert (2, NOW, {"name": 1, "value": 8}) == (both["collectors"], both["updated"], both["lines"])
    assert 18 == both["empty"]
    assert {"refused": 3} == both["connections"]
    assert {"daily": {"expired": 5, "dropped": 1}, "weekly": {"expired": 2}} == both["samples"]
    assert (4, {"weekly": "disk full"}) == (both["pending"], both["errors"])


@pytest.mark.parametrize(("ago", "collectors"), [(SILENCE_S, 1), (SILENCE_S + 1, 0), (-86_400, 1)])
def test_a_silent_collector_tells_nothing(ago: float, collectors: int, tmp_path: Path) -> None:
    """The books of a collector that should have flushed since are old news; one ahead of the clock is not silent."""
    write(tmp_path, updated=NOW - ago)
    assert collectors == told(tmp_path)["collectors"]
    assert (collectors == 1) == ready(tmp_path).json["checks"]["collector"]["ok"]


def test_all_is_well(sound: Path) -> None:
    """With readable archives, a collector that flushes and space the answer is 200 and says what was found."""
    got = ready(sound)
    assert (200, "ready") == (got.status, got.json["status"])
    assert ["archives", "writing", "collector", "space", "logs", "names"] == list(got.json["checks"])
    assert {"ok": True, "detail": "1 can be read"} == got.json["checks"]["archives"]
    assert {"ok": True, "detail": "the last flush was 1.5 s ago"} == got.json["checks"]["collector"]
    assert got.json["checks"]["space"]["ok"]


def failing(directory: Path, **settings: Any) -> list[str]:
    """Return which checks fail, of an answer that says so by its status too."""
    got = ready(directory, **settings)
    assert (503, "not ready", "application/json") == (got.status, got.json["status"], got.headers["content-type"])
    return [name for name, check in got.json["checks"].items() if not check["ok"]]


def test_an_archive_that_cannot_be_read(sound: Path) -> None:
    """A file that is no archive makes tally not ready, and is named; the others are not held up."""
    (sound / "foreign.db").write_bytes(b"nonsense" * 1000)
    assert ["archives"] == failing(sound)
    assert "foreign: is not an archive" in ready(sound).json["checks"]["archives"]["detail"]


def test_no_collector(sound: Path) -> None:
    """Without a collector samples are lost unseen; where clients write themselves there is none to miss."""
    next(sound.glob("collector-*")).unlink()
    assert ["collector"] == failing(sound)
    assert 200 == ready(sound, host="").status


def test_no_directory(tmp_path: Path) -> None:
    """A data directory that is missing, or cannot be searched, is told and not created."""
    assert ["collector", "space"] == failing(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    file = tmp_path / "file"
    file.touch()
    assert "archives" in failing(file)


@pytest.mark.parametrize(("free", "missing"), [(FREE_MIN_BYTES, []), (FREE_MIN_BYTES - 1, ["space"])])
def test_space(free: int, missing: list[str], sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There has to be some space left."""
    monkeypatch.setattr("tally.api.faults.shutil.disk_usage", lambda _: Usage(0, 0, free))
    assert missing == (failing(sound) if missing else [])
    assert (200 if not missing else 503) == ready(sound).status


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """A status file that is no JSON is as good as none."""
    path = tmp_path / "collector-0.json"
    path.write_text("{")
    os.utime(path, (NOW, NOW))
    assert NOTHING == told(tmp_path)


@pytest.mark.parametrize("target", ["/status/", "/readyz", "/metrics"])
def test_it_is_for_those_who_may_read(target: str, sound: Path) -> None:
    """With TALLY_READ_TOKEN none of these is open, and none takes what it does not know."""
    assert 401 == ask(service(sound, read_token="r"), target).status
    assert 400 == ask(service(sound), f"{target}?q=a").status
    assert 200 == ask(service(sound), f"{target}?pretty=1").status


RUNNING = process_identity(os.getpid())
ELSEWHERE: dict[str, Any] = {"place": "elsewhere", "id": 1, "started": 1}


@pytest.mark.parametrize(
    ("where", "ago", "status"),
    [
        (RUNNING, SILENCE_S, 200),
        (RUNNING, SILENCE_S + 1, 503),
        ({**(RUNNING or {}), "started": 1}, SILENCE_S + 1, 200),
        (ELSEWHERE, SILENCE_S + 1, 200),
    ],
)
def test_the_slowest_collector_counts(sound: Path, where: Any, ago: float, status: int) -> None:
    """One that is there and does not flush makes tally not ready, however well another does; a dead one does not."""
    other = write(sound, updated=NOW - ago, process=where)
    got = ready(sound)
    assert status == got.status
    detail = got.json["checks"]["collector"]["detail"]
    flushes = told(sound)["flushes"]
    if status == 503:
        assert detail == f"collector {other} (process {os.getpid()}) has not flushed for {ago:.1f} s"
        assert (ago, True) == (flushes[other]["ago"], flushes[other]["silent"])
    elif ago == SILENCE_S:
        assert f"the slowest of 2 collectors flushed {ago:.1f} s ago" == detail
        assert (ago, False) == (flushes[other]["ago"], flushes[other]["silent"])
    else:
        assert ("the last flush was 1.5 s ago", False) == (detail, other in flushes)


ERROR = "{directory}/daily.db: cannot be used now: database or disk is full"
LATE = LATE_FLUSHES * STATUS["flush_time"]


@pytest.mark.parametrize(
    ("failing_s", "stale_s", "status"), [(LATE, 0, 200), (LATE + 1, 0, 503), (LATE - 1, 1, 200), (LATE - 1, 2, 503)]
)
def test_an_archive_that_cannot_be_written_for_a_few_flushes(
    sound: Path, failing_s: float, stale_s: float, status: int
) -> None:
    """It makes tally not ready, with its slug and the reason; what is known of it grows older with its copy."""
    account = {**ACCOUNT, "error": ERROR.format(directory=sound), "failing": failing_s}
    write(sound, written=NOW - stale_s, archives={"daily": account, "gone": account})
    got = ready(sound)
    assert status == got.status
    found = [fault for fault in told(sound)["faults"] if fault["check"] == "writing"]
    assert [fault["archive"] for fault in found] == (["daily"] if status == 503 else [])
    if status == 503:
        reason = "daily: cannot be used now: database or disk is full; 2 samples wait in memory"
        assert f"daily has not been written for {LATE + 1:.0f} s: {reason}" == found[0]["detail"]
        assert found[0]["detail"] == got.json["checks"]["writing"]["detail"]


@pytest.mark.parametrize(("waiting_s", "status"), [(LATE + LATE_S, 200), (LATE + LATE_S + 1, 503)])
def test_samples_that_wait(sound: Path, waiting_s: float, status: int) -> None:
    """While nothing has failed yet, as a flush is under way, samples should not wait for long either."""
    write(sound, written=NOW, waiting=waiting_s)
    assert (status, waiting_s) == (ready(sound).status, told(sound)["waiting"])
    if status == 503:
        assert ["writing"] == failing(sound)
        assert "samples have waited for 18 s to be written" == ready(sound).json["checks"]["writing"]["detail"]


def test_the_collector_of_this_process_is_asked_itself(sound: Path) -> None:
    """What it says counts, and not what it wrote at its last flush."""
    identity = write(sound, waiting=3.0)
    present = {identity: {**STATUS, "waiting": 100.0}}
    asked = Service(settings(sound), clock=lambda: NOW, own=lambda: present)
    got = ask(asked, "/status/").json
    assert (100.0, 0.0) == (got["flushes"][identity]["waiting"], got["flushes"][identity]["stale"])
    assert 503 == ask(asked, "/readyz").status
    text = ask(asked, "/metrics").body.decode()
    assert f'tally_samples_waiting_seconds{{collector="{identity}"}} 100.0' in text
    assert 4.5 == told(sound)["flushes"][identity]["waiting"]
    assert 200 == ready(sound).status
