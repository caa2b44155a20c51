"""`tally events`."""

import json
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.cli.command import invoke


def test_events_are_added_and_listed(tmp_path: Path) -> None:
    """An event is listed with its times, tags and text, as a table and as JSON."""
    assert "added event 1\n" == invoke(tmp_path, "events", "add", "deployed", "--tag", "a", "--tag", "b").stdout
    moved = ("moved", "--since", "2026-01-01T00:00:00Z", "--until", "2026-01-01T01:00:00Z", "--text", "x\ny")
    assert "added event 2\n" == invoke(tmp_path, "events", "add", *moved).stdout
    table = invoke(tmp_path, "events", "list").stdout.splitlines()
    assert "since                 until                 title     tags  text" == table[0]
    assert r"2026-01-01T00:00:00Z  2026-01-01T01:00:00Z  moved           x\ny" == table[1]
    listed = json.loads(invoke(tmp_path, "events", "list", "--json", "--tag", "b", "--since", "-1h").stdout)
    assert [("deployed", ["a", "b"], None)] == [(each["title"], each["tags"], each["until"]) for each in listed]
    assert json.loads(json.dumps([each.to_dict() for each in Catalog(tmp_path).events.find(tags=["b"])])) == listed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", ""), "title '' is not valid"),
        (("add", "a", "--since", "soon"), "since 'soon' is not a time"),
        (("add", "a", "--tag", "b c"), "tag 'b c' is not valid"),
        (("list", "--until", "soon"), "until 'soon' is not a time"),
        (("list", "--tag", "b c"), "tag 'b c' is not valid"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """The line on stderr names the value, and the status is 2."""
    done = invoke(tmp_path, "events", *arguments)
    assert (2, 1, True) == (done.exit_code, len(done.stderr.splitlines()), says in done.stderr)
