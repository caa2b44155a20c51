"""Events of all sources: what the cluster answers is what their files have, whatever happened to those."""

import random
import shutil
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tally.cluster import events as module
from tally.cluster.address import Address
from tally.cluster.cluster import Cluster
from tally.cluster.identity import Identity
from tally.cluster.replicator import Replicator
from tally.engine import Catalog, Event
from tally.engine.events import Events
from tally.errors import ClusterUnavailable
from tests.api.asking import ask
from tests.cluster.asking import NOW, Both, Source
from tests.cluster.test_replicator import Make, Site, make

TITLES = "SELECT title FROM {database}.events FINAL WHERE is_deleted = 0"
__all__ = ["Make", "make"]  # pytest finds fixtures by their names.


def add(source: Source | Site, title: str, *tags: str, since: float = NOW, until: float | None = None) -> None:
    """Store an event in a source."""
    source.catalog.events.add(Event(title, "text", tags, since, until), now=NOW)


def listed(both: Both, query: str = "") -> list[dict[str, Any]]:
    """Return the events that the cluster answers."""
    found = ask(both.cluster, f"/events/{query}")
    assert found.status == 200, found.body
    return list(found.json)


@pytest.fixture
def both(tmp_path: Path, address: Address) -> Both:
    """Make two sources with three events each, which are shipped."""
    found = Both(tmp_path, address)
    for number, source in enumerate(found.sources):
        source.catalog.prepare()
        add(source, f"deployed {number}", "deploy", "ü", since=NOW - 60 + number)
        add(source, f"moved {number}", "move", since=NOW - 600, until=NOW - 50 + number)
        add(source, f"it's {number}")
    found.ship()
    return found


def test_the_events_of_all_sources_are_answered(both: Both) -> None:
    """In the order of their beginning, each with the source that gave its number."""
    assert [("web1", 2), ("web2", 2), ("web1", 1), ("web2", 1), ("web1", 3), ("web2", 3)] == [
        (each["source"], each["id"]) for each in listed(both)
    ]
    expected = {"id": 2, "title": "moved 1", "text": "text", "tags": ["move"], "since": NOW - 600, "until": NOW - 49}
    assert {**expected, "source": "web2"} == listed(both)[1]


def test_a_range_and_tags(both: Both) -> None:
    """An event is found if a part of it is in the range, and if it has all tags."""
    for query, titles in {
        f"?since={NOW - 59:.0f}": ["moved 0", "moved 1", "deployed 1", "it's 0", "it's 1"],
        f"?since={NOW - 49:.0f}": ["moved 1", "it's 0", "it's 1"],
        f"?since={NOW - 48:.0f}": ["it's 0", "it's 1"],
        f"?until={NOW - 60:.0f}": ["moved 0", "moved 1", "deployed 0"],
        f"?until={NOW - 601:.0f}": [],
        "?tags=deploy": ["deployed 0", "deployed 1"],
        "?tags=deploy,%C3%BC": ["deployed 0", "deployed 1"],
        "?tags=deploy,move": [],
    }.items():
        assert titles == [each["title"] for each in listed(both, query)], query


def test_graphite_gets_them_too(both: Both) -> None:
    """With any of the tags, if asked so."""
    found = ask(both.cluster, f"/events/get_data?from={NOW - 1000:.0f}&until={NOW + 1:.0f}&tags=move deploy&set=union")
    assert ["moved 0", "moved 1", "deployed 0", "deployed 1"] == [each["what"] for each in found.json]


def test_what_is_added_where_the_cluster_is_asked_is_found_at_once(both: Both) -> None:
    """It belongs to that directory, and is found once when it is shipped."""
    catalog = Catalog(both.cluster.settings.data_dir)
    catalog.prepare()
    catalog.events.add(Event("here", since=NOW + 1), now=NOW)
    assert [("here", both.cluster.settings.source)] == [(each["title"], each["source"]) for each in listed(both)[6:]]
    with Identity(catalog.directory) as identity, Cluster(both.address) as cluster:
        Replicator(catalog, cluster, name="here", identity=identity.text).ship()
    assert 7 == len(listed(both))


def test_a_copied_directory_hides_nothing_of_the_original(both: Both) -> None:
    """A copy has the identity of the original, and maybe older events."""
    directory = Path(both.cluster.settings.data_dir)
    Catalog(directory).prepare()
    with Identity(directory):
        pass
    (directory / "cluster.json").write_text((directory / "cluster.json").read_text().replace('"inode": ', '"inode": 1'))
    assert 6 == len(listed(both))


