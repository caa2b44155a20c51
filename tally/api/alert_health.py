"""What the states of alerts mean for `/readyz`, `/status/` and `/metrics`."""

from collections import Counter
from collections.abc import Iterator

from tally.alerts import rules as rules_file
from tally.alerts.evaluator import is_evaluated, rules_path
from tally.alerts.memory import FAILING_S, Memory, Waiting
from tally.alerts.rules import Rule, redact
from tally.engine.catalog import Catalog
from tally.errors import InvalidAlerts, TallyError
from tally.log import pluralize
from tally.settings import Settings

# A receiver that has not taken a change for this long is told.
LATE_S = 600.0

Value = tuple[str, tuple[str, ...], float]


def find_faults(settings: Settings, now: float) -> Iterator[str]:
    """Yield what keeps people from being told."""
    rules, error = read_rules(settings)
    if error:
        yield f"{error}; the rules from before stay"
    if rules and not is_evaluated(settings.data_dir):
        yield "alerts are not evaluated: start tally serve or tally collect"
    try:
        memory = Memory(settings.data_dir)
        _, known = memory.read()
        waiting = memory.waiting()
    except TallyError as unreadable:
        yield str(unreadable)
        return
    for name, state in known.items():
        if name in rules and state.failing_since is not None and now - state.failing_since >= FAILING_S:
            yield f"alert {name} cannot be evaluated since {now - state.failing_since:.0f} s: {state.error}"
    yield from (_describe_late(each, now) for each in waiting if now - each.since >= LATE_S)


def describe(settings: Settings) -> str:
    """Return how many rules there are, for a check that passes."""
    rules, _ = read_rules(settings)
    return pluralize(len(rules), "rule") if rules else "there are no rules"


def values(catalog: Catalog, now: float) -> Iterator[Value]:
    """Yield the metrics."""
    memory = Memory(catalog.directory)
    kept, known = memory.read()
    for rule, states in kept.items():
        for state, count in Counter(str(each.state.kind) for each in states.values()).items():
            yield "tally_alerts", (rule, state), count
    for rule, of in known.items():
        yield "tally_alert_rule_failing", (rule,), of.failing_since is not None
        yield "tally_alert_left_out", (rule,), of.left_out
        if of.took is not None:
            yield "tally_alert_evaluation_seconds", (rule,), of.took
        if of.evaluated is not None:
            yield "tally_alert_evaluated_age_seconds", (rule,), max(0.0, now - of.evaluated)
    for (name, label), count in memory.counters().items():
        yield f"tally_alert_{name}_total", (label,), count
    pending: Counter[str] = Counter()
    for waiting in memory.waiting():
        pending[redact(waiting.receiver)] += waiting.pending
    yield from (("tally_alert_deliveries_pending", (receiver,), count) for receiver, count in pending.items())


def read_rules(settings: Settings) -> tuple[dict[str, Rule], str]:
    """Return the sound rules in the file, and what is wrong with it."""
    try:
        rules, problems = rules_file.read(rules_path(settings))
    except InvalidAlerts as error:
        return {}, str(error)
    return rules, f"{rules_path(settings).name}:{problems[0]}" if problems else ""


def _describe_late(waiting: Waiting, now: float) -> str:
    count = f"{waiting.pending} changes wait" if waiting.pending > 1 else "a change waits"
    return f"{count} for {redact(waiting.receiver)} since {now - waiting.since:.0f} s: {waiting.error}"
