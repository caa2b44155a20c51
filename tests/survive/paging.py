"""Alerts computed naively, from a list of samples and by another way of writing the same rules down."""

import random as random_module
from collections import Counter, defaultdict
from typing import Any, NamedTuple

START = 1_700_000_000
RESOLUTION = 10
NAMES = tuple(f"{name};host={host}" for name in "ab" for host in "xy")


class Sample(NamedTuple):
    """A sample, and when it was sent."""

    name: str
    value: float
    time: int


class NaiveRule(NamedTuple):
    """A rule as the simulation writes it into the file."""

    name: str
    ask: str
    over: int
    condition: str
    bound: float
    hold: int
    delay: int
    each: str
    hosts: str
    receivers: tuple[str, ...]

    def toml(self) -> str:
        """Return the rule as in `alerts.toml`."""
        bound = "absent = true" if self.condition == "absent" else f"{self.condition} = {self.bound}"
        lines = [f"[{self.name}]", f'over = "{self.over}s"', f'ask = "{self.ask}"', bound, f'for = "{self.hold}s"',
                 f'delay = "{self.delay}s"', f"notify = {list(self.receivers)}", 'archive = "daily"']  # fmt: skip
        lines += [f'each = "{self.each}"'] if self.each else []
        lines += [f'q = "*host={self.hosts}"'] if self.hosts else []
        return "\n".join(lines) + "\n"

    def key(self, name: str) -> str:
        """Return whose state a sample of this name belongs to."""
        return {"": "", "name": name, "tag:host": name[-1], "node:0": name[0]}[self.each]


def make_rule(chance: random_module.Random, number: int, receivers: tuple[str, ...]) -> NaiveRule:
    """Return a random rule."""
    condition = chance.choice(["above", "above", "below", "absent"])
    return NaiveRule(
        f"rule{number}",
        chance.choice(["count", "sum", "avg", "min", "max", "rate"]),
        chance.choice([10, 20, 50, 15]),
        condition,
        round(chance.uniform(0, 3), 2),
        chance.choice([0, 0, 10, 35]),
        chance.choice([0, 5, 10, 25]),
        chance.choice(["", "", "name", "tag:host", "node:0"]),
        chance.choice(["", "x"]),
        tuple(chance.sample(receivers, chance.randint(0, len(receivers)))),
    )


def _value(rule: NaiveRule, values: list[float]) -> float | None:
    if not values:
        return None
    answers: dict[str, Any] = {
        "count": len(values), "sum": sum(values), "avg": sum(values) / len(values), "min": min(values),
        "max": max(values), "rate": len(values) / rule.over,
    }  # fmt: skip
    return float(answers[rule.ask])


class Naive:
    """What rules say, from all samples, and what each receiver has to be told."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.states: dict[tuple[str, str], str] = {}
        self.held: dict[tuple[str, str], int] = {}
        self.told: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
        self.changes: list[tuple[str, str, str, int]] = []
        self.counts: Counter[str] = Counter()
        self.silenced: set[str] = set()
        self._last: dict[tuple[str, str], tuple[str, int]] = {}
        self._knows: dict[tuple[str, str], bool] = {}
        self._ends: dict[str, int] = {}

    def restart(self) -> None:
        """Evaluate every rule at the next opportunity."""
        self._ends.clear()

    def evaluate(self, rules: list[NaiveRule], now: float) -> None:
        """Evaluate the rules whose window has moved on."""
        for rule in rules:
            end = (int(now) - rule.delay) // RESOLUTION * RESOLUTION
            if end > self._ends.get(rule.name, 0):
                self._ends[rule.name] = end
                self._evaluate(rule, end)

    def _evaluate(self, rule: NaiveRule, end: int) -> None:
        begin = end - -(-rule.over // RESOLUTION) * RESOLUTION
        found: defaultdict[str, list[float]] = defaultdict(list)
        for sample in self.samples:
            if begin <= sample.time < end and (not rule.hosts or sample.name.endswith(rule.hosts)):
                found[rule.key(sample.name)].append(sample.value)
        known = {key for of, key in self.states if of == rule.name}
        for key in sorted({*found, *known} if rule.each else {""}):
            self._advance(rule, key, _value(rule, found[key]), end)

    def _advance(self, rule: NaiveRule, key: str, value: float | None, end: int) -> None:
        alert = (rule.name, key)
        before, after = self.states.get(alert, "ok"), self._state(rule, key, value, end)
        self.states[alert] = after
        if before != after:
            self.counts[after] += 1
            if "firing" in (before, after):
                self._last[alert] = (after, end)
                self.changes.append((*alert, after, end))
        if (after == "firing") != self._knows.get(alert, False) and rule.name not in self.silenced:
            self._knows[alert] = after == "firing"
            for receiver in rule.receivers:
                self.told[receiver, f"{rule.name}/{key}"].append(self._last[alert])

    def _state(self, rule: NaiveRule, key: str, value: float | None, end: int) -> str:
        holds = value is None if rule.condition == "absent" else None
        if value is not None and rule.condition != "absent":
            holds = value > rule.bound if rule.condition == "above" else value < rule.bound
        if not holds:
            self.held.pop((rule.name, key), None)
            return "unknown" if holds is None else "ok"
        since = self.held.setdefault((rule.name, key), end)
        return "firing" if end - since >= rule.hold else "pending"
