"""StatsD and DogStatsD lines: what one measures, under which name.

    page.time:320:280|ms|@0.5|#env:prod,beta        page.views:1|c:2|c|@0.1        queue:+3|g        users:ada|s
    ^name     ^values ^type ^rate ^tags             ^name      ^part ^part

Pure, as `wire` is: bytes go in, measures or the reason for a rejection come out. Whether a line is one of these is
decided by `grammar`. What a gauge was before, which members a set has, and what is done with all of it is left to
`rollup`. The format is that of statsd 0.10 and of DogStatsD 1.4.

Tags become a part of the name as Graphite writes them, whichever way they are written:

    page;env=prod:1|c        Graphite        page:1|c|#env:prod      DogStatsD
    page,env=prod:1|c        InfluxDB        page[env=prod]:1|c      SignalFx
    page#env=prod:1|c        Librato
"""

import re
from functools import lru_cache
from typing import NamedTuple

from tally.lines.plain import (
    BLANK,
    NAME_MAX_BYTES,
    NAMES_CACHED,
    NO_NUMBERS,
    NUMBER,
    VALUE_MAX,
    Reason,
    parse_timestamp,
)

# One sample stands for a thousand million others at most.
RATE_MIN = 1e-9
MEMBER_MAX_BYTES = 255
FLAG = "true"
# A name with its tags, before it is cleaned; which happens once as long as it is one of the last so many.
NAME_MAX_CHARACTERS = 1024

_SAMPLED = ("c", "ms", "h", "d")
_TYPES = (*_SAMPLED, "g", "s")
# Between brackets a name may hold colons.
_NAME = re.compile(r"([^:\[]*(?:\[[^\]|]*\])?[^:]*):")
_PART = re.compile(r"([^|]*)\|([^|:]*)(?:\|[ \t]*@([^|:]*))?")
_WHITE_SPACE = re.compile(r"\s+")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_.-]")
_IN_BRACKETS = re.compile(r"([^\[]*)\[([^\]]*=[^\]]*)\](.*)")
_BEHIND_NAME = re.compile(r"([^,#]*)[,#](.*=.*)")
_DOGSTATSD_SEPARATOR = re.compile(r"[:=]")
_NOT_IN_KEY = re.compile(rf"[;!^={BLANK}]")
_NOT_IN_VALUE = re.compile(rf"^~|[;{BLANK}]")


class Observed(NamedTuple):
    """A sample that stands for `weight` of its kind, 1 and more."""

    value: float
    weight: float


class Gauge(NamedTuple):
    """What a gauge is set to or, where `is_change`, what is added to it."""

    value: float
    is_change: bool


class Measures(NamedTuple):
    """What is measured, by kind: samples, steps of a gauge in their order, members of a set."""

    observed: list[Observed]
    gauges: list[Gauge]
    members: set[str]


class Line(NamedTuple):
    """What stands in a line; `timestamp` is whole unix seconds."""

    name: str
    measures: Measures
    timestamp: int


def parse_line(line: bytes, now: int, max_future_s: int) -> Line | Reason:
    """Return what is measured in a line of UTF-8 in which a `:` stands and then a `|`, or the reason why nothing is.

    `now` is the second of receipt, which a line without timestamp gets.
    """
    name, rest = _name_and_rest(line.decode().strip())
    parts, end = _parts(rest)
    if not parts:
        return Reason.TYPE
    fields = _fields(rest[end:], now, max_future_s)
    if isinstance(fields, Reason):
        return fields
    measures = _measures(parts, fields.rate)
    if isinstance(measures, Reason):
        return measures
    is_short = len(name) + sum(map(len, fields.tags)) <= NAME_MAX_CHARACTERS
    full_name = _full_name(name, fields.tags) if is_short else None
    return Reason.NAME if full_name is None else Line(full_name, measures, fields.timestamp)


def not_a_measure(line: bytes) -> Reason | None:
    """Return what else DogStatsD knows that a line is: an event or a service check."""
    if not line.startswith(b"_"):
        return None
    if line.startswith(b"_e{"):
        return Reason.EVENT
    return Reason.CHECK if line.startswith(b"_sc|") else None


def _name_and_rest(text: str) -> tuple[str, str]:
    if "[" in text and (match := _NAME.match(text)) is not None:
        return match[1], text[match.end() :]
    name, _, rest = text.partition(":")
    return name, rest


def _parts(text: str) -> tuple[list[tuple[str, str, str]], int]:
    """Return values, type and rate of each part, and where the last one ends; none when one has no type."""
    parts: list[tuple[str, str, str]] = []
    at = 0
    while (match := _PART.match(text, at)) is not None:
        parts.append((match[1], match[2].strip(), (match[3] or "").strip()))
        at = match.end()
        if text[at : at + 1] != ":":
            return parts, at
        at += 1
    return [], at


