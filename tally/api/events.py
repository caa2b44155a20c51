"""The endpoints of events, in tally's and in Graphite's words."""

from typing import Any

from tally.api.message import Reply, whole
from tally.api.parameters import read_object
from tally.api.route import Call
from tally.api.shapes import TEXT, array_of, object_of, reference
from tally.engine.asking.question import WHOLE_MAX
from tally.engine.events import TAG_MAX, TEXT_MAX, TITLE_MAX, Event
from tally.graphite.request import SETS, choice, event_tags, event_window

EXAMPLE = '{"title": "deployed 1.4.2", "tags": ["deploy"]}'

_SECONDS: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": WHOLE_MAX}
_MOMENT = {"anyOf": [_SECONDS, {**TEXT, "description": "ISO 8601, now, or relative such as -5min"}]}
_TAGS = array_of({**TEXT, "minLength": 1, "maxLength": TAG_MAX})
_GIVEN_TAGS = {"anyOf": [_TAGS, {**TEXT, "description": "separated by spaces or commas"}]}
_TITLE = {**TEXT, "minLength": 1, "maxLength": TITLE_MAX}
_LONG_TEXT = {**TEXT, "maxLength": TEXT_MAX}
_EVENT: dict[str, Any] = {
    "id": {"type": "integer", "minimum": 1},
    "title": _TITLE,
    "text": _LONG_TEXT,
    "tags": _TAGS,
    "since": {**_SECONDS, "description": "when it began"},
    "until": {"anyOf": [_SECONDS, {"type": "null"}], "description": "when it ended; null: it has no duration"},
    "source": {**TEXT, "description": "which source has it, and gave its id; only from a cluster"},
}
_NEW = {"title": _TITLE, "text": _LONG_TEXT, "tags": _GIVEN_TAGS, "since": _MOMENT, "until": _MOMENT}
_OF_GRAPHITE = {"what": _TITLE, "data": _LONG_TEXT, "tags": _GIVEN_TAGS, "when": _MOMENT}
PARAMETERS: dict[str, Any] = {"tags": TEXT, "id": {"type": "integer", "minimum": 1}}
SCHEMAS: dict[str, Any] = {
    "Event": object_of(_EVENT, required=[name for name in _EVENT if name != "source"]),
    "Events": array_of(reference("schemas", "Event")),
    "NewEvent": {"anyOf": [object_of(_NEW, required=["title"]), object_of(_OF_GRAPHITE, required=["what"])]},
}


def find(call: Call) -> Reply:
    """Answer the events that overlap a range."""
    since, until = (next(iter(call.parameters[name]), None) for name in ("since", "until"))
    tags = next(iter(call.parameters["tags"]), ())
    found = call.answers.events.find(since=since, until=until, tags=tags)
    return whole([event.to_dict() for event in found], pretty=call.is_pretty)


def add(call: Call) -> Reply:
    """Store an event, and answer it with its id."""
    event = Event.create(read_object(call.request, EXAMPLE), now=call.now)
    stored = call.catalog.events.add(event, now=call.catalog.now(), retention=call.settings.events_retention)
    return whole(stored.to_dict(), pretty=call.is_pretty)


def graphite(call: Call) -> Reply:
    """Answer the events that begin in a range, as Graphite does."""
    since, until = event_window(call.parameters, call.now, zone=call.settings.graphite_timezone)
    is_union = choice(call.parameters, "set", SETS) == "union"
    found = call.answers.events.find(since=since, until=until, tags=event_tags(call.parameters), any_tag=is_union)
    return whole([_describe(event) for event in found])


def _describe(event: Event) -> dict[str, Any]:
    return {
        "when": int(event.since), "what": event.title, "data": event.text, "tags": list(event.tags), "id": event.id,
    }  # fmt: skip
