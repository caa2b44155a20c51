"""Evaluates the rules of a data directory as they are due, and has their changes delivered.

Only one process evaluates: the one that holds the lock of `alerts.lock`. The others wait for it to end.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tally.alerts import rules as rules_file
from tally.alerts.courier import Courier
from tally.alerts.evaluation import Kind, Round, State, Step, advance
from tally.alerts.memory import Memory, Result
from tally.alerts.messages import Change
from tally.alerts.rules import Rule
from tally.engine.catalog import Catalog
from tally.engine.events import Event
from tally.engine.files.connection import read_stamp
from tally.errors import InvalidAlerts, TallyError
from tally.settings import Settings

logger = logging.getLogger("tally.alerts")

LOCK = "alerts.lock"
TICK_S = 0.5
# Evaluating takes at most this share of a core; beyond it, rules are evaluated less often.
SHARE = 0.05
# A rule that failed is tried again after this long.
AGAIN_S = 10.0
LAST_ATTEMPTS_S = 2.0
# An error that repeats is logged once in this long.
LOG_EVERY_S = 60.0


def is_evaluated(directory: Path) -> bool:
    """Return whether a process evaluates the rules of a data directory."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def rules_path(settings: Settings) -> Path:
    """Return the path of the file with the rules."""
    return settings.alerts or settings.data_dir / rules_file.FILE


class Evaluator:
    """Evaluates the rules of `settings`. `step` does what is due; `run` does so until `stop`.

    Questions are asked of `answers`, which are by default the archives in the data directory.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        answers: Catalog | None = None,
        courier: Courier | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._steady = steady
        self._path = rules_path(settings)
        self._catalog = Catalog(settings.data_dir, clock=clock)
        self._answers = answers or self._catalog
        self._memory = Memory(settings.data_dir)
        self._courier = courier or Courier(self._memory, clock=clock)
        self._rules: dict[str, Rule] = {}
        self._stamp: object = None
        self._due: dict[str, float] = {}
        self._states: dict[str, dict[str, State]] = {}
        self._is_loaded = False
        self._has_work = True
        self._rest_until = 0.0
        self._log_due: dict[str, float] = {}
        self._stopped = threading.Event()
        self.error = ""

    def run(self) -> None:
        """Evaluate until `stop` is called, as soon as no other process does."""
        descriptor = self._lock()
        if descriptor is None:
            return
        try:
            while not self._stopped.wait(TICK_S):
                self.step()
            self._courier.stop()
            self._courier.wait(LAST_ATTEMPTS_S)
        finally:
            os.close(descriptor)

    def stop(self) -> None:
        """Let `run` return soon. May be called from any thread."""
        self._stopped.set()

    def _lock(self) -> int | None:
        """Wait until there are rules and only this process evaluates them; return None if `stop` was called before."""
        while not self._stopped.wait(TICK_S):
            if self._path.exists() or self._memory.exists():
                with suppress(BlockingIOError):
                    return self._try_lock()
        return None

    def _try_lock(self) -> int | None:
        """Return the descriptor of the locked file.

        :raises BlockingIOError: when another process holds the lock, or the file cannot be opened.
        """
        try:
            descriptor = os.open(
                self._settings.data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            self._log_rarely("lock", f"alerts are not evaluated: {LOCK} cannot be opened: {error.strerror}")
            raise BlockingIOError from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise BlockingIOError from None
        return descriptor

    def step(self) -> None:
        """Do what is due: read rules that have changed, evaluate, store, and deliver. It does not raise."""
        try:
            self._load()
            self._reload()
            self._evaluate()
            if self._has_work:
                self._add_events()
                self._courier.pump()
                self._has_work = self._memory.has_work()
        except TallyError as error:
            self._log_rarely("step", f"alerts: {error}")
        except Exception:
            logger.exception("evaluating alerts failed")

    def _reload(self) -> None:
        """Read the rules if their file has changed. A file with an error keeps the rules from before."""
        stamp = read_stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            rules = rules_file.load(self._path)
        except InvalidAlerts as error:
            self.error = str(error)
            logger.error("%s; the rules from before stay", error)
            return
        self.error = ""
        changed = [name for name, rule in rules.items() if self._rules.get(name) != rule]
        for name in changed:
            self._due.pop(name, None)
        if rules or self._rules:
            logger.info("alerts: %s", ", ".join(rules) or "no rules any more")
        self._rules = rules
        if not rules:
            self._store([])

    def _evaluate(self) -> None:
        """Evaluate the rules that are due, in one transaction."""
        now = self._clock()
        due = [rule for name, rule in self._rules.items() if self._due.get(name, 0.0) <= now]
        if not due or self._steady() < self._rest_until:
            return
        began, busy = self._steady(), time.thread_time()
        shared = Round(self._answers, now, timeout_s=self._settings.query_timeout)
        results = [self._evaluate_rule(rule, now, shared) for rule in due]
        self._store(results)
        self._rest_until = began + (time.thread_time() - busy) / SHARE

    def _load(self) -> None:
        if not self._is_loaded:
            kept, _ = self._memory.read()
            self._states = {rule: {name: each.state for name, each in of.items()} for rule, of in kept.items()}
            self._is_loaded = True

    def _evaluate_rule(self, rule: Rule, now: float, shared: Round) -> Result:
        began = time.monotonic()
        try:
            measured = shared.measure(rule)
        except TallyError as error:
            self._due[rule.name] = now + AGAIN_S
            self._log_rarely(rule.name, f"alert {rule.name} cannot be evaluated: {error}")
            return Result(rule, now, time.monotonic() - began, None, str(error))
        self._due[rule.name] = measured.end + measured.resolution + rule.delay
        step = advance(rule, self._states.get(rule.name, {}), measured.values, measured.end)
        return Result(rule, measured.end, time.monotonic() - began, step)

    def _store(self, results: list[Result]) -> None:
        self._memory.record(results, self._rules, self._clock())
        self._has_work = True
        for result in results:
            if result.step is not None:
                self._states[result.rule.name] = result.step.states
                _log_changes(result.rule, result.step)
        self._states = {name: states for name, states in self._states.items() if name in self._rules}

    def _add_events(self) -> None:
        """Add each change to the events, once: its id is the event's key."""
        found = self._memory.changes_without_event()
        if found:
            events = [(change.id, _event(change)) for _, change in found]
            retention = self._settings.events_retention
            self._catalog.events.add_all(events, now=self._catalog.now(), retention=retention)
            self._memory.confirm_events(number for number, _ in found)

    def _log_rarely(self, key: str, text: str) -> None:
        now = time.monotonic()
        if now >= self._log_due.get(key, 0.0):
            self._log_due[key] = now + LOG_EVERY_S
            logger.error("%s", text)


def _event(change: Change) -> Event:
    """Return the event of a change: a mark, or for an end a range."""
    ends = not change.is_problem and change.since < change.at
    words = change.rule.replace(",", " ").split()
    tags = tuple(dict.fromkeys(("alert", "_".join(words) or "rule", change.state)))
    return Event(change.title, change.body, tags, change.since if ends else change.at, change.at if ends else None)


def _log_changes(rule: Rule, step: Step) -> None:
    for state, before in step.changes:
        subject = f"{rule.name} of {state.name}" if state.name else rule.name
        level = logging.WARNING if Kind.FIRING in (state.kind, before) else logging.INFO
        logger.log(level, "alert %s: %s, was %s: %s", subject, state.kind, before, rule.describe(state.value))
