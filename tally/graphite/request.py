"""What Graphite's routes are asked, read from the fields of a query or a form; others are ignored."""

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
    """What a parameter means, and the schema of its value."""

    text: str
    schema: dict[str, object]


_TEXT: dict[str, object] = {"type": "string"}
_TEXTS: dict[str, object] = {"type": "array", "items": _TEXT}
_FLAG: dict[str, object] = {"enum": [0, 1], "default": 0}
_TIME = "unix seconds, now, or relative such as -1h"
RENDER = {
    "target": Meaning("a path or a function; given several times, one after the other", _TEXTS),
    "from": Meaning(f"the range begins after it: {_TIME}; default: -24h", _TEXT),
    "until": Meaning("the range ends with it: as from; default: now", _TEXT),
    "format": Meaning("the shape of the answer", {"enum": list(RENDER_FORMATS), "default": "json"}),
    "maxDataPoints": Meaning(
        "in JSON, consolidate each series to at most so many values; ignored where it is no whole number",
        {"type": "integer"},
    ),
    "noNullPoints": Meaning(
        "in JSON, leave out points without a value, and series without any; whatever its value", _TEXT
    ),
}
FIND = {
    "query": Meaning("a pattern of metrics", _TEXT),
    "format": Meaning("the shape of the answer", {"enum": list(FIND_FORMATS), "default": "treejson"}),
    "wildcards": Meaning("where several are found, put one beside them that stands for all", _FLAG),
}
EXPAND = {
    "query": Meaning("a pattern of metrics; given several times, any may match", _TEXTS),
    "groupByExpr": Meaning("answer by pattern", _FLAG),
    "leavesOnly": Meaning("leave branches out", _FLAG),
}
FUNCTIONS = {"grouped": Meaning("answer by group", _FLAG)}
NOTHING: dict[str, Meaning] = {}


@dataclass(frozen=True)
class Render:
    """What `/render` is asked: targets as they are written and read, a range, and how it shall be answered."""

    targets: tuple[Path | Call, ...]
    window: Window
    format: str = "json"
    points_max: int | None = None
    leaves_out_nulls: bool = False

    @classmethod
    def read(cls, fields: Fields, now: float) -> "Render":
        """Return what is asked.

        :raises InvalidQuestion: when a target, a time or another parameter is malformed, or the range is empty.
        """
        start, end = sorted((_time(fields, "from", "-24h", now), _time(fields, "until", "now", now)))
        if start == end:
            raise InvalidQuestion("from and until are the same time: give a range")
        targets = tuple(parse(text.strip()) for text in fields.get("target", ()) if text.strip())
        chosen = choice(fields, "format", RENDER_FORMATS)
        return cls(targets, Window(start, end, now), chosen, _points_max(fields), "noNullPoints" in fields)


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the values of each field, in their order."""
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def flag(fields: Fields, name: str) -> bool:
    """Return whether a flag is 1.

    :raises InvalidQuestion: when it is neither 0 nor 1.
    """
    text = _last(fields, name, "0")
    if text not in ("0", "1"):
        raise InvalidQuestion(f"{name} {text!r:.100} is not a flag: use 1 or 0")
    return text == "1"


def choice(fields: Fields, name: str, choices: tuple[str, ...]) -> str:
    """Return a word of several, the first where none is given.

    :raises InvalidQuestion: when it is another.
    """
    text = _last(fields, name, choices[0])
    if text not in choices:
        raise InvalidQuestion(f"{name} {text!r:.100} is not known: use {' or '.join(choices)}")
    return text


def queries(fields: Fields) -> list[str]:
    """Return the patterns that are asked for, at least one.

    :raises InvalidQuestion: when there is none.
    """
    texts = [text for text in fields.get("query", ()) if text]
    if not texts:
        raise InvalidQuestion("query is missing: give a pattern such as daily.*")
    return texts


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
