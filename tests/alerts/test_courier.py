"""Delivery: retries with back-off, and receivers that are independent of each other."""

import logging
import threading
from pathlib import Path

import pytest

from tally.alerts.courier import GIVE_UP_S, LONGEST_WAIT_S, Courier
from tally.alerts.evaluation import advance
from tally.alerts.memory import Memory, Result
from tally.alerts.messages import Change
from tally.alerts.rules import Rule
from tally.errors import DeliveryFailed
from tests.processes import wait_for

T = 1_700_000_000.0
LIMIT_S = 30


class Post:
    """A courier whose clock and sender are a test's, and memory with a change for each receiver."""

    def __init__(self, directory: Path, *receivers: str) -> None:
        self.now = T
        self.memory = Memory(directory)
        self.taken: list[str] = []
        self.fails: set[str] = set()
        self.courier = Courier(self.memory, sender=self._send, clock=lambda: self.now, jitter=lambda: 0.5)
        rule = Rule("slow", 60, "max", above=1.0, notify=receivers)
        step = advance(rule, {}, {"": 2.0}, int(T))
        self.memory.record([Result(rule, T, 0.1, step)], {"slow": rule}, T)

    def _send(self, receiver: str, _change: Change) -> None:
        if receiver in self.fails:
            raise DeliveryFailed("busy")
        self.taken.append(receiver)

    def pump(self, after_s: float = 0) -> int:
        """Start what is due, and wait for it."""
        self.now += after_s
        started = self.courier.pump()
        assert self.courier.wait(LIMIT_S)
        return started


def test_attempts_are_repeated_with_back_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each wait is twice as long, up to a limit, and only the first failure is logged."""
    post = Post(tmp_path, "https://host/T0KEN")
    post.fails = {"https://host/T0KEN"}
    caplog.set_level(logging.INFO, "tally.alerts")
    assert 1 == post.pump()
    for wait_s in (1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_WAIT_S, LONGEST_WAIT_S):
        assert (0, 1) == (post.pump(wait_s - 0.5), post.pump(0.5))
    [waiting] = post.memory.waiting()
    assert (1, 12, "busy") == (waiting.pending, waiting.attempts, waiting.error)
    post.fails = set()
    post.pump(LONGEST_WAIT_S)
    assert ["https://host/T0KEN"] == post.taken
    assert [
        "cannot deliver to https://host/…, and will try for a day: slow is firing: busy",
        "delivered to https://host/… after 12 failed attempts: slow is firing",
    ] == [record.message for record in caplog.records]
    assert (1, 12) == tuple(post.memory.counters()["deliveries", each] for each in ("delivered", "failed"))


@pytest.mark.parametrize(("after_s", "is_over"), [(GIVE_UP_S - 1, False), (GIVE_UP_S, True)])
def test_a_change_expires_after_a_day(tmp_path: Path, after_s: float, is_over: bool) -> None:
    """It is counted and logged."""
    post = Post(tmp_path, "https://host/")
    post.fails = {"https://host/"}
    post.pump(after_s)
    assert is_over == (not post.memory.waiting())
    assert int(is_over) == post.memory.counters().get(("deliveries", "expired"), 0)


def test_a_receiver_that_hangs_delays_no_other(tmp_path: Path) -> None:
    """Only one attempt runs for each."""
    hangs, begun = threading.Event(), threading.Event()
    post = Post(tmp_path, "https://hangs/", "https://works/")

    def send(receiver: str, _change: Change) -> None:
        if receiver == "https://hangs/":
            begun.set()
            assert hangs.wait(LIMIT_S)
        post.taken.append(receiver)

    courier = Courier(post.memory, sender=send, clock=lambda: T)
    assert 2 == courier.pump()
    assert begun.wait(LIMIT_S)
    wait_for(lambda: post.taken, "the other receiver")
    assert not courier.wait(0.2)
    assert (["https://works/"], 0) == (post.taken, courier.pump())
    hangs.set()
    assert courier.wait(LIMIT_S)
    assert [] == post.memory.waiting()


def test_one_thread_delivers_all_that_is_due(tmp_path: Path) -> None:
    """A receiver gets many alerts at once, and a receiver with few does not wait for them."""
    many = Rule("many", 60, "max", above=1.0, each="name", notify=("https://many/",))
    few = Rule("few", 60, "max", above=1.0, notify=("https://few/",))
    memory = Memory(tmp_path)
    values = {str(number): 2.0 for number in range(100)}
    rules = {"many": many, "few": few}
    memory.record(
        [
            Result(many, T, 0.1, advance(many, {}, values, int(T))),
            Result(few, T, 0.1, advance(few, {}, {"": 2.0}, int(T))),
        ],
        rules,
        T,
    )
    taken: list[str] = []
    courier = Courier(memory, sender=lambda receiver, _change: taken.append(receiver), clock=lambda: T)
    assert 2 == courier.pump()
    assert courier.wait(LIMIT_S)
    assert (100, 1) == (taken.count("https://many/"), taken.count("https://few/"))
    assert taken.index("https://few/") < 99
    courier.stop()
    memory.record([Result(few, T + 10, 0.1, advance(few, {}, {"": 2.0}, int(T) + 10))], {"few": few}, T + 10)
    assert 101 == len(taken)


def test_an_unexpected_error_is_a_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, and the change stays."""
    post = Post(tmp_path, "https://host/")

    def send(_receiver: str, _change: Change) -> None:
        raise ZeroDivisionError

    courier = Courier(post.memory, sender=send, clock=lambda: T)
    courier.pump()
    assert courier.wait(LIMIT_S)
    assert "ZeroDivisionError" in caplog.text
    assert 1 == post.memory.waiting()[0].attempts
