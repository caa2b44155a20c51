"""Survive 20: alerts with late samples, crashes, and receivers that refuse, hang, answer 500 or vanish."""

import logging
import random as random_module
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tally.alerts.courier import Courier
from tally.alerts.evaluator import Evaluator
from tally.alerts.memory import Delivery, Memory
from tally.alerts.messages import Change
from tally.engine import Catalog
from tally.errors import DeliveryFailed
from tests.alerts.receiving import receiving
from tests.api.asking import ask, service, settings
from tests.cli.command import invoke
from tests.processes import started, wait_for
from tests.survive.paging import NAMES, RESOLUTION, START, Naive, NaiveRule, Sample, make_rule
from tests.survive.scale import chance, scaled

STEPS, RULES = scaled(40, 1500), scaled(6, 12)
KILLS = scaled(2, 40)
RECEIVERS = tuple(f"https://receiver{number}.example/" for number in range(3))


class Mortal(Memory):
    """Memory of a process that may be killed before it notes what it has done."""

    def __init__(self, directory: Path, random: random_module.Random) -> None:
        super().__init__(directory)
        self._random = random
        self.dies = True

    def settle(self, delivery: Delivery, outcome: str) -> None:
        """Note an outcome, or not."""
        if not self.dies or self._random.random() < 0.8:
            super().settle(delivery, outcome)

    def confirm_events(self, numbers: Iterable[int]) -> None:
        """Note what is an event, or not."""
        if not self.dies or self._random.random() < 0.8:
            super().confirm_events(numbers)


class World:
    """tally on a directory, its receivers, a clock, and what a naive computation expects."""

    def __init__(self, directory: Path, random: random_module.Random) -> None:
        self.directory = directory
        self.random = random
        self.now = float(START)
        self.naive = Naive()
        self.rules = [make_rule(random, number, RECEIVERS) for number in range(RULES)]
        self.catalog = Catalog(directory, clock=lambda: self.now)
        self.catalog.create("daily", resolution=RESOLUTION, retention=0)
        self.taken: defaultdict[tuple[str, str], list[Change]] = defaultdict(list)
        self.is_healthy = False
        (directory / "alerts.toml").write_text("".join(rule.toml() for rule in self.rules))
        self.start()

    def start(self) -> None:
        """Start tally again: nothing is left but its files."""
        self.naive.restart()
        self.memory = Mortal(self.directory, self.random)
        self.courier = Courier(self.memory, sender=self._take, clock=lambda: self.now, jitter=self.random.random)
        self.evaluator = Evaluator(settings(self.directory), clock=lambda: self.now, steady=lambda: self.now * 1000,
                                   courier=self.courier)  # fmt: skip
        self.evaluator._memory = self.memory

    def _take(self, receiver: str, change: Change) -> None:
        """Be a receiver: take a change, refuse it, or take it and vanish before the answer."""
        mood = 1.0 if self.is_healthy else self.random.random()
        if mood < 0.3:
            raise DeliveryFailed("it answered 500")
        self.taken[receiver, f"{change.rule}/{change.name}"].append(change)
        if mood < 0.5:
            raise DeliveryFailed("its answer ended early")

    def step(self) -> None:
        """Let time pass, samples come, late ones too, and tally do what is due."""
        self.now += self.random.choice([1, 4, 10, 10, 10, 30])
        if self.random.random() < 0.8:
            self._send(self.random.randint(1, 6))
        self._silence()
        self.naive.evaluate(self.rules, self.now)
        self.evaluator.step()
        assert self.courier.wait(30)
        if self.random.random() < 0.1:
            self.start()

    def _send(self, count: int) -> None:
        samples = [
            Sample(
                self.random.choice(NAMES), float(self.random.randint(0, 4)), int(self.now) - self.random.randint(0, 40)
            )
            for _ in range(count)
        ]
        self.naive.samples += samples
        self.catalog.record(samples)

    def _silence(self) -> None:
        name = self.rules[0].name
        for silence in self.memory.silences(self.now):
            if self.random.random() < 0.2:
                self.memory.end_silence(silence.id)
        if self.random.random() < 0.05:
            self.memory.silence(name, "x", since=self.now, until=self.now + self.random.randint(5, 100))
        self.naive.silenced = {name} if self.memory.silences(self.now) else set()

    def heal(self) -> None:
        """Let all receivers take everything, and wait until nothing is left to deliver."""
        self.is_healthy, self.memory.dies = True, False
        for silence in self.memory.silences(self.now):
            self.memory.end_silence(silence.id)
        self.naive.silenced = set()
        for _ in range(100):
            self.now += 60
            self.naive.evaluate(self.rules, self.now)
            self.evaluator.step()
            assert self.courier.wait(30)
            if not self.memory.has_work():
                return
        raise AssertionError("deliveries are left")


