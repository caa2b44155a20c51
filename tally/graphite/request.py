"""The parameters of Graphite's routes, read from the fields of a query string or form. Other fields are ignored."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import NamedTuple

from tally.engine.asking.question import NUMBER
from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_time, read_zone
from tally.graphite.source import Window
from tally.graphite.target import Call, Path
from tally.graphite.template import parse_target

Fields = Mapping[str, list[str]]

RENDER_FORMATS = ("json", "csv", "raw", "dygraph", "rickshaw")
FIND_FORMATS = ("treejson", "completer", "json", "nodelist")
# What Graphite answers too, and why tally does not.
REFUSED = {
    "pickle": "reading a pickle can run any code: use json or raw",
    "msgpack": "use json or raw",
    "png": "tally draws no images: use json, or the dashboard",
    "svg": "tally draws no images: use json, or the dashboard",
    "pdf": "tally draws no images: use json, or the dashboard",
}
JSONP_MAX = 100


class Meaning(NamedTuple):
    """The description of a parameter, and the JSON schema of its value."""

    text: str
    schema: dict[str, object]


_TEXT: dict[str, object] = {"type": "string"}
_TEXTS: dict[str, object] = {"type": "array", "items": _TEXT}
_FLAG: dict[str, object] = {"enum": [0, 1], "default": 0}
_WHOLE: dict[str, object] = {"type": "integer"}
_TIME = "unix seconds, now, or relative such as -1h"
JSONP = Meaning("answer JavaScript that calls this function with the JSON; not for pages of other sites", _TEXT)
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
    "tz": Meaning("the time zone of days and times of day; default: TALLY_GRAPHITE_TIMEZONE", _TEXT),
    "now": Meaning("the time that relative times are relative to, and that the answer ends at: as from", _TEXT),
    "xFilesFactor": Meaning("as setXFilesFactor, for all series; default: 0", {"type": "number"}),
    "jsonp": JSONP,
}
FIND = {
    "query": Meaning("a pattern of metrics", _TEXT),
    "format": Meaning("the format of the answer", {"enum": list(FIND_FORMATS), "default": "treejson"}),
    "wildcards": Meaning("if several nodes are found, add one that stands for all of them", _FLAG),
    "leavesOnly": Meaning("leave branches out", _FLAG),
    "position": Meaning("for the format nodelist: the position of the nodes, from 0; default: the last", _WHOLE),
    "from": Meaning(f"start of the range that `auto` and StatsD's paths shall answer: {_TIME}", _TEXT),
    "until": Meaning("end of the range, which changes no answer: as from", _TEXT),
    "tz": RENDER["tz"],
    "now": Meaning("the time that relative times are relative to: as from", _TEXT),
    "jsonp": JSONP,
}
EXPAND = {
    "query": Meaning("a pattern of metrics; given several times, any may match", _TEXTS),
    "groupByExpr": Meaning("answer by pattern", _FLAG),
    "leavesOnly": Meaning("leave branches out", _FLAG),
    "jsonp": JSONP,
}
_LIMIT = Meaning("at most so many; default: all", _WHOLE)
_COMPLETE_LIMIT = Meaning("at most so many; default: 100", _WHOLE)
_EXPRESSIONS = Meaning("a tag expression such as env=prod; given several times, all must hold", _TEXTS)
TAGS = {"filter": Meaning("a regular expression that tags match", _TEXT), "limit": _LIMIT}
TAG_VALUES = {"filter": Meaning("a regular expression that values match", _TEXT), "limit": _LIMIT}
FIND_SERIES = {"expr": _EXPRESSIONS}
COMPLETE_TAGS = {
    "tagPrefix": Meaning("how the tags begin", _TEXT),
    "expr": _EXPRESSIONS,
    "limit": _COMPLETE_LIMIT,
}
COMPLETE_VALUES = {
    "tag": Meaning("the tag whose values are wanted", _TEXT),
    "valuePrefix": Meaning("how the values begin", _TEXT),
    "expr": _EXPRESSIONS,
    "limit": _COMPLETE_LIMIT,
}
INDEX = {"jsonp": JSONP}
# Graphite's way to say that events must have all tags has two names.
SETS = ("", "intersection", "union")
EVENTS = {
    "from": Meaning(f"start of the range: {_TIME}; default: the first event", _TEXT),
    "until": Meaning("end of the range: as from; default: now", _TEXT),
    "tags": Meaning("tags separated by spaces or commas", _TEXT),
    "tz": RENDER["tz"],
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
    jsonp: str = ""
    x_files_factor: float = 0

    @classmethod
    def read(cls, fields: Fields, now: float, *, zone: str = "UTC") -> "Render":
        """Parse the fields of a request; `zone` is the time zone if there is no `tz`.

        :raises InvalidQuestion: when a target, a time or another parameter is malformed, or the range is empty.
        """
        days = read_zone(_last(fields, "tz", zone) or zone)
        given = _time(fields, "now", str(now), now, days)
        start, end = sorted((_time(fields, "from", "-24h", given, days), _time(fields, "until", "now", given, days)))
        if start == end:
            raise InvalidQuestion("from and until are the same time: give two different times")
        values = {name[9:-1]: found[-1] for name, found in fields.items() if re.fullmatch(r"template\[.+\]", name)}
        targets = tuple(parse_target(each.strip(), values) for each in texts(fields, "target") if each.strip())
        chosen = choice(fields, "format", RENDER_FORMATS)
        window = Window(start, end, min(given, now), zone=days)
        skips_nulls, factor = "noNullPoints" in fields, _read_factor(fields)
        return cls(targets, window, chosen, _points_max(fields), skips_nulls, jsonp(fields), factor)


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
    if text in REFUSED and name == "format":
        raise InvalidQuestion(f"the format {text} is not supported: {REFUSED[text]}")
    if text not in choices:
        raise InvalidQuestion(f"{name} {text!r:.100} is unknown: use {' or '.join(choices)}")
    return text


def texts(fields: Fields, name: str) -> list[str]:
    """Return the values of a field, which may be called `name[]` too, without empty ones."""
    return [text for text in fields.get(name) or fields.get(f"{name}[]") or () if text]


def read_whole(fields: Fields, name: str, default: int, *, least: int = 0) -> int:
    """Return a whole number of at least `least`.

    :raises InvalidQuestion: when it is not one.
    """
    text = _last(fields, name, str(default))
    if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII) or int(text) < least:
        raise InvalidQuestion(f"{name} {text!r:.100} is not a whole number of at least {least}")
    return int(text)


def text(fields: Fields, name: str) -> str:
    """Return the value of a field, or "" without it."""
    return _last(fields, name, "")


def jsonp(fields: Fields) -> str:
    """Return the name of the function that JSON is passed to, or "".

    :raises InvalidQuestion: when it is not a name in JavaScript.
    """
    name = _last(fields, "jsonp", "")
    if name and not re.fullmatch(rf"[A-Za-z_$][\w$.]{{0,{JSONP_MAX - 1}}}", name, re.ASCII):
        raise InvalidQuestion(f"jsonp {name!r:.100} is not the name of a function: use letters, digits, _, $ and dots")
    return name


def queries(fields: Fields) -> list[str]:
    """Return the patterns in `query`.

    :raises InvalidQuestion: when there is no pattern.
    """
    texts = [text for text in fields.get("query", ()) if text]
    if not texts:
        raise InvalidQuestion("query is missing: give a pattern such as daily.*")
    return texts


def find_since(fields: Fields, now: float, *, zone: str = "UTC") -> float | None:
    """Return the start of the range for which nodes are wanted, or None if it has none; -1 means none, as in Graphite.

    `zone` is the time zone if there is no `tz`. The end is only checked.

    :raises InvalidQuestion: when a time is malformed.
    """
    days = read_zone(_last(fields, "tz", zone) or zone)
    given = _time(fields, "now", str(now), now, days)
    told = [name for name in ("from", "until") if text(fields, name) not in ("", "-1")]
    return {name: _time(fields, name, "", given, days) for name in told}.get("from")


def event_window(fields: Fields, now: float, *, zone: str = "UTC") -> tuple[float, float]:
    """Return the range of a request for events; `zone` is the time zone if there is no `tz`.

    :raises InvalidQuestion: when a time is malformed.
    """
    days = read_zone(_last(fields, "tz", zone) or zone)
    return _time(fields, "from", "0", now, days), _time(fields, "until", "now", now, days)


def event_tags(fields: Fields) -> list[str]:
    """Return the tags of a request for events, without empty ones."""
    return [tag for text in fields.get("tags", ()) for tag in re.split(r"[\s,]+", text) if tag]


def _time(fields: Fields, name: str, default: str, now: float, zone: tzinfo) -> float:
    try:
        return parse_time(_last(fields, name, default) or default, now, zone=zone)
    except InvalidQuestion as error:
        raise InvalidQuestion(f"{name}: {error}") from None


def _read_factor(fields: Fields) -> float:
    text = _last(fields, "xFilesFactor", "0") or "0"
    if not NUMBER.fullmatch(text) or not 0 <= float(text) <= 1:
        raise InvalidQuestion(f"xFilesFactor {text!r:.100} is not a number from 0 to 1")
    return float(text)


def _points_max(fields: Fields) -> int | None:
    text = _last(fields, "maxDataPoints", "0")
    return int(text) or None if re.fullmatch(r"\d{1,16}", text, re.ASCII) else None


def _last(fields: Fields, name: str, default: str) -> str:
    return fields.get(name, [default])[-1]
