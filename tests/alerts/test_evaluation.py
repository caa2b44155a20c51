"""The window of a rule, and the states that follow from its values."""

from pathlib import Path

import pytest

from tally.alerts.evaluation import FORGET_S, Kind, Measured, Round, State, advance
from tally.alerts.rules import RATE, Rule, parse
from tally.engine import Catalog
from tally.errors import InvalidQuestion, UnknownArchive

T = 1_700_000_000


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return archives with one sample of 1 a second for a, and one of 3 every ten seconds for b."""
    catalog = Catalog(tmp_path, clock=lambda: T)
    catalog.create("daily", resolution=10, retention=0, percentiles=1)
    catalog.create("hourly", resolution=3600, retention=0)
    catalog.record([("a;host=x", 1.0, T - each) for each in range(1, 101)])
    catalog.record([("b;host=y", 3.0, T - each) for each in range(10, 101, 10)])
    return catalog


def rule(text: str) -> Rule:
    """Return a rule from its settings."""
    found, problems = parse(f"[rule]\narchive = 'daily'\n{text}".encode())
    assert [] == problems
    return found["rule"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("over = 60\nask = 'count'\nabove = 1", {"": 66}),
        ("over = 60\nask = 'rate'\nabove = 1\nq = 'a*'", {"": 1.0}),
        ("over = 60\nask = 'max'\nabove = 1\nq = ['a*', 'b*']", {"": 3.0}),
        ("over = 60\nask = 'max'\nabove = 1\nwhere = 'host=x'", {"": 1.0}),
        ("over = 60\nask = 'sum'\nabove = 1\neach = 'name'", {"a;host=x": 60.0, "b;host=y": 18.0}),
        ("over = 60\nask = 'sum'\nabove = 1\neach = 'tag:host'", {"x": 60.0, "y": 18.0}),
        ("over = 60\nask = 'p50'\nabove = 1\neach = 'node:0'", {"a": 1.0, "b": 3.0}),
        ("over = 15\nask = 'count'\nabove = 1\nq = 'a*'", {"": 20}),
        ("over = 60\nask = 'max'\nabove = 1\nq = 'c'", {}),
        ("over = 60\nask = 'max'\nabove = 1\nq = 'c'\neach = 'name'", {}),
    ],
)
def test_the_window_ends_with_the_last_whole_bucket(catalog: Catalog, text: str, expected: dict[str, float]) -> None:
    """It is exact, and a length that is no multiple of the resolution is rounded up."""
    found = Round(catalog, T + 9.9).measure(rule(f"delay = 0\n{text}"))
    assert (T, 10) == (found.end, found.resolution)
    assert expected == {name: pytest.approx(value, rel=0.02) for name, value in found.values.items()}


@pytest.mark.parametrize(
    ("now", "delay", "end"), [(T + 9, 10, T - 10), (T + 10, 10, T), (T, 0, T), (T + 40, 25, T + 10)]
)
def test_late_samples_have_time(catalog: Catalog, now: int, delay: int, end: int) -> None:
    """The window ends `delay` before now."""
    assert end == Round(catalog, now).measure(rule(f"delay = {delay}\nover = 10\nask = 'count'\nabove = 1")).end


def test_auto_answers_from_the_finest_archive(catalog: Catalog) -> None:
    """Without an archive the finest one that has the names answers."""
    found = parse(b"[a]\nover = 60\nask = 'count'\nabove = 1\ndelay = 0")[0]["a"]
    assert Measured({"": 66.0}, T, 10) == Round(catalog, T).measure(found)


def test_what_cannot_be_answered_is_raised(catalog: Catalog) -> None:
    """Such as by an archive that is not there, or keeps no percentiles."""
    with pytest.raises(UnknownArchive):
        Round(catalog, T).measure(Rule("a", 60, archive="weekly", above=1.0))
    with pytest.raises(InvalidQuestion):
        Round(catalog, T).measure(Rule("a", 60, "p95", archive="hourly", above=1.0))


HELD = Rule("a", 60, RATE, above=1.0, hold=20)


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ([2, 2, 2, 2], ["pending", "pending", "firing", "firing"]),
        ([2, 1, 2, 2, 2], ["pending", "ok", "pending", "pending", "firing"]),
        ([2, None, 2, 2, 2, 0], ["pending", "unknown", "pending", "pending", "firing", "ok"]),
        ([None, None, 0], ["unknown", "unknown", "ok"]),
        ([2, 2, 2, None, 2], ["pending", "pending", "firing", "unknown", "pending"]),
    ],
)
def test_a_condition_must_hold(values: list[float | None], kinds: list[str]) -> None:
    """It fires once it has held for long enough without a break, and without data it is unknown."""
    states: dict[str, State] = {}
    found, changed = [], []
    for number, value in enumerate(values):
        at = T + 10 * number
        step = advance(HELD, states, {} if value is None else {"": value}, at)
        changed += [(str(before), str(state.kind)) for state, before in step.changes]
        states = step.states
        found.append(str(states[""].kind))
    assert kinds == found
    assert [pair for pair in zip(["ok", *kinds], kinds, strict=False) if pair[0] != pair[1]] == changed


def test_each_name_has_a_state() -> None:
    """At most so many names have one, and those that have one keep it."""
    few = Rule("a", 60, above=1.0, each="name", most=2)
    first = advance(few, {}, {"c": 2.0, "d": 0.0}, T)
    second = advance(few, first.states, {"a": 2.0, "b": 2.0, "d": 2.0}, T + 10)
    assert {"c": Kind.FIRING, "d": Kind.OK} == {name: state.kind for name, state in first.states.items()}
    assert {"c": Kind.UNKNOWN, "d": Kind.FIRING} == {name: state.kind for name, state in second.states.items()}
    assert (0, 2) == (first.left_out, second.left_out)


def test_a_name_without_data_is_forgotten() -> None:
    """It leaves its place to others, and an alert of it ends."""
    gone = Rule("a", 60, absent=True, each="name", most=1)
    states = advance(gone, {}, {"a": 1.0}, T).states
    fired = advance(gone, states, {}, T + 10)
    assert [(Kind.FIRING, Kind.OK)] == [(state.kind, before) for state, before in fired.changes]
    assert {"a"} == set(advance(gone, fired.states, {}, T + FORGET_S).states)
    step = advance(gone, fired.states, {}, T + FORGET_S + 1)
    assert ({}, [(Kind.UNKNOWN, Kind.FIRING)]) == (step.states, [(each.kind, before) for each, before in step.changes])
