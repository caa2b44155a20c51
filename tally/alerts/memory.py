"""What alerts remember: states, changes, what is still to be delivered, silences and counters.

    TALLY_DATA_DIR/alerts.state     an SQLite file, readable by its owner only, because receivers contain secrets

    states      of each alert: see `evaluation.State`; `change` is its last change, `is_told` whether receivers know
                that it fires
    rules       of each rule: its last evaluation, its error, and its receivers
    changes     the messages, with an id; `has_event` once there is an event of it
    deliveries  one of each change and receiver, until it is delivered
    silences    globs of rules that nobody is told about until a time
    counters    of changes and deliveries

Each evaluation is one transaction, so a crash loses no change and tells none twice with another id.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tally.alerts import messages
from tally.alerts.evaluation import Kind, State, Step
from tally.alerts.messages import Change
from tally.alerts.rules import Rule
from tally.engine import glob
from tally.engine.files import ddl, schema, statements
from tally.engine.files.database import Database, Form

FILE = "alerts.state"
FORM = Form(
    "the memory of alerts",
    0x7461_6C61,  # "tala": of alerts
    1,
    ddl.ALERTS,
    "move the file away and a new one is created; alerts that fire are then told again",
)
QUEUE_MAX = 10_000
CHANGES_MAX = 10_000
# A rule that fails for less than this is not told, such as while an archive is locked.
FAILING_S = 60.0


class Kept(NamedTuple):
    """A state, the number of its last change, and whether receivers know that it fires."""

    state: State
    change: int | None = None
    is_told: bool = False


class RuleState(NamedTuple):
    """A rule: the end of its last window, the seconds of its last evaluation, and names without a state.

    `error` is why it cannot be evaluated since `failing_since`, and `is_told` whether receivers know.
    """

    evaluated: float | None = None
    took: float | None = None
    left_out: int = 0
    error: str = ""
    failing_since: float | None = None
    is_told: bool = False
    receivers: tuple[str, ...] = ()


class Result(NamedTuple):
    """The evaluation of a rule for the window that ends `at`, in `took` seconds; `step` is None if it failed."""

    rule: Rule
    at: float
    took: float
    step: Step | None
    error: str = ""


class Silence(NamedTuple):
    """Nobody is told about rules that match the glob `rule`, from `since` until `until`."""

    id: int
    rule: str
    why: str
    since: float
    until: float


class Delivery(NamedTuple):
    """A change that is to be delivered to a receiver, for the first time if there were no `attempts`."""

    id: int
    receiver: str
    made: float
    attempts: int
    change: Change


class Waiting(NamedTuple):
    """What waits for one receiver: how many, the most attempts, since when, and the last error."""

    receiver: str
    pending: int
    attempts: int
    since: float
    error: str


class Memory(Database):
    """The memory in `directory`. Thread-safe, but only one process may `record`; raises as `Database`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / FILE, FORM)

    def read(self) -> tuple[dict[str, dict[str, Kept]], dict[str, RuleState]]:
        """Return the states by rule and name, and the rules."""
        if not self.exists():
            return {}, {}
        with self.open(write=False) as connection:
            return _read(connection)

    def record(self, results: Iterable[Result], current: Mapping[str, Rule], now: float) -> list[Change]:
        """Store evaluations, with the changes that follow and their deliveries, and forget rules that are gone.

        Return the changes that people should know.
        """
        with self.open() as connection, schema.Transaction(connection):
            recording = _Recording(connection, now)
            for name in {*recording.kept, *recording.rules} - current.keys():
                recording.forget(name)
            for result in results:
                recording.record(result)
            recording.finish()
            return recording.changes

    def due_receivers(self, now: float) -> list[str]:
        """Return the receivers for whom something is due."""
        if not self.exists():
            return []
        with self.open(write=False) as connection:
            return [str(receiver) for (receiver,) in connection.execute(statements.DUE_RECEIVERS, (now,))]

    def due(self, now: float, most: int, *, receiver: str | None = None) -> list[Delivery]:
        """Return the deliveries that are due, to one receiver or all, at most one of each receiver and alert."""
        if not self.exists():
            return []
        with self.open(write=False) as connection:
            rows = connection.execute(
                statements.DUE_DELIVERIES, {"now": now, "most": most, "receiver": receiver}
            ).fetchall()
        return [_delivery(row) for row in rows]

    def settle(self, delivery: Delivery, outcome: str) -> None:
        """Remove a delivery with its `outcome`: delivered, or expired."""
        with self.open() as connection, schema.Transaction(connection):
            connection.execute("DELETE FROM deliveries WHERE id = ?", (delivery.id,))
            if connection.changes():
                connection.execute(statements.COUNT, ("deliveries", outcome, 1))

    def postpone(self, delivery: Delivery, due: float, error: str) -> None:
        """Count a failed attempt, and try again when it is due."""
        with self.open() as connection, schema.Transaction(connection):
            connection.execute(
                "UPDATE deliveries SET due = ?, attempts = attempts + 1, error = ? WHERE id = ?",
                (due, error, delivery.id),
            )
            connection.execute(statements.COUNT, ("deliveries", "failed", 1))

    def has_work(self) -> bool:
        """Return whether a change waits for a receiver, or to become an event."""
        if not self.exists():
            return False
        with self.open(write=False) as connection:
            return bool(connection.execute(statements.HAS_WORK).get)

    def waiting(self) -> list[Waiting]:
        """Return what waits, by receiver."""
        if not self.exists():
            return []
        with self.open(write=False) as connection:
            return [Waiting(*row) for row in connection.execute(statements.WAITING_DELIVERIES)]

    def changes_without_event(self) -> list[tuple[int, Change]]:
        """Return the changes that are not yet among the events, with their numbers."""
        if not self.exists():
            return []
        with self.open(write=False) as connection:
            rows = connection.execute(statements.UNTOLD_CHANGES).fetchall()
        return [(int(str(number)), messages.loads(str(text))) for number, text in rows]

    def confirm_events(self, numbers: Iterable[int]) -> None:
        """Note that these changes are among the events."""
        with self.open() as connection, schema.Transaction(connection):
            connection.executemany("UPDATE changes SET has_event = 1 WHERE number = ?", [(each,) for each in numbers])
            connection.execute(statements.OLD_CHANGES, (CHANGES_MAX,))

    def silence(self, rule: str, why: str, *, since: float, until: float) -> Silence:
        """Silence rules that match a glob until a time: nobody is notified."""
        with self.open() as connection, schema.Transaction(connection):
            connection.execute("DELETE FROM silences WHERE until <= ?", (since,))
            connection.execute(
                "INSERT INTO silences (rule, why, since, until) VALUES (?, ?, ?, ?)", (rule, why, since, until)
            )
            return Silence(connection.last_insert_rowid(), rule, why, since, until)

    def end_silence(self, number: int) -> bool:
        """End a silence, and return whether there was one."""
        if not self.exists():
            return False
        with self.open() as connection, schema.Transaction(connection):
            connection.execute("DELETE FROM silences WHERE id = ?", (number,))
            return connection.changes() > 0

    def silences(self, now: float) -> list[Silence]:
        """Return the silences that have not ended."""
        if not self.exists():
            return []
        with self.open(write=False) as connection:
            return [Silence(*row) for row in connection.execute(statements.SILENCES, (now,))]

    def counters(self) -> dict[tuple[str, str], int]:
        """Return the counters by name and label."""
        if not self.exists():
            return {}
        with self.open(write=False) as connection:
            return {(name, label): value for name, label, value in connection.execute(statements.COUNTERS)}


