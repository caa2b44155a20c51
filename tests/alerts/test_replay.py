"""Replay: when a rule would have fired."""

from pathlib import Path

import pytest

from tally.alerts import replay as module
from tally.alerts.evaluation import State, advance, measure_at
from tally.alerts.replay import Firing, replay
from tally.alerts.rules import RATE, Rule
from tally.engine import Catalog
from tally.errors import InvalidQuestion

T = 1_700_000_000


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return an archive in which a is high from 100 to 160 s, and b from 150 s on; nothing comes from 200 to 240 s."""
    catalog = Catalog(tmp_path, clock=lambda: T + 300)
    catalog.create("daily", resolution=10, retention=0)
    times = [at for at in range(0, 300, 5) if not 200 <= at < 240]
    catalog.record([("a", 2.0 if 100 <= at < 160 else 0.0, T + at) for at in times])
    catalog.record([("b", 2.0 if at >= 150 else 0.0, T + at) for at in times])
    return catalog


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("r", 10, "max", above=1.0, q=("a",)), [Firing("", T + 110, T + 170, 2.0)]),
        (Rule("r", 10, "max", above=1.0, q=("a",), hold=20), [Firing("", T + 130, T + 170, 2.0)]),
        (Rule("r", 10, "max", above=1.0, hold=60, q=("a",)), []),
        (
            Rule("r", 30, RATE, below=0.2, q=("a",)),
            [Firing("", T + begin, T + end, value / 30) for begin, end, value in
             ((10, 30, 2), (210, 230, 4), (250, 270, 2))],
        ),
        (Rule("r", 20, absent=True, q=("b",)), [Firing("", T + 220, T + 250, None)]),
        (
            Rule("r", 10, "max", above=1.0, each="name"),
            [Firing("a", T + 110, T + 170, 2.0), Firing("b", T + 160, T + 210, 2.0), Firing("b", T + 250, None, 2.0)],
        ),
    ],
)  # fmt: skip
def test_it_says_when_a_rule_would_have_fired(catalog: Catalog, rule: Rule, expected: list[Firing]) -> None:
    """As the windows of all buckets say, each by itself."""
    assert expected == list(replay(catalog, rule, since=T, until=T + 300))
    states: dict[str, State] = {}
    changes: list[float] = []
    for end in range(T + 10, T + 301, 10):
        step = advance(rule, states, measure_at(catalog["daily"], rule, end, resolution=10), end)
        states = step.states
        changes += [state.changed for state, _ in step.changes if state.is_firing]
    assert changes == [firing.since for firing in sorted(expected, key=lambda firing: firing.since)]


def test_a_range_is_asked_for(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its windows count, and too many are refused."""
    rule = Rule("r", 10, "max", above=1.0, q=("a",))
    assert [Firing("", T + 130, None, 2.0)] == list(replay(catalog, rule, since=T + 121, until=T + 150))
    assert [] == list(replay(catalog, rule, since=T + 400, until=T + 350))
    monkeypatch.setattr(module, "WINDOWS_MAX", 10)
    with pytest.raises(InvalidQuestion, match="30 windows: ask for less than 10"):
        list(replay(catalog, rule, since=0, until=T + 300))
