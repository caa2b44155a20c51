"""`tally check`, against real files."""

import json
import os
import shlex
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tally.engine import Catalog
from tally.engine.files import schema, wal
from tally.engine.files.disk import FREE_MIN_BYTES
from tally.engine.storing.idempotency import Delivery
from tally.engine.storing.ledger import Decision
from tests.cli.command import filled, invoke


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with an archive."""
    return filled(tmp_path / "data")


def test_sound(data: Path) -> None:
    """A sound archive is one line, with status 0."""
    result = invoke(data, "check")
    size = (data / "daily.db").stat().st_size
    assert [
        "archive  is     names  rows  unsealed  expired  bytes  wal",
        f"daily    sound      2     3         3        0  {size}    0",
    ] == result.stdout.splitlines()
    assert (0, "") == (result.exit_code, result.stderr)


def test_unavailable(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that cannot be read is not reported as damaged, and the status is 1."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 10)
    with schema.OpenArchive(data / "daily.db", write=True) as connection:
        connection.pragma("locking_mode", "exclusive")
        connection.pragma("journal_mode", "delete")
        connection.execute("BEGIN EXCLUSIVE")
        result = invoke(data, "check")
    _, row, wrong = result.stdout.splitlines()
    assert ["daily", "unavailable", *["-"] * 6] == row.split()
    assert f"wrong: daily: {data}/daily.db: cannot be used now: database is locked" == wrong
    assert 1 == result.exit_code


def test_damaged(data: Path) -> None:
    """Damage is reported below the table, the others are checked, and the status is 1."""
    (data / "broken.db").write_bytes(b"garbage" * 1000)
    result = invoke(data, "check")
    lines = result.stdout.splitlines()
    assert 1 == result.exit_code
    assert ["broken", "damaged", *["-"] * 6] == lines[1].split()
    assert ["daily", "sound"] == lines[2].split()[:2]
    assert lines[3].startswith(f"wrong: broken: {data}/broken.db: is not a tally archive")
    assert 4 == len(lines)


def test_the_ledger(data: Path) -> None:
    """A damaged ledger of idempotency keys is reported."""
    ledger = Catalog(data).ledger
    ledger.decide(Delivery("one", b"digest", 0), Decision(0, 0, ("daily",)), now=0)
    assert 0 == invoke(data, "check").exit_code
    ledger.path.write_bytes(b"garbage" * 1000)
    result = invoke(data, "check")
    assert 1 == result.exit_code
    assert f"wrong: the ledger of keys cannot be used: {ledger.path}: " in result.stdout


def test_what_a_wrong_clock_left_is_noted(data: Path) -> None:
    """Buckets in the future are reported with the command that removes them."""
    archive = Catalog(data)["daily"]
    archive.edit(retention=1)
    archive.commit({4_102_444_800: {"b": (1, 1, 1, 1)}, 4_102_444_810: {"b": (1, 1, 1, 1)}}, now=4_102_444_800)
    result = invoke(data, "check")
    doubt, future = [line for line in result.stdout.splitlines() if line.startswith("note: ")]
    assert "archive daily: by the system clock all data is past the retention" in doubt
    span = "from 2100-01-01T00:00:00Z to 2100-01-01T00:00:10Z"
    assert f"note: daily: 2 buckets in the future, {span}; if a wrong clock left them, remove them: " in future
    command = shlex.split(future.rpartition(": ")[2].removeprefix("tally "))
    assert (0, "removed 2 cells of 1 name, 2 samples\n") == (
        (removed := invoke(data, *command)).exit_code, removed.stdout
    )  # fmt: skip
    assert "in the future" not in invoke(data, "check", TALLY_MAX_FUTURE="5000000000").stdout
    assert (0, 0) == (result.exit_code, invoke(data, "check").stdout.count("in the future"))


def test_some(data: Path, tmp_path: Path) -> None:
    """If slugs or files are named, only these are checked."""
    (data / "broken.db").write_bytes(b"garbage" * 1000)
    invoke(data, "backup", str(tmp_path / "copies"), "daily")
    result = invoke(data, "check", "daily", str(tmp_path / "copies" / "daily.db"))
    assert (0, 3) == (result.exit_code, len(result.stdout.splitlines()))


def test_an_archive_that_is_missing_does_not_stop_the_others(data: Path) -> None:
    """A missing archive is reported, and the others are checked."""
    result = invoke(data, "check", "nothing", "daily", "nowhere/copy.db")
    assert 1 == result.exit_code
    assert "daily" in result.stdout
    assert "wrong: there is no archive 'nothing'" in result.stdout
    assert "wrong: there is no file 'nowhere/copy.db'" in result.stdout


def test_json(data: Path) -> None:
    """With --json, the result is one object."""
    Catalog(data).create("b").path.write_bytes(b"")
    result = invoke(data, "check", "--json")
    told = json.loads(result.stdout)
    assert 1 == result.exit_code
    assert {"archives", "wrong", "notes"} == told.keys()
    broken, daily = told["archives"]
    assert ("b", None) == (broken["slug"], broken["contents"])
    assert [f"b: {text}" for text in broken["damage"]] == told["wrong"]
    assert (3, []) == (daily["contents"]["rows"], daily["damage"])


@pytest.mark.parametrize(("free", "status"), [(FREE_MIN_BYTES, 0), (FREE_MIN_BYTES - 1, 1)])
def test_space(data: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: int) -> None:
    """Low disk space is reported."""
    usage = shutil.disk_usage(data)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=free))
    result = invoke(data, "check")
    assert status == result.exit_code
    assert bool(status) == (f"wrong: {data}: 99 MiB free (at least 100 MiB required)" in result.stdout)


@pytest.mark.parametrize("name", ["daily.db", ""])
def test_rights(data: Path, name: str) -> None:
    """A file or directory that is writable by everybody is reported."""
    (data / name).chmod(0o666 if name else 0o777)
    result = invoke(data, "check")
    assert 1 == result.exit_code
    assert f"wrong: {data / name}: every user of this machine can write to it" in result.stdout


def test_settings(data: Path) -> None:
    """An unknown setting is noted, and a malformed one is an error."""
    result = invoke(data, "check", TALLY_RETENTION="7")
    assert 0 == result.exit_code
    assert "note: TALLY_RETENTION in the environment is not a setting of tally" == result.stdout.splitlines()[-1]
    result = invoke(data, "check", TALLY_PORT="x")
    assert 2 == result.exit_code
    assert result.stderr.startswith("tally: TALLY_PORT='x' is not a port")


def test_nothing_to_check(tmp_path: Path) -> None:
    """A directory without archives is an error."""
    result = invoke(tmp_path, "check")
    assert 2 == result.exit_code
    assert "there is no archive in" in result.stderr


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_further_name_is_told(data: Path, link: Callable[[Path, Path], None]) -> None:
    """A file with two names is checked once, and its other name is reported."""
    before = invoke(data, "check").stdout
    link(data / "alias.db", data / "daily.db")
    result = invoke(data, "check")
    told = (
        f"wrong: {data}: alias.db is another name of the file daily.db: it is neither served nor written; remove it\n"
    )
    assert (1, before + told) == (result.exit_code, result.stdout)


def test_a_file_named_auto_is_reported(data: Path) -> None:
    """It is not served, even if it is the only file."""
    shutil.copy(data / "daily.db", data / "auto.db")
    for served in (True, False):
        result = invoke(data, "check")
        assert (1, served) == (result.exit_code, "daily" in result.stdout)
        assert f"wrong: {data}: auto.db is neither served nor written" in result.stdout
        (data / "daily.db").unlink(missing_ok=True)


def test_what_is_no_file_is_told(data: Path) -> None:
    """An entry that is not a file is reported, even if there is no archive."""
    (data / "daily.db").unlink()
    os.mkfifo(data / "daily.db")
    result = invoke(data, "check")
    assert 1 == result.exit_code
    assert f"wrong: {data}/daily.db is a FIFO, not a file" in result.stdout


def test_a_log_that_a_reader_holds_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that cannot be emptied is reported."""
    monkeypatch.setattr(wal, "LOG_MAX_BYTES", 20_000)
    archive = Catalog(data)["daily"]
    with closing(apsw.Connection(str(archive.path))) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM data").get
        for second in range(3):
            archive.record([(f"name{i}", 1, second) for i in range(500)])
        result = invoke(data, "check", "daily")
    assert 1 == result.exit_code
    assert "wrong: daily.db-wal has " in result.stdout
    assert 0 == invoke(data, "check", "daily").exit_code
