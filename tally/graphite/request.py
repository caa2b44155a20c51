"""The parameters of Graphite's routes, read from the fields of a query string or form. Other fields are ignored."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_time
from tally.graphite.source import Window
from tally.graphite.target import Call, Path, parse

Fields = Mapping[str, list[str]]

RENDER_FORMATS = ("json", "csv")
FIND_FORMATS = ("treejson", "completer")


class Meaning(NamedTuple):
    """The description of a parameter, and the JSON schema of its value."""

    text: str
    schema: dict[str, object]


_TEXT: dict[str, object] = {"type": "string"}
_TEXTS: dict[str, object] = {"type": "array", "items": _TEXT}
_FLAG: dict[str, object] = {"enum": [0, 1], "default": 0}
_TIME = "unix seconds, now, or relative such as -1h"
RENDER = {
    "target": Meaning("a path or a function; may be given several times", _TEXTS),
    "from": Meaning(f"start of the range, exclusive: {_TIME}; default: -24h", _TEXT),
    "until": Meaning("end of the range, inclusive: as from; default: now", _TEXT),
    "format": Meaning("the format of the answer", {"enum": list(RENDER_FORMATS), "default": "json"}),
    "maxDataPoints": Meaning(
        "in JSON, consolidate each series to at most this many values; ignored if it is not a whole number",
        {"type": "integer"},
    ),
    "noNullPoints": Meaning(
        "in JSON, leave out points without a value, and series without any value; its own value is ignored", _TEXT
    ),
}
FIND = {
    "query": Meaning("a pattern of metrics", _TEXT),
    "format": Meaning("the format of the answer", {"enum": list(FIND_FORMATS), "default": "treejson"}),
    "wildcards": Meaning("if several nodes are found, add one that stands for all of them", _FLAG),
}
EXPAND = {
    "query": Meaning("a pattern of metrics; given several times, any may match", _TEXTS),
    "groupByExpr": Meaning("answer by pattern", _FLAG),
    "leavesOnly": Meaning("leave branches out", _FLAG),
}
# Graphite's way to say that events must have all tags has two names.
SETS = ("", "intersection", "union")
EVENTS = {
    "from": Meaning(f"start of the range: {_TIME}; default: the first event", _TEXT),
    "until": Meaning("end of the range: as from; default: now", _TEXT),
    "tags": Meaning("tags separated by spaces or commas", _TEXT),
    "set": Meaning("whether an event must have all of the tags, or any", {"enum": list(SETS), "default": ""}),
}
FUNCTIONS = {"grouped": Meaning("answer by group", _FLAG)}
NOTHING: dict[str, Meaning] = {}


@dataclass(frozen=True)
class Render:
    """A request to `/render`: parsed targets, a range, and options of the answer."""

    targets: tuple[Path | Call, ...]
    window: Window
    format: str = "json"
    points_max: int | None = None
    skips_nulls: bool = False

    @classmethod
    def read(cls, fields: Fields, now: float) -> "Render":
        """Parse the fields of a request.

        :raises InvalidQuestion: when a target, a time or another parameter is malformed, or the range is empty.
        """
        start, end = sorted((_time(fields, "from", "-24h", now), _time(fields, "until", "now", now)))
        if start == end:
            raise InvalidQuestion("from and until are the same time: give two different times")
        targets = tuple(parse(text.strip()) for text in fields.get("target", ()) if text.strip())
        chosen = choice(fields, "format", RENDER_FORMATS)
        return cls(targets, Window(start, end, now), chosen, _points_max(fields), "noNullPoints" in fields)


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the values of each field by name."""
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def flag(fields: Fields, name: str) -> bool:
    """Return whether a flag is 1; it is 0 by default.

    :raises InvalidQuestion: when it is neither 0 nor 1.
    """
    text = _last(fields, name, "0")
    if text not in ("0", "1"):
        raise InvalidQuestion(f"{name} {text!r:.100} is not a flag: use 1 or 0")
    return text == "1"


def choice(fields: Fields, name: str, choices: tuple[str, ...]) -> str:
    """Return which of the choices a field selects; the first is the default.

    :raises InvalidQuestion: when the value is not one of the choices.
    """
    text = _last(fields, name, choices[0])
    if text not in choices:
        raise InvalidQuestion(f"{name} {text!r:.100} is unknown: use {' or '.join(choices)}")
    return text


def queries(fields: Fields) -> list[str]:
    """Return the patterns in `query`.

    :raises InvalidQuestion: when there is no pattern.
    """
    texts = [text for text in fields.get("query", ()) if text]
    if not texts:
        raise InvalidQuestion("query is missing: give a pattern such as daily.*")
    return texts


def event_window(fields: Fields, now: float) -> tuple[float, float]:
    """Return the range of a request for events.

    :raises InvalidQuestion: when a time is malformed.
    """
    return _time(fields, "from", "0", now), _time(fields, "until", "now", now)


def event_tags(fields: Fields) -> list[str]:
    """Return the tags of a request for events, without empty ones."""
    return [tag for text in fields.get("tags", ()) for tag in re.split(r"[\s,]+", text) if tag]


def _time(fields: Fields, name: str, default: str, now: float) -> float:
    try:
        return parse_time(_last(fields, name, default) or default, now)
    except InvalidQuestion as error:
        raise InvalidQuestion(f"{name}: {error}") from None


def _points_max(fields: Fields) -> int | None:
    text = _last(fields, "maxDataPoints", "0")
    return int(text) or None if re.fullmatch(r"\d{1,16}", text, re.ASCII) else None


def _last(fields: Fields, name: str, default: str) -> str:
    return fields.get(name, [default])[-1]