def test_the_newest_are_answered(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a file."""
    monkeypatch.setattr(module, "ANSWER_MAX", 3)
    assert ["deployed 1", "it's 0", "it's 1"] == [each["title"] for each in listed(both)]


def test_a_cluster_that_is_away(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of the own directory alone would be no answer."""

    def fail(*_: Any, **__: Any) -> None:
        raise ClusterUnavailable("away")

    monkeypatch.setattr("tally.cluster.connection.Connection.stream", fail)
    found = ask(both.cluster, "/events/")
    assert (503, True) == (found.status, "retry-after" in found.headers)


@pytest.fixture
def site(make: Make) -> Site:
    """Make a source without events."""
    found = make("web1")
    found.catalog.prepare()
    return found


def test_a_pass_may_fail_after_it_has_stored(
    site: Site, address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that the cluster has got then, and that has expired since, is removed by the next pass."""
    both = Both(tmp_path / "asked", address, sources=0)
    add(site, "kept")
    site.replicator.ship()
    add(site, "expired", since=NOW - 3000)
    insert = site.cluster.insert_events

    def fail(rows: Any) -> None:
        insert(rows)
        raise ClusterUnavailable("lost")

    with monkeypatch.context() as patch:
        patch.setattr(site.cluster, "insert_events", fail)
        with pytest.raises(ClusterUnavailable):
            site.replicator.ship()
    assert ["expired", "kept"] == [each["title"] for each in listed(both)]
    site.catalog.events.add(Event("new", since=NOW), now=NOW + 700, retention=1)
    site.replicator.ship()
    assert ["kept", "new"] == [each["title"] for each in listed(both)]


def test_only_new_events_are_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the last one that is known. All are read when it is another event, or when known ones are back."""
    for number in range(5):
        add(site, f"{number}", since=NOW - 1000 * number)
    site.replicator.ship()
    read: list[int] = []
    read_after = Events.read_after

    def noted(events: Events, number: int, *, most: int) -> list[Event]:
        found = read_after(events, number, most=most)
        read.extend(event.id for event in found)
        return found

    def change(statement: str) -> list[int]:
        with closing(sqlite3.connect(site.catalog.events.path)) as connection, connection:
            connection.execute(statement)
        add(site, "new")
        read.clear()
        site.replicator.ship()
        return list(read)

    monkeypatch.setattr(Events, "read_after", noted)
    assert [5, 6] == change("DELETE FROM events WHERE id = 2")
    again = "INSERT INTO events VALUES (2, NULL, 'again', '', '[]', 1, NULL, 1)"
    assert [6, 1, 2, 3, 4, 5, 6, 7] == change(again)
    assert [7, 1, 2, 3, 4, 5, 6, 7, 8] == change("UPDATE events SET title = 'other' WHERE id = 7")
    expected = {"again", "0", "2", "3", "4", "new", "other"}
    assert expected == {title for (title,) in site.cluster._execute(TITLES)}


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_to_a_file_the_cluster_follows(
    seed: int, site: Site, address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are added, expire, are lost with the file or by a restore, while passes fail and replicators restart."""
    monkeypatch.setattr(module, "BATCH_EVENTS", 3)
    chance = random.Random(seed)
    path, copy = site.catalog.events.path, tmp_path / "copy.db"
    both = Both(tmp_path / "asked", address, sources=0)
    for turn in range(40):
        step(chance, site, path, copy, turn)
        if chance.random() < 0.5:
            site.replicator.ship()
            of_file = site.catalog.events.find()
            expected = [{**each.to_dict(), "tags": [*each.tags], "source": "web1"} for each in of_file]
            assert expected == listed(both)


def step(chance: random.Random, site: Site, path: Path, copy: Path, turn: int) -> None:
    """Do one thing that may happen to the events of a source."""
    what = chance.choice(["add", "add", "add", "expire", "remove", "copy", "restore", "restart", "fail"])
    if what == "add":
        for number in range(chance.randrange(1, 8)):
            add(site, f"{turn} {number}", since=NOW - chance.randrange(3600))
    elif what == "expire":
        now = NOW + chance.randrange(1800)
        site.catalog.events.add(Event("now", since=now), now=now, retention=1)
    elif what == "remove":
        path.unlink(missing_ok=True)
    elif what == "copy" and path.exists():
        shutil.copyfile(path, copy)
    elif what == "restore" and copy.exists():
        shutil.copyfile(copy, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
    elif what == "restart":
        site.restart()
    elif what == "fail":
        fail_once(chance, site)


def fail_once(chance: random.Random, site: Site) -> None:
    """Fail a pass at an insert, before or after it has happened."""
    insert, is_done = site.cluster.insert_events, chance.random() < 0.5

    def fail(rows: Any) -> None:
        if is_done:
            insert(rows)
        raise ClusterUnavailable("lost")

    site.cluster.insert_events = fail  # type: ignore[method-assign]
    with ExitStack() as stack:
        stack.callback(setattr, site.cluster, "insert_events", insert)
        try:
            site.replicator.ship()
        except ClusterUnavailable:
            return
