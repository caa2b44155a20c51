"""What is said of samples that wait in spill files."""

import json
from pathlib import Path

import pytest

from tally.cli.spilled import describe_spill, find_orphans
from tally.engine import Catalog
from tally.engine.storing.spill import Batch, append, spill_path
from tests.cli.command import filled, invoke

HOLDS = "daily.spill holds 2 samples not yet in the archive"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with an archive for which two samples wait, and a copy of it beside."""
    filled(tmp_path / "data")
    archive = Catalog(tmp_path / "data")["daily"]
    archive.backup(tmp_path / "daily.db")
    append(archive.path, Batch({1700000000: {"a": (2, 3.0, 1.0, 2.0, None)}}, 10))
    return tmp_path / "data"


def test_what_waits_is_told(data: Path) -> None:
    """The number of spilled samples is reported, with broken records."""
    archive = Catalog(data)["daily"]
    assert HOLDS == describe_spill(archive)
    with spill_path(archive.path).open("ab") as file:
        file.write(b"torn")
    assert f"{HOLDS}, and 1 line with a wrong checksum" == describe_spill(archive)
    spill_path(archive.path).write_bytes(b"something else")
    assert "not a spill file of this version of tally" in describe_spill(archive)
    spill_path(archive.path).unlink()
    assert "" == describe_spill(archive)


def test_a_spill_file_without_an_archive_is_an_orphan(data: Path) -> None:
    """A spill file without an archive is reported with its path."""
    assert [] == list(find_orphans(Catalog(data)))
    (data / "daily.db").unlink()
    [told] = find_orphans(Catalog(data))
    assert told.startswith(f"{data}/daily.spill: there is no archive 'daily'")
    assert HOLDS in told


def test_check_notes_what_waits_and_finds_orphans_wrong(data: Path) -> None:
    """Spilled samples are a note, or a fault if there is no archive."""
    result = invoke(data, "check", "--json")
    assert HOLDS in json.loads(result.stdout)["notes"][0]
    (data / "gone.spill").write_bytes((data / "daily.spill").read_bytes())
    result = invoke(data, "check")
    assert 1 == result.exit_code
    assert f"wrong: {data}/gone.spill: there is no archive 'gone'" in result.stdout
    assert f"note: {HOLDS}" in result.stdout


def test_a_backup_tells_what_it_does_not_have(data: Path, tmp_path: Path) -> None:
    """Spilled samples are not in the copy, and stderr says so."""
    result = invoke(data, "backup", str(tmp_path / "copies"))
    assert (0, f"tally: {HOLDS}, nor in the copy\n") == (result.exit_code, result.stderr)


def test_a_restore_tells_what_will_be_added(data: Path, tmp_path: Path) -> None:
    """The spill file of a replaced archive is kept, and stderr says so."""
    result = invoke(data, "restore", str(tmp_path / "daily.db"), "--replace")
    assert (0, f"tally: {HOLDS}: a collector adds them at its next flush\n") == (result.exit_code, result.stderr)
    assert (data / "daily.spill").exists()


def test_a_deletion_takes_what_waits_with_it(data: Path) -> None:
    """A deleted archive leaves no spill file for the next one with its name."""
    assert 0 == invoke(data, "archives", "delete", "daily", "--yes").exit_code
    assert [] == list(data.glob("daily*"))
