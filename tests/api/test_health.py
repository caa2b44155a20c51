"""The answers of `/status/` and `/readyz`, and the faults that they report."""

import os
from collections import namedtuple
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tally.api.health import LATE_FLUSHES, LATE_S, SILENT_FLUSHES, SILENT_S
from tally.api.service import Service
from tally.engine import Catalog
from tally.engine.files import damage_marks, wal
from tally.engine.files.disk import FREE_MIN_BYTES, format_size
from tally.engine.files.status import process_identity
from tests.api.asking import NOW, Got, ask, service, settings
from tests.api.books import ACCOUNT, STATUS, write
from tests.api.cases import bearer
from tests.engine.rights import open_directory, unprivileged

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
    """Without a collector, the status is empty, with or without a data directory."""
    assert NOTHING == told(tmp_path)
    assert NOTHING == {**told(tmp_path / "missing"), "faults": [NO_COLLECTOR]}


def test_a_collectors_losses_are_told(tmp_path: Path) -> None:
    """The recent losses of a collector are those in its status file."""
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
    """The losses of several collectors are added by place and reason, and the latest flush counts."""
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
    """An overdue status file is not counted. One from the future is."""
    write(tmp_path, updated=NOW - ago)
    assert collectors == told(tmp_path)["collectors"]
    assert (collectors == 1) == ready(tmp_path).json["checks"]["collector"]["ok"]


def test_all_is_well(sound: Path) -> None:
    """The answer is 200 if archives are readable, a collector flushes, and there is disk space."""
    got = ready(sound)
    assert (200, "ready") == (got.status, got.json["status"])
    assert ["archives", "writing", "collector", "space", "logs", "names", "alerts", "cluster"] == list(
        got.json["checks"]
    )
    assert {"ok": True, "detail": "1 can be read"} == got.json["checks"]["archives"]
    assert {"ok": True, "detail": "the last flush was 1.5 s ago"} == got.json["checks"]["collector"]
    assert got.json["checks"]["space"]["ok"]


def failing(directory: Path, **settings: Any) -> list[str]:
    """Return which checks fail, of an answer that says so by its status too."""
    got = ready(directory, **settings)
    assert (503, "not ready", "application/json") == (got.status, got.json["status"], got.headers["content-type"])
    return [name for name, check in got.json["checks"].items() if not check["ok"]]


def test_an_archive_that_cannot_be_read(sound: Path) -> None:
    """A file that is not an archive makes tally not ready, and is named. Other archives are still checked."""
    (sound / "foreign.db").write_bytes(b"nonsense" * 1000)
    assert ["archives"] == failing(sound)
    assert "foreign: is not a tally archive" in ready(sound).json["checks"]["archives"]["detail"]


def test_no_collector(sound: Path) -> None:
    """A missing collector is a fault, unless clients write to the archives directly."""
    next(sound.glob("collector-*")).unlink()
    assert ["collector"] == failing(sound)
    assert 200 == ready(sound, host="").status


