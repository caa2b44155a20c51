"""The evaluator: when rules are read and evaluated, and by whom."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from tally.alerts import evaluator as module
from tally.alerts.courier import Courier
from tally.alerts.evaluator import Evaluator, is_evaluated, rules_path
from tally.alerts.memory import Memory
from tally.alerts.messages import Change
from tally.engine import Archive, Catalog, Question
from tests.api.asking import settings
from tests.processes import wait_for

T = 1_700_000_000.0
SLOW = '[slow]\nask = "max"\nover = "10s"\nabove = 1\ndelay = "0s"\nnotify = "https://host/"\n'


class Watch:
    """An evaluator whose clock is a test's, and whose receivers take everything."""

    def __init__(self, directory: Path, rules: str = SLOW, **chosen: Any) -> None:
        self.now = T
        self.catalog = Catalog(directory, clock=lambda: self.now)
        if not self.catalog.slugs():
            self.catalog.create("daily", resolution=10, retention=0)
        self.rules = directory / "alerts.toml"
        self.rules.write_text(rules)
        self.taken: list[tuple[str, str]] = []
        self.courier = Courier(Memory(directory), sender=self._take, clock=lambda: self.now)
        self.evaluator = Evaluator(settings(directory, **chosen), clock=lambda: self.now, steady=lambda: self.now,
                                   courier=self.courier)  # fmt: skip

    def _take(self, _receiver: str, change: Change) -> None:
        self.taken.append((change.rule, change.state))

    def step(self, value: float | None = None, after_s: float = 10) -> None:
        """Record a value, and do what is due some seconds later."""
        if value is not None:
            self.catalog.record([("a", value, self.now)])
        self.now += after_s
        self.evaluator.step()
        assert self.courier.wait(30)


