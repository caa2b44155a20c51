"""Events of all sources: the replicator ships those of its data directory, and a cluster answers all.

    events.db ── EventShipper.ship ──▶ events (source, id, digest) ── ClusterEvents.find ──▶ answer

Events never change. The shipper adds and removes what the directory has and the cluster has not, or the other way
round. When the events have changed, it reads the ids of those that it knows, and the new ones. It reads all of them if
the file may have been replaced by another one.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from tally.cluster import statements
from tally.cluster.cluster import Cluster
from tally.cluster.conditions import Parameters
from tally.cluster.identity import read_identity
from tally.cluster.reading import Reading
from tally.cluster.sql import Statement
from tally.engine.events import ANSWER_MAX, Event, Events, EventsState

BATCH_EVENTS = 1_000

Key = tuple[int, int]


class EventShipper:
    """Ships `events` as those of the source `name`. Not for concurrent calls."""

    def __init__(self, events: Events, cluster: Cluster, *, name: str, identity: str) -> None:
        self._events = events
        self._cluster = cluster
        self._owner = (name, identity)
        self.begin_again()

    def begin_again(self) -> None:
        """Ask the cluster in the next pass what it has."""
        self._state: EventsState | None = None
        # Of each event that the cluster has, the digest by its id.
        self._shipped: dict[int, int] = {}

    def ship(self, next_stamp: Callable[[], int]) -> None:
        """Make the cluster's events of the source those of the file. A stamp replaces what a smaller one has stored.

        :raises ClusterUnavailable: when the cluster cannot be used.
        :raises ArchiveUnavailable: when the file cannot be read.
        """
        found, before = self._events.state(), self._state
        if found == before:
            return
        kept = None if before is None else self._find_kept(before, found)
        # A pass that fails may have stored what it did not note: the next one asks the cluster.
        self._state = None
        if before is None:
            stored, self._shipped = self._cluster.read_event_keys(self._owner[0]), {}
        else:
            stored = {(number, self._shipped.pop(number)) for number in self._shipped.keys() - (kept or ())}
        self._ship_new(before.last if before and kept else 0, stored, next_stamp)
        if gone := {key for key in stored if not self._has(key)}:
            stamp = next_stamp()
            self._cluster.insert_events([self._row(key, Event(""), 1, stamp) for key in gone])
        self._state = found

    def _has(self, key: Key) -> bool:
        return self._shipped.get(key[0]) == key[1]

    def _find_kept(self, before: EventsState, found: EventsState) -> set[int] | None:
        """Return the ids that the file has of those that were shipped, or None if it may be another file.

        Ids only grow, so a file with the inode and the last event of the one that was shipped has the others, too.
        """
        last = self._events.read_after(before.last - 1, most=1) if before.inode == found.inode else []
        if not any(self._has(_key(event)) for event in last):
            return None
        ids = self._events.read_ids(before.last)
        return ids if ids <= self._shipped.keys() else None

    def _ship_new(self, number: int, stored: set[Key], next_stamp: Callable[[], int]) -> None:
        """Ship the events after the id `number`, except those that the cluster has."""
        while batch := self._events.read_after(number, most=BATCH_EVENTS):
            keyed = {_key(event): event for event in batch}
            stamp = next_stamp()
            if new := [self._row(key, event, 0, stamp) for key, event in keyed.items() if key not in stored]:
                self._cluster.insert_events(new)
            self._shipped.update(keyed.keys())
            number = batch[-1].id

    def _row(self, key: Key, event: Event, is_deleted: int, stamp: int) -> tuple[Any, ...]:
        fields = (event.title, event.text, event.tags, event.since, event.until, event.ended)
        return (*self._owner, *key, *fields, is_deleted, stamp)


def _key(event: Event) -> Key:
    """Return the id of an event, and a hash of all its other fields."""
    fields = json.dumps((event.title, event.text, event.tags, event.since, event.until))
    return event.id, int.from_bytes(hashlib.blake2b(fields.encode(), digest_size=8).digest(), "big")


class ClusterEvents(Events):
    """The events of a cluster. They are added to those of `directory`, which belong to `source`. Thread-safe.

    Those of the directory are found there, so that they are found before they are shipped.
    """

    def __init__(self, directory: Path, begin_reading: Callable[[], Reading], *, source: str) -> None:
        super().__init__(directory)
        self._begin_reading = begin_reading
        self._source = source

    def find(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        tags: Iterable[str] = (),
        any_tag: bool = False,
    ) -> list[Event]:
        """Return the events of all sources as `Events.find` does, and raise as `Reading` does, too."""
        wanted = list(dict.fromkeys(tags))
        statement = _select(since, until, wanted, any_tag=any_tag)
        with closing(self._begin_reading()) as reading:
            rows = reading.read(statement)
        own = read_identity(self.path.parent)
        found = [_read(row) for identity, *row in rows if identity != own]
        if own is not None:  # A copy of a directory has the events of the original.
            local = super().find(since=since, until=until, tags=wanted, any_tag=any_tag)
            found += [replace(event, source=self._source) for event in local]
        return sorted(found, key=lambda event: (event.since, event.source, event.id))[-ANSWER_MAX:]


def _read(row: list[Any]) -> Event:
    source, number, title, text, tags, since, until = row
    return Event(title, text, tuple(tags), since, until, number, source)


def _select(since: float | None, until: float | None, tags: list[str], *, any_tag: bool) -> Statement:
    parameters = Parameters()
    conditions = ["1"]
    if since is not None:
        conditions.append(f"ended >= {parameters.add(since)}")
    if until is not None:
        conditions.append(f"since <= {parameters.add(until)}")
    if tags:
        conditions.append(f"{'hasAny' if any_tag else 'hasAll'}(tags, {parameters.add(tags)})")
    text = statements.EVENTS.format(conditions=" AND ".join(conditions), most=ANSWER_MAX)
    return Statement(text, parameters.values)
