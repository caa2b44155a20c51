"""Events: their fields, the file that has them, and which of them a range has."""

import math
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Catalog, Event
from tally.engine import events as module
from tally.engine.events import FILE, KEPT_MAX, TAG_MAX, TAGS_MAX, TEXT_MAX, TITLE_MAX
from tally.errors import ArchiveUnavailable, InvalidDefinition, InvalidEvent

T = 1_700_000_000.0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"title": "a"}, Event("a", since=T)),
        ({"title": "a" * TITLE_MAX, "text": "b" * TEXT_MAX}, Event("a" * TITLE_MAX, "b" * TEXT_MAX, since=T)),
        ({"title": "a", "text": "b\n\tc", "tags": ["x", "y", "x"]}, Event("a", "b\n\tc", ("x", "y"), T)),
        ({"title": "a", "tags": " x, y  z "}, Event("a", "", ("x", "y", "z"), T)),
        ({"title": "a", "tags": []}, Event("a", since=T)),
        ({"title": "a", "tags": ["é" * TAG_MAX]}, Event("a", "", ("é" * TAG_MAX,), T)),
        ({"title": "a", "since": 0, "until": 0}, Event("a", since=0.0, until=0.0)),
        ({"title": "a", "since": "-5min", "until": "now"}, Event("a", since=T - 300, until=T)),
        ({"title": "a", "since": datetime.fromtimestamp(T, UTC), "until": None}, Event("a", since=T)),
        ({"what": "a", "when": 5, "tags": "x y", "data": "b"}, Event("a", "b", ("x", "y"), 5.0)),
        ({"what": "a"}, Event("a", since=T)),
    ],
)
def test_fields_become_an_event(fields: dict[str, Any], expected: Event) -> None:
    """Both ways of naming fields give the same event, and what is missing has its default."""
    assert expected == Event.create(fields, now=T)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "title is missing"),
        ({"title": ""}, "title '' is not valid"),
        ({"title": "a" * (TITLE_MAX + 1)}, "use 1 to 1000 characters"),
        ({"title": "a\nb"}, "in one line"),
        ({"title": "\ud800"}, "in one line"),
        ({"title": 5}, "title 5 is not valid"),
        ({"title": "a", "text": "b" * (TEXT_MAX + 1)}, "at most 16000 characters"),
        ({"title": "a", "text": "\0"}, "control character"),
        ({"title": "a", "text": ["b"]}, "text"),
        ({"title": "a", "tags": ["b c"]}, "tag 'b c' is not valid"),
        ({"title": "a", "tags": ["b" * (TAG_MAX + 1)]}, "1 to 200"),
        ({"title": "a", "tags": [5]}, "tag 5"),
        ({"title": "a", "tags": {"b": 1}}, "are not tags"),
        ({"title": "a", "tags": 5}, "are not tags"),
        ({"title": "a", "tags": [str(each) for each in range(TAGS_MAX + 1)]}, "use at most 50"),
        ({"title": "a", "since": "soon"}, "since 'soon' is not a time"),
        ({"title": "a", "since": -1}, "since -1 is not a time"),
        ({"title": "a", "since": math.nan}, "since nan is not a time"),
        ({"title": "a", "since": True}, "since True is not a time"),
        ({"title": "a", "until": 2**53 + 2}, "until .* is not a time"),
        ({"title": "a", "since": 6, "until": 5}, "until 5 is before since"),
        ({"title": "a", "color": "red"}, "'color' is not a field"),
        ({"title": "a", "when": 5}, "'when' is not a field here: use title"),
    ],
)
def test_wrong_fields_are_told(fields: dict[str, Any], says: str) -> None:
    """The error names the value and what would be right."""
    with pytest.raises(InvalidEvent, match=says):
        Event.create(fields, now=T)


def test_events_are_kept_in_a_file_of_their_own(tmp_path: Path) -> None:
    """The file is made by the first event, is no archive, and its name cannot be an archive's."""
    catalog = Catalog(tmp_path)
    assert [] == catalog.events.find()
    assert [] == list(tmp_path.iterdir())
    first = catalog.events.add(Event("a", "b", ("x",), T, T + 5), now=T)
    second = catalog.events.add(Event("c", since=T - 5), now=T)
    assert [FILE] == [each.name for each in tmp_path.iterdir()]
    assert (1, 2) == (first.id, second.id)
    assert [second, first] == Catalog(tmp_path).events.find()
    assert ([], "") == (catalog.slugs(), catalog.events.damage())
    with pytest.raises(InvalidDefinition, match="reserved"):
        catalog.create("events")


