"""`/alerts/`: rules, states, silences, and what waits."""

import json
from pathlib import Path
from typing import Any

import pytest

from tally.alerts.evaluation import advance
from tally.alerts.memory import Memory, Result
from tally.alerts.rules import load
from tests.api.asking import NOW, Got, ask, service
from tests.api.cases import bearer

RULES = """
[slow]
archive = "daily"
ask = "max"
over = "1min"
above = 1
notify = "https://user:secret@host/T0KEN"

[quiet]
over = "1min"
absent = true
each = "name"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with two rules, of which one fires and waits to be delivered."""
    (tmp_path / "alerts.toml").write_text(RULES)
    rules = load(tmp_path / "alerts.toml")
    step = advance(rules["slow"], {}, {"": 2.0}, int(NOW))
    failed = Result(rules["quiet"], NOW, 0.1, None, "no archive")
    Memory(tmp_path).record([Result(rules["slow"], NOW, 0.1, step), failed], rules, NOW)
    return tmp_path


def write(directory: Path, method: str, target: str = "/alerts/silences/", body: Any = b"") -> Got:
    """Return the answer to a request with the write token."""
    return ask(service(directory, write_token="w"), target, method=method, headers=bearer("w"), body=body)


def test_alerts_are_shown(directory: Path) -> None:
    """Rules with their errors, states, and what waits; no secret."""
    got = ask(service(directory), "/alerts/")
    slow, quiet = got.json["rules"]
    assert ("slow", ["https://host/…"], NOW, None, False) == tuple(
        slow[each] for each in ("rule", "notify", "evaluated", "error", "silenced")
    )
    assert ("quiet", "name", True, None, "no archive") == tuple(
        quiet[each] for each in ("rule", "each", "absent", "evaluated", "error")
    )
    state = {"rule": "slow", "name": "", "state": "firing", "value": 2.0, "holds_since": NOW, "since": NOW}
    waiting = {"receiver": "https://host/…", "pending": 1, "attempts": 0, "since": NOW, "error": ""}
    assert ([state], [waiting], None) == (got.json["alerts"], got.json["receivers"], got.json["error"])
    assert "T0KEN" not in got.body.decode()
    assert "secret" not in got.body.decode()


def test_no_rules_are_no_error(tmp_path: Path) -> None:
    """Without a file there is nothing."""
    nothing: dict[str, Any] = {"error": None, "rules": [], "alerts": [], "silences": [], "receivers": []}
    assert nothing == ask(service(tmp_path), "/alerts/").json
    assert [] == list(tmp_path.iterdir())


def test_a_bad_file_is_shown(directory: Path) -> None:
    """With the first place, beside the rules that are right."""
    (directory / "alerts.toml").write_text(RULES.replace("over = ", "over = 'soon' # ", 1))
    shown = ask(service(directory), "/alerts/").json
    assert "alerts.toml:5:8: slow: over 'soon' is not valid" in shown["error"]
    assert ["quiet"] == [rule["rule"] for rule in shown["rules"]]


def test_rules_are_silenced(directory: Path) -> None:
    """For a time, with a reason, and until the silence is ended."""
    got = write(directory, "POST", body={"rule": "sl*", "for": "2h", "why": "moving"})
    expected = {"id": 1, "rule": "sl*", "why": "moving", "since": NOW, "until": NOW + 7200}
    assert (200, expected) == (got.status, got.json)
    shown = ask(service(directory), "/alerts/").json
    assert ([expected], [True, False]) == (shown["silences"], [rule["silenced"] for rule in shown["rules"]])
    assert [] == ask(service(directory, now=NOW + 7200), "/alerts/").json["silences"]
    assert 204 == write(directory, "DELETE", "/alerts/silences/?id=1").status
    assert [] == ask(service(directory), "/alerts/").json["silences"]


@pytest.mark.parametrize(
    ("method", "target", "body", "says"),
    [
        ("POST", "/alerts/silences/", {"rule": "slow", "for": "soon", "why": "x"}, "for 'soon' is not valid"),
        ("POST", "/alerts/silences/", {"rule": "slow", "for": "2h"}, "why None"),
        ("POST", "/alerts/silences/", b"{", "not JSON"),
        ("DELETE", "/alerts/silences/?id=5", b"", "id 5 is not the number of a silence"),
        ("DELETE", "/alerts/silences/", b"", "id 0"),
        ("DELETE", "/alerts/silences/?id=x", b"", "id 'x'"),
    ],
)
def test_wrong_silences_are_told(directory: Path, method: str, target: str, body: Any, says: str) -> None:
    """With the value and what is right."""
    got = write(directory, method, target, body)
    assert (400, True) == (got.status, says in got.json["detail"])


def test_silencing_needs_the_write_token(directory: Path) -> None:
    """Reading needs the read token."""
    body = {"rule": "slow", "for": "2h", "why": "x"}
    assert 403 == ask(service(directory), "/alerts/silences/", method="POST", body=body).status
    assert 403 == ask(service(directory), "/alerts/silences/?id=1", method="DELETE").status
    assert 401 == ask(service(directory, read_token="r"), "/alerts/").status


def test_the_answer_is_json_of_the_schema(directory: Path) -> None:
    """Its lists have what `/openapi.json` says."""
    schemas = ask(service(directory), "/openapi.json").json["components"]["schemas"]
    shown = ask(service(directory), "/alerts/").json
    for part in ("rules", "alerts", "receivers"):
        assert set(schemas["Alerts"]["properties"][part]["items"]["required"]) == set(shown[part][0])
    json.dumps(shown, allow_nan=False)
