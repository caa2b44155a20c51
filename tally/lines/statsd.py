"""Parses StatsD and DogStatsD lines.

    page.time:320:280|ms|@0.5|#env:prod,beta        page.views:1|c:2|c|@0.1        queue:+3|g        users:ada|s
    ^name     ^values ^type ^rate ^tags             ^name      ^part ^part

Pure: bytes go in, measures or the reason for a rejection come out. `grammar` decides which lines are StatsD. The state
of gauges and sets is left to `rollup`. The format is that of statsd 0.10 and DogStatsD 1.4.

Tags in any of these forms become part of the name, in Graphite's form:

    page;env=prod:1|c        Graphite        page:1|c|#env:prod      DogStatsD
    page,env=prod:1|c        InfluxDB        page[env=prod]:1|c      SignalFx
    page#env=prod:1|c        Librato
"""

import re
from functools import lru_cache
from typing import NamedTuple

from tally.lines.plain import NAME_CACHE_SIZE, NAN_WORDS, NUMBER, VALUE_MAX, Reason, parse_timestamp
from tally.lines.tags import clean_tag, join_tags

# A sample stands for at most a billion samples.
RATE_MIN = 1e-9
MEMBER_MAX_BYTES = 255
# The limit for a name with its tags before cleaning.
NAME_MAX_CHARACTERS = 1024

_SAMPLED = ("c", "ms", "h", "d")
_TYPES = (*_SAMPLED, "g", "s")
# In brackets, a name may contain colons.
_NAME = re.compile(r"([^:\[]*(?:\[[^\]|]*\])?[^:]*):")
_PART = re.compile(r"([^|]*)\|([^|:]*)(?:\|[ \t]*@([^|:]*))?")
_WHITE_SPACE = re.compile(r"\s+")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_.-]")
_IN_BRACKETS = re.compile(r"([^\[]*)\[([^\]]*=[^\]]*)\](.*)")
_BEHIND_NAME = re.compile(r"([^,#]*)[,#](.*=.*)")
_DOGSTATSD_SEPARATOR = re.compile(r"[:=]")


class Observed(NamedTuple):
    """A sample that stands for `weight` samples, at least 1."""

    value: float
    weight: float


class Gauge(NamedTuple):
    """The new value of a gauge or, with `is_change`, the amount to add."""

    value: float
    is_change: bool


class Measures(NamedTuple):
    """The measurements of a line by kind: samples, changes of a gauge in order, members of a set."""

    observed: list[Observed]
    gauges: list[Gauge]
    members: set[str]


class Line(NamedTuple):
    """A parsed line; `timestamp` is whole unix seconds."""

    name: str
    measures: Measures
    timestamp: int


def parse_line(line: bytes, now: int, max_future_s: int) -> Line | Reason:
    """Parse a line of UTF-8 with a `:` followed by a `|`; return the reason if it is rejected.

    `now` is the second of receipt, the default timestamp.
    """
    name, rest = _split_name(line.decode().strip())
    parts, end = _parse_parts(rest)
    if not parts:
        return Reason.TYPE
    fields = _parse_fields(rest[end:], now, max_future_s)
    if isinstance(fields, Reason):
        return fields
    measures = _parse_measures(parts, fields.rate)
    if isinstance(measures, Reason):
        return measures
    is_short = len(name) + sum(map(len, fields.tags)) <= NAME_MAX_CHARACTERS
    full_name = _join_all(name, fields.tags) if is_short else None
    return Reason.NAME if full_name is None else Line(full_name, measures, fields.timestamp)


def find_unsupported(line: bytes) -> Reason | None:
    """Return the reason if a line is an event or a service check of DogStatsD."""
    if not line.startswith(b"_"):
        return None
    if line.startswith(b"_e{"):
        return Reason.EVENT
    return Reason.CHECK if line.startswith(b"_sc|") else None


def _split_name(text: str) -> tuple[str, str]:
    if "[" in text and (match := _NAME.match(text)) is not None:
        return match[1], text[match.end() :]
    name, _, rest = text.partition(":")
    return name, rest


def _parse_parts(text: str) -> tuple[list[tuple[str, str, str]], int]:
    """Return values, type and rate of each part, and the end of the last one; no parts if one has no type."""
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


def _parse_fields(text: str, now: int, max_future_s: int) -> _Fields | Reason:
    """Parse the fields after the parts, which apply to all of them.

    Unknown fields are ignored, as the DogStatsD protocol requires. A type or a number alone is rejected: it may belong
    to another line, or be a rate without its `@`.
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


def _parse_measures(parts: list[tuple[str, str, str]], last_rate: str) -> Measures | Reason:
    measures = Measures([], [], set())
    for values, kind, rate in parts:
        weight = _parse_rate(rate or last_rate)
        if weight is None:
            return Reason.RATE
        # The member of a set may contain colons.
        for value in [values] if kind == "s" else values.split(":"):
            if (reason := _add_measure(value.strip(), kind, weight, measures)) is not None:
                return reason
    return measures if any(measures) else Reason.EMPTY


def _parse_rate(rate: str) -> float | None:
    if not rate:
        return 1
    if not NUMBER.fullmatch(rate) or not RATE_MIN <= float(rate) <= 1:
        return None
    return 1 / float(rate)


def _add_measure(text: str, kind: str, weight: float, measures: Measures) -> Reason | None:
    """Add a value to the measures, ignore NaN, or return the reason if it is rejected."""
    if kind == "s":
        measures.members.add(text)
        return None if 1 <= len(text.encode()) <= MEMBER_MAX_BYTES else Reason.VALUE
    if kind != "g" and kind not in _SAMPLED:
        return Reason.TYPE
    if not NUMBER.fullmatch(text) or not abs(value := float(text)) <= VALUE_MAX:
        return None if text.lower() in NAN_WORDS else Reason.VALUE
    if kind == "g":
        measures.gauges.append(Gauge(value, text[0] in "+-"))
    else:
        measures.observed.append(Observed(value, weight))
    return None


@lru_cache(maxsize=NAME_CACHE_SIZE)
def _join_all(name: str, tags: tuple[str, ...]) -> str | None:
    """Return a name with sorted tags in Graphite's form, or None if it is not valid."""
    base, own = _split_tags(name)
    pairs = [clean_tag(*tag.partition("=")[::2]) for tag in own if tag]
    pairs += [clean_tag(*_split(tag)) for some in tags for tag in some.split(",") if tag]
    return join_tags(clean_name(base), pairs)


def _split_tags(name: str) -> tuple[str, list[str]]:
    """Split a name from the tags written into it; each has a `=` unless it is a flag."""
    base, *tags = name.split(";")
    if "=" not in base:
        return base, tags
    if (match := _IN_BRACKETS.fullmatch(base)) is not None:
        return match[1] + match[3], match[2].split(",") + tags
    if (match := _BEHIND_NAME.fullmatch(base)) is not None:
        return match[1], match[2].split(",") + tags
    return base, tags


def _split(tag: str) -> list[str]:
    """Return key and value of a DogStatsD tag, or a flag alone."""
    return _DOGSTATSD_SEPARATOR.split(tag, maxsplit=1)


def clean_name(name: str) -> str:
    """Clean a name like statsd: `_` for white space, `-` for `/`, and only ASCII letters, digits and `_.-`."""
    return _NOT_IN_NAME.sub("", _WHITE_SPACE.sub("_", name).replace("/", "-"))
