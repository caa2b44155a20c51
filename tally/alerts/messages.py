"""The JSON that receivers get, and its forms for people.

It has tally's own fields beside those of Alertmanager's webhook, version 4, which Grafana's webhook shares: programs
that take either take this. See https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
"""

import json
import secrets
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tally.alerts.evaluation import Kind, State
from tally.alerts.rules import Rule

FAILING = "failing"
# How Alertmanager writes that an alert has not ended.
_ENDED = "0001-01-01T00:00:00Z"


class Change(NamedTuple):
    """A change that people should know: an alert fires or no longer does, or a rule cannot be evaluated or can again.

    `since` is when the state that it ends or begins has begun.
    """

    id: str
    rule: str
    name: str
    state: str
    before: str
    value: float | None
    at: float
    since: float
    detail: str
    text: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether somebody should look now."""
        return self.state in (Kind.FIRING, FAILING)

    @property
    def title(self) -> str:
        """What happened, in one line."""
        subject = f"{self.rule} of {self.name}" if self.name else self.rule
        if self.state == FAILING:
            return f"{subject} cannot be evaluated"
        if self.before == FAILING:
            return f"{subject} can be evaluated again"
        return f"{subject} is firing" if self.state == Kind.FIRING else f"{subject} is no longer firing"

    @property
    def body(self) -> str:
        """More about it, in lines."""
        return "\n".join(filter(None, (self.detail, self.text)))

    def dumps(self) -> str:
        """Return the change as JSON, which `loads` reads."""
        return json.dumps(self._asdict())

    def to_message(self) -> dict[str, Any]:
        """Return what receivers get."""
        labels = {"alertname": self.rule, **({"name": self.name} if self.name else {})}
        notes = {"summary": self.title, "description": self.body}
        status = "firing" if self.is_problem else "resolved"
        alert = {
            "status": status,
            "labels": labels,
            "annotations": notes,
            "startsAt": _format(self.since),
            "endsAt": _ENDED if self.is_problem else _format(self.at),
            "generatorURL": "",
            "fingerprint": self.id[:16],
        }
        return {
            **{name: value for name, value in self._asdict().items() if name != "text"},
            "title": self.title, "message": self.body,
            "version": "4", "status": status, "receiver": "tally", "groupKey": f"{self.rule}/{self.name}",
            "truncatedAlerts": 0, "groupLabels": labels, "commonLabels": labels, "commonAnnotations": notes,
            "externalURL": "", "alerts": [alert],
        }  # fmt: skip


def loads(text: str) -> Change:
    """Return the change that `Change.dumps` wrote."""
    return Change(**json.loads(text))


def of_state(rule: Rule, state: State, before: Kind, fired: float) -> Change:
    """Return the change of an alert that begins or ends to fire; `fired` is when it began."""
    since = state.changed if state.is_firing else fired
    detail = rule.describe(state.value)
    return Change(_new_id(), rule.name, state.name, state.kind, before, state.value, state.changed, since, detail,
                  rule.text)  # fmt: skip


def of_rule(rule: Rule, error: str, *, at: float, since: float) -> Change:
    """Return the change of a rule that cannot be evaluated, or that can again if `error` is empty."""
    state, before = (FAILING, Kind.OK) if error else (Kind.OK, FAILING)
    return Change(_new_id(), rule.name, "", state, before, None, at, since, error, rule.text)


def of_removal(rule: str, state: State, at: float) -> Change:
    """Return the change of an alert that ends because its rule was removed."""
    return Change(_new_id(), rule, state.name, Kind.UNKNOWN, state.kind, state.value, at, state.changed,
                  "the rule was removed")  # fmt: skip


def _new_id() -> str:
    return secrets.token_hex(16)


def _format(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
