"""The file of rules: what is right in it, and where it is wrong."""

from pathlib import Path

import pytest

from tally.alerts import rules
from tally.alerts.rules import OVER_MAX_S, Problem, Rule, load, parse, redact
from tally.engine.asking.grouping import Group
from tally.errors import InvalidAlerts

WHOLE = b"""\
[checkout-slow]
archive = "daily"
q = "requests.post.checkout"
where = ["env=prod"]
ask = "p95"
over = "5min"
above = 0.8
for = "2min"
each = "tag:host"
delay = 30
text = "see the runbook"
most = 5
notify = ["https://hooks.example/secret", "mailto://a:b@example.com", "exec:/usr/local/bin/page now"]

["few orders"]
ask = "rate"
over = 60
below = 1
"""


def test_a_rule_has_all_settings() -> None:
    """Each setting is read, times become seconds, and what is missing has its default."""
    found, problems = parse(WHOLE)
    assert [] == problems
    whole, few = found.values()
    assert ("checkout-slow", "daily", "p95", 300, 120, 30, 5) == (whole.name, whole.archive, whole.ask, whole.over,
                                                                  whole.hold, whole.delay, whole.most)  # fmt: skip
    assert (["env=prod"], Group(tags=("host",)), 3) == (list(map(str, whole.where)), whole.group, len(whole.notify))
    assert Rule("few orders", 60, "rate", below=1.0) == few


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        ('over = "5 minutes"', 8, "over '5 minutes' is not valid: use a time such as 90s, 5min or 1h"),
        ("over = 0", 8, "from 1 s to 31 d"),
        (f"over = {OVER_MAX_S + 1}", 8, "from 1 s to 31 d"),
        ("over = true", 8, "over True"),
        ('  ask   =  "p101"', 12, "ask 'p101' is not valid: use count, sum"),
        ('ask = "rates"', 7, "or rate"),
        ('archive = "Daily"', 11, "an archive's slug, or auto"),
        ("q = [1]", 5, "a text or a list of texts"),
        ('q = ""', 5, "q '' is not a glob"),
        ('where = "env"', 9, "'env'"),
        ('each = "host"', 8, "'host'"),
        ("above = nan", 9, "a number"),
        ("above = true", 9, "a number"),
        ("absent = false", 10, "true, or leave it out"),
        ('for = "-1s"', 7, "for '-1s'"),
        ("most = 0", 8, "from 1 to 10000"),
        ('notify = "page"', 10, "URLs such as"),
        ('notify = "exec:page"', 10, "the absolute path of a program"),
        ('notify = "https:///x"', 10, "a URL with a host name"),
        ('text = "a\\nb"', 8, "in one line"),
        ('colour = "red"', 10, "'colour' is unknown: use archive, q"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(line: str, column: int, says: str) -> None:
    """Other rules stay, and the line and the column are those of the value."""
    content = f'[other]\nask = "count"\nover = 5\nabove = 1\n\n# a comment\n[wrong]\n{line}\n'.encode()
    found, problems = parse(content)
    assert ["other"] == list(found)
    assert [(8, column)] == [(each.line, each.column) for each in problems]
    assert problems[0].text.startswith("wrong: ")
    assert says in problems[0].text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[a]\nask = 'max'\nover = 5\n", Problem(1, 1, "a: it has none of them: use one of above, below and absent")),
        (
            b"[a]\nask = 'max'\nover = 5\nabove = 1\nbelow = 2\n",
            Problem(5, 9, "a: it has above and below: use one of above, below and absent"),
        ),
        (b"\n[a]\nabove = 1\nask = 'max'", Problem(2, 1, "a: over is missing: say how long the window is, such as over "
                                                   '= "5min"')),
        (b"[a]\nover = 5\nabove = 1", Problem(1, 1, 'a: ask is missing: say which aggregate to compare, such as ask = '
                                              '"p95"')),
        (b"a = 1\n", Problem(1, 5, "a: a rule is a table: write [a] and its settings below")),
        (b"[a\n", Problem(1, 3, "Expected ']' at the end of a table declaration")),
        (b"[a]\nx = \n", Problem(2, 5, "Invalid value")),
        (b"[a]\n[a]\n", Problem(2, 3, "Cannot declare ('a',) twice")),
        (b"[a]\n\xff", Problem(2, 1, "the file is not UTF-8")),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_with_its_place(content: bytes, problem: Problem) -> None:
    """What is missing is told at the rule, and what is no TOML where it ends to be it."""
    assert ({}, [problem]) == parse(content)


def test_a_window_without_data_needs_no_aggregate() -> None:
    """`absent` asks whether there is data at all."""
    found, problems = parse(b"[a]\nover = 5\nabsent = true\n")
    assert ([], True) == (problems, found["a"].absent)
    assert [True, False] == [found["a"].is_met(value) for value in (None, 1.0)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("a", 5, above=1.0), {None: None, 1.0: False, 1.5: True, 0.5: False}),
        (Rule("a", 5, below=1.0), {None: None, 1.0: False, 1.5: False, 0.5: True}),
    ],
)
def test_a_bound_is_not_met_by_itself(rule: Rule, expected: dict[float | None, bool | None]) -> None:
    """A value is above or below a bound, or it is unknown."""
    assert expected == {value: rule.is_met(value) for value in expected}


def test_a_file_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file has no rules, and an error names the first place."""
    path = tmp_path / "alerts.toml"
    assert {} == load(path)
    path.write_bytes(WHOLE)
    assert ["checkout-slow", "few orders"] == list(load(path))
    monkeypatch.setattr(rules, "RULES_MAX", 1)
    with pytest.raises(InvalidAlerts, match="there are 2 rules: use at most 1"):
        load(path)
    path.write_text("[a]\nx = 1\n[b]\ny = 1\n")
    with pytest.raises(InvalidAlerts, match=r"^alerts\.toml:2:5: a: 'x' is unknown.*\(and 1 more\)$"):
        load(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InvalidAlerts, match="cannot be read"):
        load(path)


@pytest.mark.parametrize(
    ("receiver", "shown"),
    [
        ("https://user:pass@hooks.example:8443/T0KEN?x=T0KEN", "https://hooks.example:8443/…"),
        ("http://[::1]/T0KEN", "http://[::1]/…"),
        ("exec:/usr/local/bin/page --token T0KEN", "exec:/usr/local/bin/page"),
        ("mailto://user:T0KEN@example.com", "mailto:…"),
    ],
)
def test_secrets_are_not_shown(receiver: str, shown: str) -> None:
    """Neither passwords nor paths, queries and arguments, which may be tokens."""
    assert shown == redact(receiver)
    assert [shown] == Rule("a", 5, above=1.0, notify=(receiver,)).to_dict()["notify"]