def count_questions(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """Return a list that gets each question that an archive is asked."""
    asked: list[Question] = []
    ask = Archive.ask

    def count(archive: Archive, question: Question, **limits: Any) -> Any:
        asked.append(question)
        return ask(archive, question, **limits)

    monkeypatch.setattr(Archive, "ask", count)
    return asked


def test_a_change_is_logged_delivered_and_an_event(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log has a line for each change, and an end is an event with a duration."""
    caplog.set_level(logging.INFO, "tally.alerts")
    watch = Watch(tmp_path)
    for value in (0, 2, 2, 0, None):
        watch.step(value)
    assert [("slow", "firing"), ("slow", "ok")] == watch.taken
    assert [
        "alert slow: firing, was ok: max 2, alerted above 1",
        "alert slow: ok, was firing: max 0, alerted above 1",
        "alert slow: unknown, was ok: no data",
    ] == [record.message for record in caplog.records if record.message.startswith("alert ")]
    events = watch.catalog.events.find(tags=["alert", "slow"])
    assert [("slow is firing", T + 20, None), ("slow is no longer firing", T + 20, T + 40)] == [
        (event.title, event.since, event.until) for event in events
    ]


def test_a_rule_is_evaluated_once_a_resolution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as the bucket is whole, and at once when it has changed."""
    asked = count_questions(monkeypatch)
    watch = Watch(tmp_path)
    for after_s, times in ((1, 1), (1, 1), (7, 1), (1, 2), (9, 2), (1, 3)):
        watch.step(after_s=after_s)
        assert times == len(asked), after_s
    watch.rules.write_text(SLOW.replace("10s", "20s"))
    watch.step(after_s=1)
    assert 4 == len(asked)


def test_rules_that_ask_the_same_share_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that differ in their bounds alone ask once; those of another window or aggregate ask for themselves."""
    asked = count_questions(monkeypatch)
    rules = [SLOW.replace("slow", f"rule{number}") for number in range(4)]
    rules[1] = rules[1].replace("above = 1", "above = 5")
    rules[2] = rules[2].replace("10s", "20s", 1)
    rules[3] = rules[3].replace("max", "sum")
    watch = Watch(tmp_path, "".join(rules))
    watch.step(2)
    assert 3 == len(asked)
    assert {("rule0", "firing"), ("rule2", "firing"), ("rule3", "firing")} == set(watch.taken)


def test_evaluating_leaves_the_core_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an evaluation it rests for long enough."""
    monkeypatch.setattr(module, "SHARE", 1e-6)
    watch = Watch(tmp_path)
    for value in (2, 2, 2):
        watch.step(value)
    assert 0 == Memory(tmp_path).counters().get(("changes", "firing"), 0) - 1


def test_a_bad_file_keeps_the_rules(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told once, and read again when it changes."""
    watch = Watch(tmp_path)
    watch.step(2)
    watch.rules.write_text("[slow\n")
    watch.step(2)
    watch.step(0)
    assert ["alerts.toml:1:6: Expected ']' at the end of a table declaration; the rules from before stay"] == [
        record.message for record in caplog.records if record.levelno == logging.ERROR
    ]
    assert [("slow", "firing"), ("slow", "ok")] == watch.taken
    assert watch.evaluator.error
    watch.rules.write_text(SLOW.replace("slow", "other"))
    watch.step(2)
    assert (("other", "firing"), "") == (watch.taken[-1], watch.evaluator.error)


def test_states_survive_a_restart(tmp_path: Path) -> None:
    """What has been told is not told again, and a bad file at the start forgets nothing."""
    first = Watch(tmp_path)
    first.step(2)
    broken = Watch(tmp_path, "[slow\n")
    broken.now = first.now
    broken.step(2)
    second = Watch(tmp_path)
    second.now = broken.now
    second.step(2)
    assert [("slow", "firing")] == first.taken + broken.taken + second.taken
    second.step(0)
    assert [("slow", "ok")] == second.taken
    second.rules.unlink()
    second.step(2)
    assert ({}, {}) == Memory(tmp_path).read()


def test_a_rule_that_cannot_be_evaluated_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its receivers too, after a while, and the other rules are evaluated."""
    watch = Watch(tmp_path, SLOW + SLOW.replace("[slow]", '[gone]\narchive = "gone"'))
    for _ in range(9):
        watch.step(2)
    assert [("gone", "failing"), ("slow", "firing")] == sorted(watch.taken)
    assert "alert gone cannot be evaluated: there is no archive 'gone'" in caplog.text
    watch.catalog.create("gone", resolution=10)
    watch.step(2)
    watch.step(2)
    assert ("gone", "ok") in watch.taken


def test_an_unusable_memory_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told rarely, and nothing is raised."""
    (tmp_path / "alerts.state").write_bytes(b"somebody else's" * 100)
    watch = Watch(tmp_path)
    watch.step(2)
    watch.step(2)
    assert 1 == caplog.text.count("move the file away")


def test_the_setting_chooses_the_file(tmp_path: Path) -> None:
    """By default it is in the data directory."""
    assert tmp_path / "alerts.toml" == rules_path(settings(tmp_path))
    assert Path("/etc/alerts.toml") == rules_path(settings(tmp_path, alerts="/etc/alerts.toml"))


def test_one_process_evaluates(tmp_path: Path) -> None:
    """Another one takes over when it ends, and none makes a file before there are rules."""
    first, second = (Evaluator(settings(tmp_path)) for _ in range(2))
    threads = [threading.Thread(target=each.run, daemon=True) for each in (first, second)]
    threads[0].start()
    assert not is_evaluated(tmp_path)
    (tmp_path / "alerts.toml").write_text(SLOW)
    wait_for(lambda: is_evaluated(tmp_path), "the first to evaluate")
    threads[1].start()
    first.stop()
    threads[0].join(30)
    wait_for(lambda: is_evaluated(tmp_path), "the second to evaluate")
    second.stop()
    threads[1].join(30)
    assert (False, False, False) == (threads[0].is_alive(), threads[1].is_alive(), is_evaluated(tmp_path))
