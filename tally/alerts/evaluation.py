"""What a rule says at a moment: the values of its exact window, and the states that follow. Pure but for the questions.

state     the condition
ok        does not hold
pending   holds, but not yet for the rule's `for`
firing    holds
unknown   cannot be told: the window has no data
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from tally.alerts.rules import RATE, Rule
from tally.engine.archive import Archive
from tally.engine.asking.question import Question
from tally.engine.catalog import Catalog
from tally.engine.definition import AUTO

NO_QUESTION = Question("timedata")
# A name without data is forgotten after this long, or after as many windows as this.
FORGET_S, FORGET_WINDOWS = 86_400, 10


class Kind(StrEnum):
    """The states of an alert."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    UNKNOWN = "unknown"


class State(NamedTuple):
    """The state of an alert: of a rule, or of one `name` or group of a rule with `each`.

    holds_since     when the condition began to hold without a break, None if it does not
    changed         when the state changed last
    seen            when there was data last
    """

    name: str
    kind: Kind
    value: float | None
    holds_since: float | None
    changed: float
    seen: float

    @property
    def is_firing(self) -> bool:
        """Whether people should know."""
        return self.kind is Kind.FIRING


class Measured(NamedTuple):
    """The values of a window by name, its end, and the resolution of the archive that answered, in seconds."""

    values: dict[str, float]
    end: int
    resolution: int


class Round:
    """The rules that are evaluated at `now`, and what they share: each question is asked once.

    Each answer has `timeout_s` seconds.
    """

    def __init__(self, catalog: Catalog, now: float, *, timeout_s: float | None = None) -> None:
        self._catalog = catalog
        self._now = now
        self._timeout_s = timeout_s
        self._archives: dict[tuple[str, Question], tuple[Archive, int]] = {}
        self._answers: dict[tuple[str, Question], dict[str, float]] = {}

    def measure(self, rule: Rule) -> Measured:
        """Return the values of the rule's window that ends with the last whole bucket, `delay` before now.

        A window that is no multiple of the archive's resolution begins earlier. Without `each` there is one value at
        most, under an empty name.

        :raises TallyError: when the archive cannot answer.
        """
        archive, resolution = self._find(rule)
        end = (int(self._now) - rule.delay) // resolution * resolution
        question = window_question(rule, end, resolution=resolution)
        key = (archive.slug, question)
        if key not in self._answers:
            self._answers[key] = _ask(archive, question, timeout_s=self._timeout_s)
        return Measured(_scale(rule, self._answers[key]), end, resolution)

    def _find(self, rule: Rule) -> tuple[Archive, int]:
        """Return the archive that answers a rule, and its resolution."""
        question = question_of(rule, int(self._now) - rule.delay - rule.over, None)
        # Which archive fits best depends on the question; another archive answers all of them.
        key = (rule.archive, question if rule.archive == AUTO else NO_QUESTION)
        if key not in self._archives:
            archive, _ = self._catalog.find(rule.archive, question, now=self._now, timeout_s=self._timeout_s)
            self._archives[key] = archive, archive.definition().resolution
        return self._archives[key]


def measure_at(archive: Archive, rule: Rule, end: int, *, resolution: int) -> dict[str, float]:
    """Return the values of the window that ends before `end`, a multiple of the archive's resolution."""
    return _scale(rule, _ask(archive, window_question(rule, end, resolution=resolution), timeout_s=None))


def window_question(rule: Rule, end: int, *, resolution: int) -> Question:
    """Return the question for the window that ends before `end`."""
    width = -(-rule.over // resolution) * resolution
    last = end - resolution
    return question_of(rule, end - width, last) if rule.each else question_of(rule, last, last, moving=width)


def _ask(archive: Archive, question: Question, *, timeout_s: float | None) -> dict[str, float]:
    """Return the values by name, or the value of the only bucket under an empty name."""
    with archive.ask(question, timeout_s=timeout_s) as answer:
        rows = [(str(key) if question.by == "name" else "", value) for key, value in answer.rows()]
    return {name: value for name, value in rows if isinstance(value, int | float)}


def _scale(rule: Rule, values: dict[str, float]) -> dict[str, float]:
    """Return the values of a rule, given those of its question: a rate is a count by the second."""
    return {name: value / rule.over for name, value in values.items()} if rule.ask == RATE else values


def question_of(rule: Rule, since: int, until: int | None, *, moving: int | None = None) -> Question:
    """Return the question for the names of a range, or for each bucket of it without `each`."""
    kind, by = ("aggregate", "name") if rule.each else ("timedata", "time")
    given = {"q": rule.q, "where": rule.where, "group": rule.group, "since": max(0, since), "until": until,
             "moving": moving}  # fmt: skip
    chosen = {name: value for name, value in given.items() if value not in (None, ())}
    return Question.create(kind, aggregate="count" if rule.ask == RATE else rule.ask, by=by, given=chosen)


class Step(NamedTuple):
    """The states after an evaluation by name, those that changed with the kind before, and how many found no room."""

    states: dict[str, State]
    changes: list[tuple[State, Kind]]
    left_out: int


def advance(rule: Rule, states: Mapping[str, State], measured: Mapping[str, float], at: int) -> Step:
    """Return the states of a rule at the end `at` of a window, given those before and the window's values.

    A name that is new begins as `ok`, and so does the rule as a whole. At most `rule.most` names have a state: those
    that have one already, and then by name.
    """
    names = {*states, *measured} if rule.each else {""}
    new = sorted(names - states.keys())
    room = max(0, rule.most - len(states))
    kept: dict[str, State] = {}
    changes = []
    for name in sorted(names - {*new[room:]}):
        before = states.get(name) or State(name, Kind.OK, None, None, at, at)
        after = _advance_one(rule, before, measured.get(name), at)
        is_over = bool(rule.each) and at - after.seen > max(FORGET_S, FORGET_WINDOWS * rule.over)
        if is_over:
            after = after._replace(kind=Kind.UNKNOWN, holds_since=None)
        if after.kind is not before.kind:
            after = after._replace(changed=at)
            changes.append((after, before.kind))
        if not is_over:
            kept[name] = after
    return Step(kept, changes, len(new[room:]))


def _advance_one(rule: Rule, before: State, value: float | None, at: int) -> State:
    is_met = rule.is_met(value)
    since = before.holds_since
    if not is_met:
        kind, since = Kind.UNKNOWN if is_met is None else Kind.OK, None
    else:
        since = at if since is None else since
        kind = Kind.FIRING if at - since >= rule.hold else Kind.PENDING
    return State(before.name, kind, value, since, before.changed, before.seen if value is None else at)