def test_no_directory(tmp_path: Path) -> None:
    """A data directory that is missing or not searchable is reported, and not created."""
    assert ["collector", "space"] == failing(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    file = tmp_path / "file"
    file.touch()
    assert "archives" in failing(file)


@pytest.mark.parametrize(("free", "missing"), [(FREE_MIN_BYTES, []), (FREE_MIN_BYTES - 1, ["space"])])
def test_space(free: int, missing: list[str], sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Low disk space makes tally not ready."""
    monkeypatch.setattr("tally.api.health.shutil.disk_usage", lambda _: Usage(0, 0, free))
    assert missing == (failing(sound) if missing else [])
    assert (200 if not missing else 503) == ready(sound).status


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """A status file that is not JSON is ignored."""
    path = tmp_path / "collector-0.json"
    path.write_text("{")
    os.utime(path, (NOW, NOW))
    assert NOTHING == told(tmp_path)


@pytest.mark.parametrize("target", ["/status/", "/readyz", "/metrics"])
def test_it_is_for_those_who_may_read(target: str, sound: Path) -> None:
    """With TALLY_READ_TOKEN, these routes need a token. They reject unknown parameters."""
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
    """A running collector that does not flush makes tally not ready, even if another one does. A dead one does not."""
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
    """Samples that wait for long are a fault, even if no flush has failed yet."""
    write(sound, written=NOW, waiting=waiting_s)
    assert (status, waiting_s) == (ready(sound).status, told(sound)["waiting"])
    if status == 503:
        assert ["writing"] == failing(sound)
        assert "samples have waited for 18 s to be written" == ready(sound).json["checks"]["writing"]["detail"]


def test_the_collector_of_this_process_is_asked_itself(sound: Path) -> None:
    """The collector's current status counts, not the one in its status file."""
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


TARGETS = (
    "/values/daily/",
    "/aggregate/daily/sum/byname/",
    "/names/daily/",
    "/archives/daily/",
    "/archives/",
    "/readyz",
    "/status/",
    "/render?target=daily.*.sum&format=json&from=0",
    "/metrics/find?query=daily.*",
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a damaged archive, of which only the definition can be read, and a sound one."""
    for slug in ("daily", "sound"):
        fill(tmp_path, slug)
    write(tmp_path)
    damage(tmp_path / "daily.db")
    return tmp_path


def fill(directory: Path, slug: str) -> None:
    """Make an archive of some pages."""
    archive = Catalog(directory).create(slug, resolution=10, retention=0)
    archive.record([(f"name{i}", 1, NOW - 10 * at) for at in range(20) for i in range(100)])


def damage(path: Path) -> None:
    """Overwrite all that is behind the definition, which stands in the first pages."""
    path.write_bytes(path.read_bytes()[: 4096 * 3] + b"\xff" * (path.stat().st_size - 4096 * 3))


def faults(directory: Path) -> Any:
    """Return what `/status/` tells of archives."""
    found = ask(service(directory), "/status/").json["faults"]
    return [fault for fault in found if fault["check"] == "archives"]


@pytest.mark.parametrize("target", ["/values/daily/", "/names/daily/", "/render?target=daily.*.sum&from=0", "/metrics"])
def test_damage_is_told_everywhere_once_a_question_has_found_it(directory: Path, target: str) -> None:
    """Every process reports the slug: in `/readyz`, in the list of archives, and in the metrics."""
    assert ([], 200) == (faults(directory), ask(service(directory), "/readyz").status)
    ask(service(directory), target)
    other = service(directory)
    got = ask(other, "/readyz")
    assert (503, "not ready") == (got.status, got.json["status"])
    assert got.json["checks"]["archives"]["detail"].startswith("daily is damaged: ")
    [fault] = faults(directory)
    assert ("archives", "daily") == (fault["check"], fault["archive"])
    assert fault["detail"] == got.json["checks"]["archives"]["detail"]
    listed = {each["slug"]: each for each in ask(other, "/archives/").json}
    assert "error" in listed["daily"] or listed["daily"]["damaged"]
    assert "damaged" not in listed["sound"]
    text = ask(other, "/metrics").body.decode()
    assert 'tally_archive_damaged{archive="daily"} 1.0' in text
    assert 'tally_archive_damaged{archive="sound"} 0.0' in text


def test_a_damaged_archive_that_can_be_described_says_so(tmp_path: Path) -> None:
    """The answer has the properties of the archive, and the damage."""
    path = Catalog(tmp_path).create("daily").path
    damage_marks.mark(path, "page 7 is malformed")
    [listed] = ask(service(tmp_path), "/archives/").json
    assert listed == ask(service(tmp_path), "/archives/daily/").json
    assert ("daily", 10, "page 7 is malformed") == (listed["name"], 2 * listed["resolution"], listed["damaged"])


def test_restoring_ends_it(directory: Path, tmp_path: Path) -> None:
    """After that, every process is ready again."""
    Catalog(directory)["sound"].backup(tmp_path / "copy")
    asked = service(directory)
    assert 500 == ask(asked, "/values/daily/").status
    Catalog(directory).restore(tmp_path / "copy", "daily", replace=True)
    assert ([], 200, 200) == (faults(directory), ask(asked, "/readyz").status, ask(asked, "/values/daily/").status)


def test_a_process_that_may_not_write_remembers() -> None:
    """If no mark can be written, the process that found the damage still reports it."""
    with open_directory() as directory:
        fill(directory, "daily")
        damage(directory / "daily.db")
        (directory / "daily.db").chmod(0o644)
        asked = service(directory, host="")
        with unprivileged(directory, 0o555):
            assert 200 == ask(asked, "/readyz").status
            assert 500 == ask(asked, "/values/daily/").status
            assert 503 == ask(asked, "/readyz").status
            assert ["daily"] == [fault["archive"] for fault in ask(asked, "/status/").json["faults"]]
            assert [] == faults(directory)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["damaged", "garbage", "newer", "locked away"])
def test_no_answer_holds_a_path_of_the_server(
    directory: Path, target: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An archive is told by its slug, whatever is wrong with it, at first and from then on; the log has its path."""
    path = directory / "daily.db"
    if kind == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif kind == "newer":
        content = bytearray(path.read_bytes())
        content[63] = 2
        path.write_bytes(content)
    elif kind == "locked away":
        path.unlink()
        path.symlink_to(path)
    for asked in (service(directory), service(directory)):
        got = ask(asked, target)
        assert str(directory) not in got.body.decode()
        assert str(directory.resolve()) not in got.body.decode()
        if got.status >= 500 and got.headers["content-type"] == "application/problem+json":
            assert "daily" in got.json["detail"]
            assert str(path) in caplog.text


def test_no_error_of_posting_holds_a_path_either(directory: Path) -> None:
    """Paths appear neither in the fault of an archive that cannot be written, nor in that of a foreign file."""
    (directory / "foreign.db").write_bytes(b"garbage" * 1000)
    asked = service(directory, write_token="w")
    sent = {**bearer("w"), "Content-Type": "text/plain"}
    damage_marks.mark(directory / "daily.db", "malformed")
    for _ in range(2):
        got = ask(asked, "/samples/", method="POST", headers=sent, body=b"a 1 1800000000")
        assert str(directory) not in got.body.decode()
        Catalog(directory)["sound"].backup(directory / "copy", replace=(directory / "copy").exists())
        Catalog(directory).restore(directory / "copy", "daily", replace=True)
    assert 200 == got.status
    assert "foreign: is not a tally archive" in got.json["archives"]["foreign"]["error"]


def test_a_directory_that_cannot_be_read(tmp_path: Path) -> None:
    """This is one fault, which belongs to no archive."""
    file = tmp_path / "file"
    file.touch()
    [fault] = faults(file)
    assert ("archives", None) == (fault["check"], fault["archive"])
    assert str(tmp_path) not in fault["detail"]


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_further_name_of_an_archive_degrades(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    """It is reported and not served, but tally stays ready."""
    path = Catalog(tmp_path).create("daily").path
    write(tmp_path)
    link(tmp_path / "alias.db", path)
    got = ask(service(tmp_path), "/readyz")
    assert (200, "degraded") == (got.status, got.json["status"])
    told = "alias.db is another name of the file daily.db: it is neither served nor written; remove it"
    assert {"ok": False, "detail": told} == got.json["checks"]["names"]
    assert ["daily"] == [each["slug"] for each in ask(service(tmp_path), "/archives/").json]
    assert 404 == ask(service(tmp_path), "/values/alias/").status
    assert ["names"] == [fault["check"] for fault in ask(service(tmp_path), "/status/").json["faults"]]


@pytest.mark.parametrize(("make", "what"), [(Path.mkdir, "a directory"), (os.mkfifo, "a FIFO")])
def test_what_stands_in_the_place_of_an_archive_makes_tally_not_ready(
    tmp_path: Path, make: Callable[[Path], object], what: str
) -> None:
    """With the reason, and nothing waits for it."""
    path = Catalog(tmp_path).create("daily").path
    write(tmp_path)
    path.unlink()
    make(path)
    got = ask(service(tmp_path), "/readyz")
    assert (503, f"daily.db is {what}, not a file") == (got.status, got.json["checks"]["archives"]["detail"])
    assert 404 == ask(service(tmp_path), "/values/daily/").status


def test_a_log_that_a_reader_holds_degrades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All lists of faults name the file, and the metrics have its size."""
    monkeypatch.setattr(wal, "LOG_MAX_BYTES", 100_000)
    archive = Catalog(tmp_path).create("daily", resolution=1, retention=0)
    write(tmp_path)
    with closing(apsw.Connection(str(archive.path))) as reader:
        reader.execute("BEGIN")
        assert 0 == reader.execute("SELECT count(*) FROM data").get
        for second in range(3):
            archive.record([(f"name{i}", 1, second) for i in range(500)])
        got = ask(service(tmp_path), "/readyz")
        assert (200, "degraded") == (got.status, got.json["status"])
        size = wal.log_bytes(archive.path)
        assert f"daily.db-wal has {format_size(size)} and cannot be emptied" in got.json["checks"]["logs"]["detail"]
        assert ["logs"] == [fault["check"] for fault in ask(service(tmp_path), "/status/").json["faults"]]
        text = ask(service(tmp_path), "/metrics").body.decode()
        assert f'tally_archive_wal_bytes{{archive="daily"}} {float(size)}' in text
    assert "ready" == ask(service(tmp_path), "/readyz").json["status"]
