"""Functions that find series by their tags, and events."""

from pathlib import Path

import pytest

from tally.engine import Catalog
from tally.engine.events import Event
from tests.graphite.made import NOW, START, answered, catalog, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        ("seriesByTag('env=dev','archive=daily','aggregate=sum')", "tagged;env=dev;host=1", [4.0, None, None, None]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))


def test_events_are_counted(tmp_path: Path) -> None:
    """Each second has the number of events with all tags that begin in it."""
    made = catalog(tmp_path, daily={})
    for title, tags, since in (("a", ["x"], 0.0), ("b", ["x", "y"], 0.5), ("c", ["y"], 2), ("d", ["x"], 1000)):
        made.events.add(Event(title, "", tuple(tags), START + since, None, 0), now=NOW)
    (every,) = answered(made, 'events("*")')
    assert ('events("*")', START - 1, 1) == (every.name, every.start, every.step)
    assert [None, 2.0, None, 1.0] == every.values[:4]
    (tagged,) = answered(made, "events('x','y')")
    assert [None, 1.0, None, None] == tagged.values[:4]
