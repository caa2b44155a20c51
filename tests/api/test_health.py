"""What `/status/` and `/readyz` tell."""

import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from tally.api.health import FREE_MIN_BYTES, SILENT_FLUSHES, SILENT_S
from tally.engine import Catalog
from tests.api.asking import NOW, Got, ask, service
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
NOTHING = {**EMPTY, "collectors": 0, "updated": None, "window": None, "pending": 0}
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
    assert NOTHING == told(tmp_path / "missing")


def test_a_collectors_losses_are_told(tmp_path: Path) -> None:
    """What one collector lost lately is told as it says."""
    write(tmp_path)
    assert {
        "collectors": 1,
        "updated": NOW - 1.5,
        "window": 300,
        "lines": {"value": 7},
        "empty": 9,
        "datagrams": {"kernel_drops": 6},
        "connections": {"refused": 2},
        "samples": {"daily": {"expired": 5, "dropped": 1}},
        "pending": 2,
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
    assert {"archives", "collector", "space"} == got.json["checks"].keys()
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
    monkeypatch.setattr("tally.api.health.shutil.disk_usage", lambda _: Usage(0, 0, free))
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