class _Fields(NamedTuple):
    rate: str
    tags: tuple[str, ...]
    timestamp: int


def _fields(text: str, now: int, max_future_s: int) -> _Fields | Reason:
    """Return what stands after the parts, and is true for all of them.

    A field that is not known is left out, as DogStatsD's protocol asks, such as the container that a client runs in. A
    type or a number alone is none: it belongs to another line, or is a rate without its `@`.
    """
    rate, timestamp = "", now
    tags: tuple[str, ...] = ()
    for field in map(str.strip, text.split("|")[1:]):
        if field.startswith("#"):
            tags += (field[1:],)
        elif field.startswith("@"):
            rate = field[1:].strip()
        elif field.startswith("T"):
            found = parse_timestamp(field[1:], now, max_future_s)
            if isinstance(found, Reason):
                return found
            timestamp = found
        elif field in _TYPES or NUMBER.fullmatch(field):
            return Reason.FIELDS
    return _Fields(rate, tags, timestamp)


def _measures(parts: list[tuple[str, str, str]], last_rate: str) -> Measures | Reason:
    measures = Measures([], [], set())
    for values, kind, rate in parts:
        weight = _weight(rate or last_rate)
        if weight is None:
            return Reason.RATE
        # A member may hold colons.
        for value in [values] if kind == "s" else values.split(":"):
            if (reason := _measure(value.strip(), kind, weight, measures)) is not None:
                return reason
    return measures if any(measures) else Reason.EMPTY


def _weight(rate: str) -> float | None:
    if not rate:
        return 1
    if not NUMBER.fullmatch(rate) or not RATE_MIN <= float(rate) <= 1:
        return None
    return 1 / float(rate)


def _measure(text: str, kind: str, weight: float, measures: Measures) -> Reason | None:
    """Put a value among the measures of its kind, unless it is none or there is a reason not to."""
    if kind == "s":
        measures.members.add(text)
        return None if 1 <= len(text.encode()) <= MEMBER_MAX_BYTES else Reason.VALUE
    if kind != "g" and kind not in _SAMPLED:
        return Reason.TYPE
    if not NUMBER.fullmatch(text) or not abs(value := float(text)) <= VALUE_MAX:
        return None if text.lower() in NO_NUMBERS else Reason.VALUE
    if kind == "g":
        measures.gauges.append(Gauge(value, text[0] in "+-"))
    else:
        measures.observed.append(Observed(value, weight))
    return None


@lru_cache(maxsize=NAMES_CACHED)
def _full_name(name: str, tags: tuple[str, ...]) -> str | None:
    """Return a name with its tags as Graphite writes them, sorted, or None when that is no name."""
    base, own = _own_tags(name)
    pairs = {_pair(*tag.partition("=")[::2]) for tag in own if tag}
    pairs |= {_pair(*_split(tag)) for some in tags for tag in some.split(",") if tag}
    clean = cleaned(base)
    full_name = ";".join([clean, *(f"{key}={value}" for key, value in sorted(pairs))])
    is_whole = clean and all(key for key, _ in pairs)
    return full_name if is_whole and len(full_name.encode()) <= NAME_MAX_BYTES else None


def _own_tags(name: str) -> tuple[str, list[str]]:
    """Return a name without the tags that are written into it, and these, each with a `=` unless it is a flag."""
    base, *tags = name.split(";")
    if "=" not in base:
        return base, tags
    if (match := _IN_BRACKETS.fullmatch(base)) is not None:
        return match[1] + match[3], match[2].split(",") + tags
    if (match := _BEHIND_NAME.fullmatch(base)) is not None:
        return match[1], match[2].split(",") + tags
    return base, tags


def _split(tag: str) -> list[str]:
    """Return key and value of a tag of DogStatsD, or a flag alone."""
    return _DOGSTATSD_SEPARATOR.split(tag, maxsplit=1)


def _pair(key: str, value: str = "") -> tuple[str, str]:
    """Return a tag's key and value, with `_` for each character that neither may have in a name."""
    return _NOT_IN_KEY.sub("_", key), _NOT_IN_VALUE.sub("_", value) or FLAG


def cleaned(name: str) -> str:
    """Return a name as statsd cleans it: `_` for white space, `-` for `/`, and only ASCII letters, digits, `_.-`."""
    return _NOT_IN_NAME.sub("", _WHITE_SPACE.sub("_", name).replace("/", "-"))
