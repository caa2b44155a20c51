"""What receivers get."""

import json

import pytest

from tally.alerts import messages
from tally.alerts.evaluation import Kind, State
from tally.alerts.rules import Rule

T = 1_700_000_000.0
RULE = Rule("slow", 300, "p95", above=0.8, text="see the runbook")
FIRING = State("checkout", Kind.FIRING, 0.93, T - 60, T, T)
OVER = FIRING._replace(kind=Kind.OK, value=0.5, changed=T + 60)


def test_a_message_has_tallys_fields() -> None:
    """Its id, the alert, its state and value, and the times."""
    change = messages.of_state(RULE, FIRING, Kind.PENDING, T)
    message = change.to_message()
    expected = {
        "id": change.id, "rule": "slow", "name": "checkout", "state": "firing", "before": "pending", "value": 0.93,
        "at": T, "since": T, "title": "slow of checkout is firing",
        "message": "p95 0.93, alerted above 0.8\nsee the runbook",
    }  # fmt: skip
    assert expected == {name: message[name] for name in expected}
    assert json.loads(json.dumps(message)) == message
    assert change == messages.loads(change.dumps())
    assert change.id != messages.of_state(RULE, FIRING, Kind.PENDING, T).id


def test_a_message_has_the_shape_of_alertmanagers_webhook() -> None:
    """Version 4: Grafana's contact points and what takes Alertmanager's webhook read it."""
    first, last = (messages.of_state(RULE, state, before, T).to_message() for state, before in
                   ((FIRING, Kind.PENDING), (OVER, Kind.FIRING)))  # fmt: skip
    required = {"version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
                "commonAnnotations", "externalURL", "alerts"}  # fmt: skip
    assert required <= first.keys()
    assert ("4", "firing", "resolved") == (first["version"], first["status"], last["status"])
    [alert] = last["alerts"]
    assert {"alertname": "slow", "name": "checkout"} == alert["labels"]
    assert ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z") == (alert["startsAt"], alert["endsAt"])
    assert "0001-01-01T00:00:00Z" == first["alerts"][0]["endsAt"]


@pytest.mark.parametrize(
    ("change", "title", "is_problem"),
    [
        (messages.of_state(RULE, OVER, Kind.FIRING, T), "slow of checkout is no longer firing", False),
        (messages.of_state(RULE, FIRING._replace(name=""), Kind.OK, T), "slow is firing", True),
        (messages.of_rule(RULE, "no archive", at=T, since=T - 60), "slow cannot be evaluated", True),
        (messages.of_rule(RULE, "", at=T, since=T - 60), "slow can be evaluated again", False),
        (messages.of_removal("slow", FIRING, T), "slow of checkout is no longer firing", False),
    ],
)
def test_each_change_has_a_title(change: messages.Change, title: str, is_problem: bool) -> None:
    """It says what happened in one line."""
    assert (title, is_problem) == (change.title, change.is_problem)
