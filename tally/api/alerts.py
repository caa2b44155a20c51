"""The endpoints of alerts: their states, and silences. The evaluator may run in another process."""

from typing import Any

from tally.alerts.memory import Memory, RuleState, is_silenced
from tally.alerts.rules import Rule, redact
from tally.alerts.silences import parse_silence
from tally.api.alert_health import read_rules
from tally.api.message import Reply, empty, whole
from tally.api.parameters import read_object
from tally.api.route import Call
from tally.api.shapes import COUNT, FLAG, NUMBER, TEXT, Schema, array_of, object_of
from tally.errors import InvalidQuestion

EXAMPLE = '{"rule": "checkout-slow", "for": "2h", "why": "the database is being moved"}'

_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
_TEXTS = array_of(TEXT)
_RULE = {
    "rule": TEXT, "archive": TEXT, "q": _TEXTS, "where": _TEXTS, "ask": TEXT, "over": COUNT, "above": _MAYBE_NUMBER,
    "below": _MAYBE_NUMBER, "absent": FLAG, "for": COUNT, "each": _MAYBE_TEXT, "delay": COUNT, "text": TEXT,
    "notify": _TEXTS, "evaluated": _MAYBE_NUMBER, "error": _MAYBE_TEXT, "left_out": COUNT, "silenced": FLAG,
}  # fmt: skip
_ALERT = {
    "rule": TEXT, "name": TEXT, "state": {"enum": ["ok", "pending", "firing", "unknown"]}, "value": _MAYBE_NUMBER,
    "holds_since": _MAYBE_NUMBER, "since": NUMBER,
}  # fmt: skip
_SILENCE = object_of({"id": COUNT, "rule": TEXT, "why": TEXT, "since": NUMBER, "until": NUMBER})
_RECEIVER = {"receiver": TEXT, "pending": COUNT, "attempts": COUNT, "since": NUMBER, "error": TEXT}
SCHEMAS: dict[str, Schema] = {
    "Alerts": object_of({
        "error": _MAYBE_TEXT,
        "rules": array_of(object_of(_RULE)),
        "alerts": array_of(object_of(_ALERT)),
        "silences": array_of(_SILENCE),
        "receivers": array_of(object_of(_RECEIVER)),
    }),
    "Silence": _SILENCE,
    "NewSilence": object_of({"rule": TEXT, "why": TEXT, "for": {"type": ["string", "integer"]}}),
}  # fmt: skip


def show(call: Call) -> Reply:
    """Answer the rules, the states of their alerts, the silences, and what waits to be delivered."""
    memory = Memory(call.settings.data_dir)
    rules, error = read_rules(call.settings)
    kept, known = memory.read()
    silences = memory.silences(call.now)
    document = {
        "error": error or None,
        "rules": [
            _describe(rule, known.get(name, RuleState()), is_silenced=is_silenced(silences, name, call.now))
            for name, rule in rules.items()
        ],
        "alerts": [
            {"rule": rule, "name": name, "state": each.state.kind, "value": each.state.value,
             "holds_since": each.state.holds_since, "since": each.state.changed}
            for rule, states in kept.items() for name, each in states.items()
        ],
        "silences": [silence._asdict() for silence in silences],
        "receivers": [waiting._replace(receiver=redact(waiting.receiver))._asdict() for waiting in memory.waiting()],
    }  # fmt: skip
    return whole(document, pretty=call.is_pretty)


def silence(call: Call) -> Reply:
    """Silence rules for a time, and answer the silence."""
    rule, why, seconds = parse_silence(read_object(call.request, EXAMPLE))
    found = Memory(call.settings.data_dir).silence(rule, why, since=call.now, until=call.now + seconds)
    return whole(found._asdict(), pretty=call.is_pretty)


def end_silence(call: Call) -> Reply:
    """End a silence.

    :raises InvalidQuestion: when there is no such silence.
    """
    number = next(iter(call.parameters["id"]), 0)
    if not Memory(call.settings.data_dir).end_silence(number):
        raise InvalidQuestion(f"id {number} is not the number of a silence: see /alerts/ for those that there are")
    return empty(204)


def _describe(rule: Rule, state: RuleState, *, is_silenced: bool) -> dict[str, Any]:
    return {
        **rule.to_dict(),
        "evaluated": state.evaluated,
        "error": state.error or None,
        "left_out": state.left_out,
        "silenced": is_silenced,
    }
