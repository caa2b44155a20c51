"""What keeps people from being told is told to operators."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tally.alerts.evaluation import advance
from tally.alerts.evaluator import LOCK
from tally.alerts.memory import FAILING_S, Memory, Result
from tally.alerts.rules import load
from tally.api.alert_health import LATE_S, find_faults
from tests.api.asking import NOW, ask, service, settings

RULE = '[slow]\nask = "max"\nover = 5\nabove = 1\nnotify = "https://host/T0KEN"\n'


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Return a directory whose rules somebody evaluates."""
    descriptor = os.open(tmp_path / LOCK, os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    (tmp_path / "alerts.toml").write_text(RULE)
    yield tmp_path
    os.close(descriptor)


def record(directory: Path, at: float, error: str = "") -> None:
    """Record an evaluation in which it fires, or that fails."""
    rules = load(directory / "alerts.toml")
    step = None if error else advance(rules["slow"], {}, {"": 2.0}, int(at))
    Memory(directory).record([Result(rules["slow"], at, 0.1, step, error)], rules, at)


def test_all_is_well(directory: Path) -> None:
    """There is no fault while rules are evaluated and receivers take what they get."""
    record(directory, NOW)
    assert [] == list(find_faults(settings(directory), NOW + LATE_S - 1))
    check = ask(service(directory), "/readyz").json["checks"]["alerts"]
    assert {"ok": True, "detail": "1 rule"} == check


def test_no_rules_need_no_evaluator(tmp_path: Path) -> None:
    """Nothing is told of alerts that are not used."""
    assert [] == list(find_faults(settings(tmp_path), NOW))
    assert "there are no rules" == ask(service(tmp_path), "/readyz").json["checks"]["alerts"]["detail"]


def test_each_fault_is_told(directory: Path) -> None:
    """A bad file, a rule that fails for long, and a receiver that does not take what it gets."""
    record(directory, NOW)
    record(directory, NOW, error="no archive")
    (directory / "alerts.toml").write_text(f"{RULE}[other]\n")
    assert 1 == len(list(find_faults(settings(directory), NOW + FAILING_S - 1)))
    assert [
        "alerts.toml:6:1: other: it has none of them: use one of above, below and absent; the rules from before stay",
        f"alert slow cannot be evaluated since {LATE_S:.0f} s: no archive",
        f"a change waits for https://host/… since {LATE_S:.0f} s: ",
    ] == list(find_faults(settings(directory), NOW + LATE_S))
    got = ask(service(directory, now=NOW + LATE_S), "/status/")
    assert 3 == sum(fault["check"] == "alerts" for fault in got.json["faults"])


def test_rules_that_nobody_evaluates_are_told(tmp_path: Path) -> None:
    """Such as beside `uvicorn tally.api:app` without a collector."""
    (tmp_path / "alerts.toml").write_text(RULE)
    assert ["alerts are not evaluated: start tally serve or tally collect"] == list(
        find_faults(settings(tmp_path), NOW)
    )
    assert not ask(service(tmp_path), "/readyz").json["checks"]["alerts"]["ok"]


def test_an_unusable_memory_is_told(directory: Path) -> None:
    """And the metrics are answered without it."""
    (directory / "alerts.state").write_bytes(b"somebody else's" * 100)
    assert "move the file away" in next(iter(find_faults(settings(directory), NOW)))
    assert 200 == ask(service(directory), "/metrics").status


def test_metrics_count(directory: Path) -> None:
    """States, changes and deliveries, without secrets."""
    record(directory, NOW)
    text = ask(service(directory), "/metrics").body.decode()
    for line in (
        'tally_alerts{rule="slow",state="firing"} 1.0',
        'tally_alert_changes_total{state="firing"} 1.0',
        'tally_alert_deliveries_total{outcome="made"} 1.0',
        'tally_alert_deliveries_pending{receiver="https://host/…"} 1.0',
        'tally_alert_rule_failing{rule="slow"} 0.0',
        'tally_alert_left_out{rule="slow"} 0.0',
    ):
        assert f"\n{line}\n" in text
    assert "T0KEN" not in text
