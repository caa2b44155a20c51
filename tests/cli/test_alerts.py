"""`tally alerts`."""

import json
import time
from pathlib import Path

import pytest

from tally.alerts.evaluation import advance
from tally.alerts.memory import Memory, Result
from tally.alerts.rules import load
from tally.engine import Catalog
from tests.cli.command import invoke

RULES = '[slow]\narchive = "daily"\nask = "max"\nover = "10s"\nabove = 1\nnotify = "https://host/T0KEN"\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with a rule and its archive."""
    Catalog(tmp_path).create("daily", resolution=10, retention=0)
    (tmp_path / "alerts.toml").write_text(RULES)
    return tmp_path


def test_rules_are_checked(directory: Path) -> None:
    """What is wrong is told with its place, and what cannot work here without one."""
    done = invoke(directory, "alerts", "check")
    assert (0, "1 rule, no problem\n") == (done.exit_code, done.stdout)
    wrong = RULES.replace("daily", "weekly").replace("https://host/T0KEN", "exec:/nowhere/page")
    p95 = RULES.replace("slow", "p95").replace("max", "p95")
    (directory / "alerts.toml").write_text(f"{wrong}{p95}[other]\nover = 'soon'\n")
    done = invoke(directory, "alerts", "check")
    assert 1 == done.exit_code
    assert [
        "alerts.toml:14:8: other: over 'soon' is not valid: use a time such as 90s, 5min or 1h, from 1 s to 31 d",
        "alerts.toml: slow: /nowhere/page is not a program",
        f"alerts.toml: slow: there is no archive 'weekly' in {directory}",
        "alerts.toml: p95: archive 'daily' keeps no percentiles: tally archives edit daily --percentiles 1",
    ] == done.stdout.splitlines()
    (directory / "alerts.toml").rename(directory / "elsewhere.toml")
    assert 1 == invoke(directory, "alerts", "check", "--alerts", str(directory / "elsewhere.toml")).exit_code


def test_a_rule_is_tested(directory: Path) -> None:
    """A table says when it would have fired."""
    start = int(time.time()) // 10 * 10 - 600
    Catalog(directory).record([("a", 2.0 if at in (100, 110) else 0.0, start + at) for at in range(0, 600, 10)])
    done = invoke(directory, "alerts", "test", "slow", "--since", "-1h")
    header, row = done.stdout.splitlines()
    assert ["fired", "ended", "name", "value"] == header.split()
    assert ["-", "2"] == row.split()[2:]
    assert [start + 110, start + 130] == [int(_seconds(text)) for text in row.split()[:2]]
    done = invoke(directory, "alerts", "test", "fast")
    assert (2, True) == (done.exit_code, "there is no rule 'fast'" in done.stderr)
    assert "use slow" in done.stderr


def _seconds(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


def test_states_and_silences_are_listed(directory: Path) -> None:
    """With what waits for receivers, and rules that cannot be evaluated."""
    assert "alert  name  state  since  value\n" == invoke(directory, "alerts", "list").stdout
    rules = load(directory / "alerts.toml")
    step = advance(rules["slow"], {}, {"": 2.0}, 1_700_000_000)
    memory = Memory(directory)
    memory.record([Result(rules["slow"], 1_700_000_000, 0.1, step)], rules, 1_700_000_000)
    memory.record([Result(rules["slow"], 1_700_000_010, 0.1, None, "no archive")], rules, 1_700_000_010)
    silenced = invoke(directory, "alerts", "silence", "sl*", "--for", "2h", "--why", "moving").stdout
    assert silenced.startswith("silence 1 of sl* ends 20")
    lines = invoke(directory, "alerts", "list").stdout.splitlines()
    assert ["slow", "-", "firing", "2023-11-14T22:13:20Z", "2"] == lines[1].split()
    assert lines[2].startswith("silence 1: sl* until 20")
    assert ["slow cannot be evaluated: no archive", "1 change for https://host/…: new"] == lines[3:]
    [state] = json.loads(invoke(directory, "alerts", "list", "--json").stdout)
    assert ("slow", "firing", 2.0) == (state["rule"], state["state"], state["value"])
    assert "ended silence 1\n" == invoke(directory, "alerts", "unsilence", "1").stdout
    assert 2 == invoke(directory, "alerts", "unsilence", "1").exit_code


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("silence", "slow", "--for", "soon", "--why", "x"), "for 'soon' is not valid"),
        (("silence", "slow", "--for", "2h", "--why", ""), "why ''"),
        (("test", "slow", "--since", "soon"), "since 'soon' is not a time"),
    ],
)
def test_wrong_input_is_one_line(directory: Path, arguments: tuple[str, ...], says: str) -> None:
    """The line on stderr names the value, and the status is 2."""
    done = invoke(directory, "alerts", *arguments)
    assert (2, 1, True) == (done.exit_code, len(done.stderr.splitlines()), says in done.stderr)
