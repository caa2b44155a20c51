"""Files beside the archives: they are in a backup of everything, and restored from it."""

from pathlib import Path

import pytest

from tally.alerts.memory import Memory
from tally.engine import Catalog, Event
from tally.engine.views import Views
from tests.cli.command import filled, invoke

T = 1_700_000_000.0
UNITS, RULES = '"*" = "s"\n', '[a]\nask = "max"\nover = "10s"\nabove = 1\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with everything that a user can put there, and files that nobody should copy."""
    directory = filled(tmp_path / "data")
    Catalog(directory).events.add(Event("deployed", since=T), now=T)
    Memory(directory).silence("a", "moved", since=T, until=T + 60)
    Views(directory).save({"name": "mine", "address": "?top=8"})
    (directory / "units.toml").write_text(UNITS)
    (directory / "alerts.toml").write_text(RULES)
    (directory / "alerts.toml").chmod(0o600)
    for other in ("view-other.json", "notes.txt", "events.db-old", "cluster.json"):
        (directory / other).write_text("x")
    return directory


def back_up(data: Path, *options: str) -> list[Path]:
    """Back everything up; return the copies."""
    target = data.parent / "copies"
    result = invoke(data, "backup", str(target), *options)
    assert (0, "") == (result.exit_code, result.stderr)
    copies = [Path(line.partition(": ")[0]) for line in result.stdout.splitlines()]
    assert sorted(copies) == sorted(target.iterdir())
    return copies


def test_everything_is_in_a_backup(data: Path) -> None:
    """The copies have the names of the originals; what has secrets stays private. Named archives are copied alone."""
    copies = back_up(data)
    [view] = data.glob("view-??????*.json")
    assert {"daily.db", "events.db", "alerts.state", "alerts.toml", "units.toml"} == {each.name for each in copies} - {
        view.name
    }
    assert {0o600} == {each.stat().st_mode & 0o777 for each in copies if each.name.startswith("alerts")}
    result = invoke(data, "backup", str(data.parent / "one"), "daily")
    assert ["daily.db"] == [Path(line.partition(": ")[0]).name for line in result.stdout.splitlines()]
    checked = invoke(data, "check", *(str(each) for each in copies if each.suffix == ".db"))
    assert (0, 2) == (checked.exit_code, len(checked.stdout.splitlines())), checked.stdout


def test_everything_is_restored(data: Path, tmp_path: Path) -> None:
    """Into an empty directory, and with --replace into one whose files have changed."""
    copies = back_up(data)
    for directory, options in ((tmp_path / "new", ()), (data, ("--replace",))):
        for copy in copies:
            result = invoke(directory, "restore", str(copy), *options)
            path = directory / copy.name
            assert (0, f"{path}: {path.stat().st_size} bytes\n") == (result.exit_code, result.stdout)
        assert ["deployed"] == [event.title for event in Catalog(directory).events.find()]
        assert ["moved"] == [silence.why for silence in Memory(directory).silences(T)]
        assert ["mine"] == [view.name for view in Views(directory).find()]
        assert (UNITS, RULES) == ((directory / "units.toml").read_text(), (directory / "alerts.toml").read_text())
        Catalog(data).events.add(Event("later", since=T), now=T)
        Memory(data).end_silence(1)
        (data / "units.toml").write_text("")
        (data / "alerts.toml").write_text("")


def test_copies_are_replaced_only_if_that_is_asked_for(data: Path) -> None:
    """Copies that are there stay, and originals too; each is told in a line."""
    copies = back_up(data)
    Catalog(data).events.add(Event("later", since=T), now=T)
    result = invoke(data, "backup", str(data.parent / "copies"))
    assert (2, len(copies)) == (result.exit_code, result.stderr.count("exists: "))
    assert copies == back_up(data, "--replace")
    assert ["deployed", "later"] == [event.title for event in Catalog(data.parent / "copies").events.find()]
    for copy in copies:
        result = invoke(data, "restore", str(copy))
        assert (2, 1) == (result.exit_code, result.stderr.count("exists: ")), result.stderr


def test_what_cannot_be_is_told(data: Path) -> None:
    """A damaged file, one of another kind, and the original itself; nothing has changed then."""
    copies = {copy.name: copy for copy in back_up(data)}
    for name in ("events.db", "alerts.state"):
        with copies[name].open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 4096)
    copies["units.toml"].write_text('"*" = "s')
    copies["alerts.toml"].write_text("[a]\nask = 5\n")
    [view] = (copy for name, copy in copies.items() if name.startswith("view-"))
    view.write_text('{"name": "mi')
    other = data.parent / "alerts.state"
    other.write_bytes(copies["daily.db"].read_bytes())
    for copy, told in (
        (copies["events.db"], f"the file of events cannot be used: {copies['events.db']}: is damaged: "),
        (copies["alerts.state"], f"the memory of alerts cannot be used: {copies['alerts.state']}: is damaged: "),
        (copies["units.toml"], "units.toml: is not valid: "),
        (copies["alerts.toml"], "alerts.toml:2:7: a: ask 5 is not valid"),
        (view, f"the saved view cannot be used: {view}: is damaged"),
        (other, "is another kind of file"),
        (data / "alerts.state", "the file itself"),
    ):
        result = invoke(data, "restore", str(copy), "--replace")
        assert (2, 1) == (result.exit_code, len(result.stderr.splitlines())), result.stderr
        assert told in result.stderr
    assert ["deployed"] == [event.title for event in Catalog(data).events.find()]
    assert (UNITS, RULES) == ((data / "units.toml").read_text(), (data / "alerts.toml").read_text())
    assert ["mine"] == [each.name for each in Views(data).find()]
    result = invoke(data, "backup", str(data), "--replace")
    assert (2, 0) == (result.exit_code, result.stdout.count("\n"))
    assert 1 == invoke(data, "check", str(copies["events.db"])).exit_code