class _Recording:
    """One transaction of `Memory.record`."""

    def __init__(self, connection: apsw.Connection, now: float) -> None:
        self._connection = connection
        self._now = now
        self._silences = [Silence(*row) for row in connection.execute(statements.SILENCES, (now,))]
        self._counted: Counter[tuple[str, str]] = Counter()
        self.kept, self.rules = _read(connection)
        self.changes: list[Change] = []

    def forget(self, name: str) -> None:
        """Remove a rule. Receivers that know that it fires are told that it ends."""
        known = self.rules.get(name, RuleState())
        for kept in self.kept.get(name, {}).values():
            if kept.state.is_firing:
                number = self._store(messages.of_removal(name, kept.state, self._now))
                if kept.is_told:
                    self._deliver(number, name, kept.state.name, known.receivers)
        self._connection.execute("DELETE FROM states WHERE rule = ?", (name,))
        self._connection.execute("DELETE FROM rules WHERE rule = ?", (name,))

    def record(self, result: Result) -> None:
        """Store an evaluation."""
        rule, known = result.rule, self.rules.get(result.rule.name, RuleState())
        if result.step is None:
            since = known.failing_since or self._now
            after = known._replace(error=result.error, failing_since=since, took=result.took)
        else:
            self._record_step(rule, result.step)
            after = known._replace(evaluated=result.at, took=result.took, left_out=result.step.left_out, error="")
        after = self._tell_failure(rule, after._replace(receivers=rule.notify))
        row = (*after[:-1], json.dumps(after.receivers))
        self._connection.execute(statements.NEW_RULE, (rule.name, *row))

    def _tell_failure(self, rule: Rule, state: RuleState) -> RuleState:
        """Tell that a rule has failed for long, or that it no longer does. Return its state."""
        since = state.failing_since or self._now
        is_failing = bool(state.error) and self._now - since >= FAILING_S
        is_over = state.is_told and not state.error
        if (is_failing and not state.is_told and not self._is_silenced(rule.name)) or is_over:
            number = self._store(messages.of_rule(rule, state.error, at=self._now, since=since))
            self._deliver(number, rule.name, "", rule.notify)
            state = state._replace(is_told=is_failing)
        return state if state.error else state._replace(failing_since=None)

    def _record_step(self, rule: Rule, step: Step) -> None:
        known = self.kept.get(rule.name, {})
        numbers = {state.name: self._change(rule, state, before, known.get(state.name)) for state, before in
                   step.changes}  # fmt: skip
        is_silenced = self._is_silenced(rule.name)
        rows = []
        for name, state in step.states.items():
            before = known.get(name, Kept(state))
            number = numbers.get(name) or before.change
            is_told = before.is_told
            if state.is_firing != is_told and not is_silenced:
                self._deliver(number, rule.name, name, rule.notify)
                is_told = state.is_firing
            if known.get(name) != (kept := Kept(state, number, is_told)):
                rows.append((rule.name, *_row(kept)))
        for name in known.keys() - step.states.keys():
            if known[name].is_told:
                self._deliver(numbers.get(name), rule.name, name, rule.notify)
            self._connection.execute("DELETE FROM states WHERE rule = ? AND name = ?", (rule.name, name))
        self._connection.executemany(statements.NEW_STATE, rows)

    def _change(self, rule: Rule, state: State, before: Kind, known: Kept | None) -> int | None:
        """Count a change. Return its number if it begins or ends to fire."""
        self._counted["changes", state.kind] += 1
        if not state.is_firing and before is not Kind.FIRING:
            return None
        fired = known.state.changed if known else state.changed
        return self._store(messages.of_state(rule, state, before, fired))

    def _store(self, change: Change) -> int:
        self.changes.append(change)
        return int(self._connection.execute(statements.NEW_CHANGE, (change.id, change.dumps())).get)

    def _deliver(self, number: int | None, rule: str, name: str, receivers: Iterable[str]) -> None:
        if number is None:
            return
        rows: list[dict[str, int | float | str]] = [
            {"change": number, "rule": rule, "name": name, "receiver": receiver, "now": self._now}
            for receiver in receivers
        ]
        self._connection.executemany(statements.NEW_DELIVERY, rows)
        self._counted["deliveries", "made"] += len(rows)

    def _is_silenced(self, rule: str) -> bool:
        return is_silenced(self._silences, rule, self._now)

    def finish(self) -> None:
        """Bound the queue, and store the counters."""
        dropped = self._connection.execute(statements.OLD_DELIVERIES, (QUEUE_MAX,)).fetchall()
        self._counted["deliveries", "dropped"] += len(dropped)
        self._connection.executemany(statements.COUNT, [(*key, value) for key, value in self._counted.items() if value])