ranges = st.tuples(st.integers(0, 30), st.none() | st.integers(0, 10))
words = st.lists(st.sampled_from("xyz"), max_size=3, unique=True)


@settings(max_examples=30)
@given(st.lists(st.tuples(ranges, words), max_size=8), st.integers(0, 40), st.integers(0, 40), words, st.booleans())
def test_a_range_has_the_events_that_overlap_it(
    tmp_path_factory: pytest.TempPathFactory, made: list[Any], since: int, until: int, tags: list[str], any_tag: bool
) -> None:
    """Both ends count, an event with a duration is in the range in part, and it has all of the tags, or one."""
    events = Catalog(tmp_path_factory.mktemp("events")).events
    given = [
        Event("a", "", tuple(own), begin, None if lasts is None else begin + lasts) for (begin, lasts), own in made
    ]
    stored = events.add_all([(None, event) for event in given], now=T)
    expected = [
        event
        for event in sorted(stored, key=lambda event: (event.since, event.id))
        if event.since <= until
        and event.ended >= since
        and (not tags or (bool({*tags} & {*event.tags}) if any_tag else {*tags} <= {*event.tags}))
    ]
    assert expected == events.find(since=since, until=until, tags=tags, any_tag=any_tag)


def test_events_expire(tmp_path: Path) -> None:
    """An event that ended before the retention goes with the next one, and one that has expired is refused."""
    events = Catalog(tmp_path).events
    for since, until in ((T - 7200, None), (T - 7200, T - 3600), (T, None)):
        events.add(Event("a", since=since, until=until), now=T - 3600, retention=1)
    assert 3 == len(events.find())
    events.add(Event("b", since=T), now=T, retention=1)
    assert [2, 3, 4] == [event.id for event in events.find()]
    with pytest.raises(InvalidEvent, match="more than 1 h ago"):
        events.add(Event("c", since=T - 3601), now=T, retention=1)
    events.add(Event("d", since=0), now=T)
    assert 4 == len(events.find())


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept, and an answer has the newest."""
    monkeypatch.setattr(module, "KEPT_MAX", 3)
    events = Catalog(tmp_path).events
    for each in range(5):
        events.add(Event(str(each), since=T + each), now=T)
    assert ["2", "3", "4"] == [event.title for event in events.find()]
    monkeypatch.setattr(module, "ANSWER_MAX", 2)
    assert ["3", "4"] == [event.title for event in events.find()]
    assert KEPT_MAX == 100_000


def test_a_key_is_stored_once(tmp_path: Path) -> None:
    """An event that is added again under its key is the first one; without a key each is new."""
    events = Catalog(tmp_path).events
    first = events.add(Event("a", since=T), now=T, key="one")
    assert first == events.add(Event("b", since=T + 1), now=T, key="one")
    others = [events.add(Event("b", since=T), now=T, key=key) for key in (None, None, "two")]
    assert [first, *others] == events.find()
    assert 4 == len({event.id for event in (first, *others)})


def test_events_are_added_at_once(tmp_path: Path) -> None:
    """Several are one transaction; those that have expired are left out, and those whose key is known are not new."""
    events = Catalog(tmp_path).events
    assert [] == events.add_all([("old", Event("old", since=T - 3601))], now=T, retention=1)
    assert not events.exists()
    given = [("a", Event("a", since=T)), ("old", Event("old", since=T - 3601)), (None, Event("b", since=T - 3600))]
    stored = events.add_all(given, now=T, retention=1)
    assert [("a", 1), ("b", 2)] == [(each.title, each.id) for each in stored]
    assert stored[:1] == events.add_all([("a", Event("other", since=T))], now=T)
    assert ["b", "a"] == [each.title for each in events.find()]


def test_threads_add_events(tmp_path: Path) -> None:
    """Events from several threads are all stored, also by the one that makes the file."""
    events = Catalog(tmp_path).events
    added = [threading.Thread(target=lambda: events.add(Event("a", since=T), now=T)) for _ in range(8)]
    for each in added:
        each.start()
    for each in added:
        each.join()
    assert list(range(1, 9)) == [event.id for event in events.find()]


def test_another_file_is_told(tmp_path: Path) -> None:
    """An archive of that name is neither changed nor read, and the error says what to do."""
    made = Catalog(tmp_path).create("daily").path
    made.rename(tmp_path / FILE)
    events = Catalog(tmp_path).events
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(ArchiveUnavailable, match=r"another kind of file.*rename it"):
        events.add(Event("a", since=T), now=T)
    with pytest.raises(ArchiveUnavailable, match="rename it"):
        events.find()
    assert "rename it" in events.damage()
    assert before == (tmp_path / FILE).read_bytes()
