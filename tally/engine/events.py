"""What happened and when: deployments, incidents, changes of alerts.

    TALLY_DATA_DIR/events.db        an SQLite file

    events (key id)
    +----+-----+-------+------+------+-------+-------+-------+
    | id | key | title | text | tags | since | until | ended |
    +----+-----+-------+------+------+-------+-------+-------+

`tags` is a JSON array. An event without `until` has no duration. Each new event expires those that ended before the
retention, and the file keeps the KEPT_MAX newest.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import apsw

from tally.engine.asking.question import WHOLE_MAX, parse_time
from tally.engine.asking.sql import Bindings
from tally.engine.definition import HOUR_S
from tally.engine.files import ddl, schema, statements
from tally.engine.files.database import Database, Form
from tally.errors import InvalidEvent, InvalidQuestion

FILE = "events.db"
FORM = Form(
    "the file of events",
    0x74616C65,  # "tale": of events
    1,
    ddl.EVENTS,
    "move the file away and a new one is created; if it is an archive, rename it, since its name is reserved",
)
KEPT_MAX = 100_000
# The most events in an answer: the newest.
ANSWER_MAX = 10_000
TITLE_MAX, TEXT_MAX, TAG_MAX, TAGS_MAX = 1000, 16_000, 200, 50
FIELDS = ("title", "text", "tags", "since", "until")
# How Graphite's clients name the same fields.
GRAPHITE_FIELDS = {"what": "title", "data": "text", "tags": "tags", "when": "since"}
# Control characters, line separators and lone surrogates; a text may have tabs and line feeds.
_NOT_IN_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SEPARATORS = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True)
class Event:
    """An event from `since` to `until` in unix seconds, or at `since` if `until` is None. A new one has the id 0.

    `source` is which data directory of a cluster has it, if a cluster was asked. Ids are those of the source.
    """

    title: str
    text: str = ""
    tags: tuple[str, ...] = ()
    since: float = 0.0
    until: float | None = None
    id: int = 0
    source: str | None = None

    @classmethod
    def create(cls, fields: Mapping[str, Any], *, now: float) -> Self:
        """Return the event with FIELDS, or with those of Graphite, by name. Those that are None are not given.

        `tags` are a list, or text with spaces or commas between them. Times are unix seconds, a datetime (naive: local
        time), or text as in queries. The default of `since` is `now`.

        :raises InvalidEvent: when a field is unknown, missing or not valid, or the event ends before it begins.
        """
        given = _rename({name: value for name, value in fields.items() if value is not None})
        since = _parse_time("since", given.get("since", now), now)
        until = _parse_time("until", given["until"], now) if "until" in given else None
        if until is not None and until < since:
            raise InvalidEvent(f"until {given['until']!r:.100} is before since: an event ends after it begins")
        text = given.get("text", "")
        if not isinstance(text, str) or len(text) > TEXT_MAX or _NOT_IN_TEXT.search(text):
            raise InvalidEvent(
                f"text {text!r:.100} is not valid: use at most {TEXT_MAX} characters, none of them a control character"
            )
        return cls(_check_title(given.get("title")), text, parse_tags(given.get("tags", ())), since, until)

    @property
    def ended(self) -> float:
        """When it was over."""
        return self.since if self.until is None else self.until

    def to_dict(self) -> dict[str, Any]:
        """Return the event as in JSON, the id first."""
        fields = asdict(self)
        source = fields.pop("source")
        return {"id": fields.pop("id"), **fields, **({} if source is None else {"source": source})}


def _rename(given: dict[str, Any]) -> dict[str, Any]:
    """Return fields under tally's names."""
    if not given.keys() - GRAPHITE_FIELDS.keys():
        return {GRAPHITE_FIELDS[name]: value for name, value in given.items()}
    for name in given:
        if name not in FIELDS:
            graphite = ", ".join(GRAPHITE_FIELDS)
            raise InvalidEvent(f"{name!r:.100} is not a field here: use {', '.join(FIELDS)}, or Graphite's {graphite}")
    return given


def _check_title(title: object) -> str:
    if not isinstance(title, str) or not 1 <= len(title) <= TITLE_MAX or _NOT_IN_LINE.search(title):
        shown = "is missing" if title is None else f"{title!r:.100} is not valid"
        raise InvalidEvent(f"title {shown}: use 1 to {TITLE_MAX} characters in one line")
    return title