def is_silenced(silences: Iterable[Silence], rule: str, now: float) -> bool:
    """Return whether a rule is silenced."""
    return any(each.since <= now < each.until and bool(glob.matcher(each.rule)(rule)) for each in silences)


def _read(connection: apsw.Connection) -> tuple[dict[str, dict[str, Kept]], dict[str, RuleState]]:
    kept: dict[str, dict[str, Kept]] = {}
    for rule, name, kind, value, holds_since, changed, seen, change, is_told in connection.execute(
        statements.ALERT_STATES
    ):
        state = State(name, Kind(kind), value, holds_since, changed, seen)
        kept.setdefault(rule, {})[name] = Kept(state, change, bool(is_told))
    rules = {}
    for rule, evaluated, took, left_out, error, failing_since, is_told, receivers in connection.execute(
        statements.ALERT_RULES
    ):
        known = (evaluated, took, left_out, error, failing_since, bool(is_told), tuple(json.loads(receivers)))
        rules[rule] = RuleState(*known)
    return kept, rules


def _delivery(row: Any) -> Delivery:
    number, receiver, made, attempts, text = row
    return Delivery(number, receiver, made, attempts, messages.loads(text))


def _row(kept: Kept) -> tuple[Any, ...]:
    name, kind, value, *times = kept.state
    shown = value if value is None or math.isfinite(value) else None
    return (name, str(kind), shown, *times, kept.change, kept.is_told)