def told(changes: list[Change]) -> list[tuple[str, int]]:
    """Return the states and times of changes, each id once, in the order of their first arrival."""
    return [(change.state, int(change.at)) for change in {change.id: change for change in changes}.values()]


def test_every_change_is_told_and_none_is_invented(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each receiver gets what a naive computation says, in order, and under one id however often it comes."""
    caplog.set_level(logging.INFO, "tally.alerts")
    world = World(tmp_path, chance("alerts"))
    for _ in range(STEPS):
        world.step()
    world.heal()
    expected = {alert: changes for alert, changes in world.naive.told.items() if changes}
    assert expected == {alert: told(changes) for alert, changes in world.taken.items()}
    ids: defaultdict[str, set[Any]] = defaultdict(set)
    for changes in world.taken.values():
        for change in changes:
            ids[change.id].add((change.rule, change.name, change.state, change.at))
    assert {1} == set(map(len, ids.values()))
    assert len(ids) == len(set().union(*ids.values()))
    check_accounts(world, caplog.messages)
    print(f"{len(world.naive.changes)} changes, {sum(map(len, world.taken.values()))} messages")  # noqa: T201


def check_accounts(world: World, log: list[str]) -> None:
    """Fail unless the log, the metrics, the events and `/alerts/` say the same as the naive computation."""
    counts = dict(world.naive.counts)
    found = [match for text in log if (match := re.match(r"alert \w+(?: of [^:]+)?: (\w+), was ", text))]
    assert counts == {state: sum(match[1] == state for match in found) for state in counts}
    asked = service(world.directory, now=world.now)
    metrics = ask(asked, "/metrics").body.decode()
    for state, count in counts.items():
        assert f'tally_alert_changes_total{{state="{state}"}} {count:.1f}\n' in metrics
    made = sum(map(len, world.naive.told.values()))
    for outcome in ("made", "delivered"):
        assert f'tally_alert_deliveries_total{{outcome="{outcome}"}} {made:.1f}\n' in metrics
    assert "tally_alert_deliveries_pending{" not in metrics
    shown = ask(asked, "/alerts/").json["alerts"]
    assert world.naive.states == {(alert["rule"], alert["name"]): alert["state"] for alert in shown}
    events = world.catalog.events.find(tags=["alert"])
    assert len(world.naive.changes) == len(events)


def test_alerts_survive_kill_9(tmp_path: Path) -> None:
    """A real server that is killed at random moments tells each change under one id, and at least once."""
    random = chance("alerts-kill")
    with receiving() as receiver:
        receiver.answer = lambda _message: 200 if random.random() < 0.7 else 500
        rule = NaiveRule("slow", "max", 1, "above", 1.0, 0, 0, "", "", (receiver.url,))
        (tmp_path / "alerts.toml").write_text(rule.toml())
        Catalog(tmp_path).create("daily", resolution=1, retention=0)
        for _ in range(KILLS):
            with started(tmp_path, "serve") as running:
                port = running.udp_port
                # The moment is the simulation: there is nothing to wait for.
                until = time.monotonic() + random.uniform(1, 4)
                while time.monotonic() < until:
                    invoke(tmp_path, "send", "a", str(random.choice([0, 2])), TALLY_PORT=port)
                    time.sleep(0.3)
                running.process.kill()
                running.process.wait()
        receiver.answer = lambda _message: 200
        with started(tmp_path, "serve") as running:
            invoke(tmp_path, "send", "a", "0", TALLY_PORT=running.udp_port)
            memory = Memory(tmp_path)
            wait_for(lambda: _is_over(memory) and not memory.has_work(), "all deliveries")
        changes = {message["id"]: (message["state"], message["at"]) for message in receiver.taken}
        events = Catalog(tmp_path).events.find(tags=["alert"])
        assert changes
        assert sorted(int(at) for _, at in changes.values()) == sorted(int(each.until or each.since) for each in events)
        states = [state == "firing" for state, _ in sorted(changes.values(), key=lambda change: change[1])]
        assert states == [number % 2 == 0 for number in range(len(states))]


def _is_over(memory: Memory) -> bool:
    states, _ = memory.read()
    return not states["slow"][""].state.is_firing