def parse_tags(tags: object) -> tuple[str, ...]:
    """Return tags, given as a list or as text with spaces or commas between them, each once.

    :raises InvalidEvent: when one is not valid, or there are too many.
    """
    given = _SEPARATORS.split(tags.strip(" ,")) if isinstance(tags, str) else tags
    if not isinstance(given, Iterable) or isinstance(given, Mapping | bytes):
        raise InvalidEvent(f'tags {tags!r:.100} are not tags: use a list such as ["deploy", "web"]')
    found = tuple(dict.fromkeys(tag for tag in given if tag != ""))
    for tag in found:
        if not isinstance(tag, str) or len(tag) > TAG_MAX or _SEPARATORS.search(tag) or _NOT_IN_LINE.search(tag):
            text = f"tag {tag!r:.100} is not valid: use 1 to {TAG_MAX} characters without white space and commas"
            raise InvalidEvent(text)
    if len(found) > TAGS_MAX:
        raise InvalidEvent(f"{len(found)} tags are too many: use at most {TAGS_MAX}")
    return found


def _parse_time(name: str, value: object, now: float) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        found = parse_time(value, now, name) if isinstance(value, str) else value
    except InvalidQuestion as error:
        raise InvalidEvent(str(error)) from None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= WHOLE_MAX:
        raise InvalidEvent(f"{name} {value!r:.100} is not a time: use unix seconds, or text such as -5min")
    return float(found)


class EventsState(NamedTuple):
    """What changes with every change of the events: the file's inode and its time, the greatest id, and how many."""

    inode: int
    changed_ns: int
    last: int
    total: int


class Events(Database):
    """The events in `directory`. Thread-safe; raises as `Database`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / FILE, FORM)

    def add(self, event: Event, *, now: float, retention: int = 0, key: str | None = None) -> Event:
        """Store an event durably, and return it with its id.

        Events that ended more than `retention` hours before `now` expire (0: none). An event whose `key` is stored
        already is not stored again.

        :raises InvalidEvent: when the event itself has expired.
        """
        if stored := self.add_all([(key, event)], now=now, retention=retention):
            return stored[0]
        raise InvalidEvent(f"the event ended more than {retention} h ago: such events are not kept")

    def add_all(self, events: Iterable[tuple[str | None, Event]], *, now: float, retention: int = 0) -> list[Event]:
        """Store events with their keys as `add` does, in one transaction, and return those that have not expired."""
        cutoff = now - retention * HOUR_S if retention else -math.inf
        kept = [(key, event) for key, event in events if event.ended >= cutoff]
        if not kept:
            return []
        with self.open() as connection, schema.Transaction(connection):
            stored = [_store(connection, event, key) for key, event in kept]
            connection.execute(statements.OLD_EVENTS, {"cutoff": cutoff, "most": KEPT_MAX})
        return stored

    def find(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        tags: Iterable[str] = (),
        any_tag: bool = False,
    ) -> list[Event]:
        """Return the events that overlap the range, both ends included, in the order of their beginning.

        They have all of the `tags`, or with `any_tag` one of them. If there are more than ANSWER_MAX, the newest are
        returned.
        """
        if not self.exists():
            return []
        wanted = list(dict.fromkeys(tags))
        asked: Bindings = {
            "since": -math.inf if since is None else since,
            "until": math.inf if until is None else until,
            "tags": json.dumps(wanted),
            "matched": min(len(wanted), 1) if any_tag else len(wanted),
            "most": ANSWER_MAX,
        }
        with self.open(write=False) as connection:
            return [_read(row) for row in connection.execute(statements.EVENTS, asked)]

    def state(self) -> EventsState:
        """Return what changes whenever an event is added or removed, or the file is replaced."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return EventsState(0, 0, 0, 0)
        with self.open(write=False) as connection:
            return EventsState(status.st_ino, status.st_ctime_ns, *connection.execute(statements.LAST_EVENT).get)

    def read_after(self, number: int, *, most: int) -> list[Event]:
        """Return up to `most` events with greater ids than `number`, in their order."""
        if not self.exists():
            return []
        with self.open(write=False) as connection:
            return [_read(row) for row in connection.execute(statements.EVENTS_AFTER, (number, most))]

    def read_ids(self, last: int) -> set[int]:
        """Return the ids up to `last`."""
        if not self.exists():
            return set()
        with self.open(write=False) as connection:
            return {number for (number,) in connection.execute(statements.EVENT_IDS, (last,))}


def _store(connection: apsw.Connection, event: Event, key: str | None) -> Event:
    row = (key, event.title, event.text, json.dumps(event.tags), event.since, event.until, event.ended)
    number = connection.execute(statements.NEW_EVENT, row).get
    return _read(connection.execute(statements.EVENTS_AFTER, (number - 1, 1)).get)


def _read(row: Any) -> Event:
    number, title, text, tags, since, until = row
    return Event(title, text, tuple(json.loads(tags)), since, until, number)
