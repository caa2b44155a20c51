"""What is not as it should be, as `/readyz`, `/status/`, `/archives/` and `/metrics` tell it."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tally.engine import Catalog
from tally.engine.files import damage_marks, wal
from tally.engine.files.disk import format_size
from tests.api.asking import NOW, ask, service
from tests.api.books import write
from tests.api.cases import bearer
from tests.engine.rights import open_directory, unprivileged

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
    """Whichever process is asked then tells it by its slug: not ready, in the list, and as a metric."""
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
    """Its properties are there, and with them what was found."""
    path = Catalog(tmp_path).create("daily").path
    damage_marks.mark(path, "page 7 is malformed")
    [listed] = ask(service(tmp_path), "/archives/").json
    assert listed == ask(service(tmp_path), "/archives/daily/").json
    assert ("daily", 10, "page 7 is malformed") == (listed["name"], 2 * listed["resolution"], listed["damaged"])


def test_restoring_ends_it(directory: Path, tmp_path: Path) -> None:
    """Then all is ready again, in every process."""
    Catalog(directory)["sound"].backup(tmp_path / "copy")
    asked = service(directory)
    assert 500 == ask(asked, "/values/daily/").status
    Catalog(directory).restore(tmp_path / "copy", "daily", replace=True)
    assert ([], 200, 200) == (faults(directory), ask(asked, "/readyz").status, ask(asked, "/values/daily/").status)


def test_a_process_that_may_not_write_remembers() -> None:
    """Where no mark can be left, whoever found the damage tells it all the same."""
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
    """Neither the problem where an archive cannot be written, nor the report where one is no archive."""
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
    """It is one fault, of no archive."""
    file = tmp_path / "file"
    file.touch()
    [fault] = faults(file)
    assert ("archives", None) == (fault["check"], fault["archive"])
    assert str(tmp_path) not in fault["detail"]


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_further_name_of_an_archive_degrades(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    """It is told, is not served, and does not keep tally from its work: 200."""
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
    assert (503, f"daily.db is {what}, and no file") == (got.status, got.json["checks"]["archives"]["detail"])
    assert 404 == ask(service(tmp_path), "/values/daily/").status


def test_a_log_that_a_reader_holds_degrades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's name is told, everywhere that faults are, and its size in the metrics."""
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
