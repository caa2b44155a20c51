"""What alerts remember: changes, what is to be delivered, and silences."""

from pathlib import Path

import pytest

from tally.alerts import memory as module
from tally.alerts.evaluation import Step, advance
from tally.alerts.memory import FAILING_S, Memory, Result
from tally.alerts.rules import Rule
from tally.errors import ArchiveUnavailable

T = 1_700_000_000.0
RULE = Rule("slow", 60, "max", above=1.0, notify=("https://one.example/x", "exec:/bin/two"))


class Told:
    """Memory that is told values of one rule, one a window."""

    def __init__(self, directory: Path, rule: Rule = RULE) -> None:
        self.memory = Memory(directory)
        self.rule = rule
        self.now = T

    def tell(self, value: float | None) -> list[str]:
        """Record the next window, and return the states that people should know."""
        self.now += 10
        states = {name: each.state for name, each in self.memory.read()[0].get(self.rule.name, {}).items()}
        step = advance(self.rule, states, {} if value is None else {"": value}, int(self.now))
        return self._record(step)

    def fail(self, after_s: float = 10) -> list[str]:
        """Record that the rule could not be evaluated."""
        self.now += after_s
        return self._record(None, "no archive")

    def _record(self, step: Step | None, error: str = "") -> list[str]:
        result = Result(self.rule, self.now, 0.1, step, error)
        return [change.state for change in self.memory.record([result], {self.rule.name: self.rule}, self.now)]

    def take(self) -> list[tuple[str, str]]:
        """Return the receivers and states of what is due, as delivered."""
        taken = []
        while found := self.memory.due(self.now, 100):
            for delivery in found:
                self.memory.settle(delivery, "delivered")
                taken.append((delivery.receiver[:5], delivery.change.state))
        return taken


def test_an_end_and_a_begin_are_for_each_receiver(tmp_path: Path) -> None:
    """A change has one id, and every receiver gets it once; other states are only counted."""
    told = Told(tmp_path)
    assert [[], [], ["firing"], [], ["ok"]] == [told.tell(value) for value in (0, None, 2, 2, 0)]
    due = told.memory.due(told.now, 100)
    assert [("https", "firing"), ("exec:", "firing")] == [(each.receiver[:5], each.change.state) for each in due]
    assert 1 == len({each.change.id for each in due})
    assert 4 == sum(waiting.pending for waiting in told.memory.waiting())
    assert [("https", "firing"), ("exec:", "firing"), ("https", "ok"), ("exec:", "ok")] == told.take()
    assert [] == told.memory.waiting()
    counters = {("changes", "unknown"): 1, ("changes", "firing"): 1, ("changes", "ok"): 1, ("deliveries", "made"): 4,
                ("deliveries", "delivered"): 4}  # fmt: skip
    assert counters == told.memory.counters()


def test_changes_of_an_alert_wait_for_earlier_ones(tmp_path: Path) -> None:
    """So that a receiver that failed does not get the end before the beginning."""
    told = Told(tmp_path)
    told.tell(2)
    told.tell(0)
    first, other = told.memory.due(told.now, 100)
    told.memory.postpone(first, told.now + 60, "busy")
    told.memory.settle(other, "delivered")
    [after] = told.memory.due(told.now, 100)
    assert (other.receiver, "ok") == (after.receiver, after.change.state)
    told.memory.settle(after, "delivered")
    assert [] == told.memory.due(told.now + 59, 100)
    assert [("firing", 1)] == [(each.change.state, each.attempts) for each in told.memory.due(told.now + 60, 100)]


def test_nobody_is_told_during_a_silence(tmp_path: Path) -> None:
    """At its end those are told of what is not as they know it, with the id of the change."""
    told = Told(tmp_path)
    told.memory.silence("sl*", "moving", since=T, until=T + 60)
    told.memory.silence("other", "moving", since=T, until=T + 600)
    assert ["firing"] == told.tell(2)
    assert ["ok"] == told.tell(0)
    assert ["firing"] == told.tell(2)
    assert [] == told.take()
    told.now = T + 60
    assert [] == told.tell(2)
    assert [("https", "firing"), ("exec:", "firing")] == told.take()
    ended = told.memory.silence("slow", "again", since=told.now, until=told.now + 600)
    assert ["ok"] == told.tell(0)
    assert [] == told.take()
    assert told.memory.end_silence(ended.id)
    assert not told.memory.end_silence(ended.id)
    told.tell(0)
    assert [("https", "ok"), ("exec:", "ok")] == told.take()


def test_a_rule_that_fails_for_long_is_told(tmp_path: Path) -> None:
    """Once, and when it can be evaluated again; its states stay."""
    told = Told(tmp_path)
    told.tell(2)
    told.take()
    assert [[], ["failing"], []] == [told.fail(), told.fail(FAILING_S), told.fail()]
    kept, rules = told.memory.read()
    assert ("firing", "no archive") == (kept["slow"][""].state.kind, rules["slow"].error)
    assert ["ok"] == told.tell(2)
    assert [("https", "failing"), ("exec:", "failing"), ("https", "ok"), ("exec:", "ok")] == told.take()
    assert ("", None) == (told.memory.read()[1]["slow"].error, told.memory.read()[1]["slow"].failing_since)


def test_a_removed_rule_ends(tmp_path: Path) -> None:
    """Those who know that it fires are told that it no longer does."""
    told = Told(tmp_path)
    told.tell(2)
    told.take()
    assert ["unknown"] == [change.state for change in told.memory.record([], {}, told.now)]
    assert [("https", "unknown"), ("exec:", "unknown")] == told.take()
    assert ({}, {}) == told.memory.read()


def test_the_queue_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest deliveries are dropped, and counted."""
    monkeypatch.setattr(module, "QUEUE_MAX", 3)
    told = Told(tmp_path)
    told.tell(2)
    told.tell(0)
    assert [("exec:", "firing"), ("exec:", "ok"), ("https", "ok")] == sorted(told.take())
    assert (4, 1) == tuple(told.memory.counters()["deliveries", each] for each in ("made", "dropped"))


def test_changes_become_events_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are events are forgotten when there are many, and nothing waits for them."""
    monkeypatch.setattr(module, "CHANGES_MAX", 1)
    told = Told(tmp_path)
    for value in (2, 0, 2):
        told.tell(value)
    found = told.memory.changes_without_event()
    assert ["firing", "ok", "firing"] == [change.state for _, change in found]
    assert told.memory.has_work()
    told.memory.confirm_events(number for number, _ in found)
    assert [] == told.memory.changes_without_event()
    assert 6 == len(told.take())
    assert not told.memory.has_work()


def test_a_question_makes_no_file(tmp_path: Path) -> None:
    """Only what is to be remembered does, for its owner only."""
    memory = Memory(tmp_path)
    found = (memory.read(), memory.due(T, 1), memory.waiting(), memory.silences(T), memory.counters(),
             memory.changes_without_event(), memory.end_silence(1), memory.has_work())  # fmt: skip
    assert (({}, {}), [], [], [], {}, [], False, False) == found
    assert [] == list(tmp_path.iterdir())
    memory.silence("a", "b", since=T, until=T + 1)
    assert 0o600 == memory.path.stat().st_mode & 0o777


def test_a_foreign_file_is_told(tmp_path: Path) -> None:
    """The error says what to do."""
    (tmp_path / module.FILE).write_bytes(b"somebody else's" * 100)
    with pytest.raises(ArchiveUnavailable, match="move the file away"):
        Memory(tmp_path).read()
