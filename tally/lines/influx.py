r"""Parses InfluxDB's line protocol.

    cpu,host=web1,cpu=cpu0 usage_user=12.5,usage_system=3i 1700000000000000000
    ^measurement and tags  ^fields                         ^timestamp, optional

Each field that is a number or a boolean is a sample. Its name is `cpu.usage_user;cpu=cpu0;host=web1`, its value 1 or 0
for a boolean. Fields that are text are not stored, and counted. A line with any other error is rejected whole.

Most lines have no escape and no quote. `rewrite_point` turns them into plain lines with the same samples. A rollup adds
many of these at once, so such a line takes a third of the time that `parse_point` takes.

Pure: bytes and the second of receipt go in, points or the reason for a rejection come out. The reference is
https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/. A text may contain line breaks.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from tally.lines.plain import TIMESTAMP_DIGITS_MAX, Reason, Sample, parse_value
from tally.lines.tags import clean_base, clean_tag, join_tags

# How many of each unit are a second.
PRECISIONS = {
    **dict.fromkeys(("ns", "n"), 10**9),
    **dict.fromkeys(("us", "u", "µ"), 10**6),
    "ms": 1000,
    "s": 1,
    "m": 1 / 60,
    "h": 1 / 3600,
}
NAME_CACHE_SIZE = 2**14
# A longer series or field cannot become a valid name, unless nearly all of it are backslashes.
NAME_MAX_BYTES = 1024
# Each field of a rewritten line has the whole name, so a longer line may need much memory.
SIMPLE_MAX_BYTES = 8192

# Possessive, so that no body takes more than linear time.
_POINT = re.compile(
    rb"""
    ((?: \\[^\n] | [^\\ \n] )++)                                    # measurement and tags
    [ ]++ ((?: ="(?: \\. | [^"\\] )*+" | \\[^\n] | [^\\ \n] )++)    # fields; a text may have spaces and line breaks
    (?: [ ]++ ([^ \n]++) )?+                                        # timestamp
    [ \r]*+ (?= \n | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_PART = re.compile(rb"((?:\\.|[^\\,])++)(?:,|\Z)", re.DOTALL)
_FIELD = re.compile(rb'((?:\\.|[^\\=,])++)=("(?:\\.|[^"\\])*+"|[^",]++)(?:,|\Z)', re.DOTALL)
_TAG = re.compile(rb"((?:\\.|[^\\=])++)=((?:\\.|[^\\=])++)", re.DOTALL)
_SPECIAL = re.compile(rb'^#|[\\"\r]').search
_TIMESTAMP = re.compile(rb"-?[0-9]{1,20}")
_ESCAPED = re.compile(rb'\\([,= "\\])')
_WHOLE = re.compile(rb"-?[0-9]{1,20}i|[0-9]{1,20}u")
# A line that `rewrite_point` may rewrite: series, fields and timestamp. It has no byte order mark.
_is_simple = re.compile(rb'([^# "\\\r\n\xef][^ "\\\r\n]*+) ([^ "\\\r\n]++)(?: ([0-9]{1,20}))?').fullmatch
# Its fields. A number is certainly within the bounds.
_is_simple_field = re.compile(
    rb"([^=]++)=(?:([+-]?[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-5]?[0-9])?)|(-?[0-9]{1,20})i|([0-9]{1,20})u)"
).fullmatch
_BOOLEANS = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), 0.0),
}


class Point(NamedTuple):
    """The samples of a line, and how many of its fields are text."""

    samples: list[Sample]
    texts: int


def split_points(body: bytes) -> Iterator[bytes]:
    """Yield the lines of a body. One with line breaks in a text is one line."""
    if b'"' not in body:
        yield from body.split(b"\n")
        return
    at = 0
    while at <= len(body):
        end = body.find(b"\n", at)
        line = body[at:] if end < 0 else body[at:end]
        if b'"' in line and (found := _POINT.match(body, at)):
            line = found[0]
        yield line
        at += len(line) + 1


def rewrite_point(line: bytes, now: int, *, per_second: float, latest: int) -> bytes | None:
    """Return plain lines with the samples of a line, or None if it is not simple: `parse_point` decides.

    Each has a timestamp, so that their order has no meaning. The parameters are those of `parse_point`.
    """
    found = _is_simple(line)
    if found is None:
        return None
    series, fields, time = found.groups()
    end = _end(now) if time is None else _end_of(time, per_second, latest)
    if end is None or len(line) > SIMPLE_MAX_BYTES:
        return None
    rewritten = []
    for field in fields.split(b","):
        parsed = _is_simple_field(field)
        if parsed is None or len(series) + len(field) > NAME_MAX_BYTES:
            return None
        name = _plain_name(series, parsed[1])
        if name is None:
            return None
        rewritten.append(name + parsed[parsed.lastindex or 0] + end)
    return b"\n".join(rewritten)


@lru_cache(NAME_CACHE_SIZE)
def _plain_name(series: bytes, key: bytes) -> bytes | None:
    """Return the beginning of a plain line, or None if the name is not valid or could be taken for StatsD."""
    name = _name(series, key)
    return None if isinstance(name, Reason) or "|" in name else name.encode() + b" "


@lru_cache(64)
def _end_of(text: bytes, per_second: float, latest: int) -> bytes | None:
    second = _parse_timestamp(text, per_second, latest)
    return None if isinstance(second, Reason) else _end(second)


@lru_cache(64)
def _end(second: int) -> bytes | None:
    text = b" %d" % second
    return text if len(text) <= 1 + TIMESTAMP_DIGITS_MAX else None


def parse_point(line: bytes, now: int, *, per_second: float, latest: int) -> Point | Reason:
    """Parse a line; return the reason if it is rejected. One that is blank or a comment is EMPTY.

    `now` is the second of receipt, the default timestamp. `per_second` is a value of PRECISIONS. A timestamp after
    the second `latest` is in the future.
    """
    parts: Sequence[bytes | None] = line.split(b" ")
    if not 2 <= len(parts) <= 3 or _SPECIAL(line) or not all(parts):
        line = line.strip(b" \r")
        if not line or line.startswith(b"#"):
            return Reason.EMPTY
        found = _POINT.fullmatch(line)
        if found is None:
            return Reason.FIELDS
        parts = found.groups()
    series, fields, time = (*parts, None)[:3]
    assert series is not None
    assert fields is not None
    timestamp = now if time is None else _parse_timestamp(time, per_second, latest)
    return timestamp if isinstance(timestamp, Reason) else _parse_fields(series, fields, timestamp)


# Lines that follow each other often have the same timestamp.
@lru_cache(64)
def _parse_timestamp(text: bytes, per_second: float, latest: int) -> int | Reason:
    if not _TIMESTAMP.fullmatch(text):
        return Reason.TIMESTAMP
    second = int(text) // per_second if per_second >= 1 else int(text) * round(1 / per_second)
    if second < 0:
        return Reason.TIMESTAMP
    return int(second) if second <= latest else Reason.FUTURE


def _parse_fields(series: bytes, text: bytes, timestamp: int) -> Point | Reason:
    samples = []
    texts = 0
    for key, value in _split_fields(text):
        number = _parse_value(value)
        name = _name(series, key) if len(series) + len(key) <= NAME_MAX_BYTES else Reason.NAME
        if isinstance(name, Reason):
            return name
        if number is not None:
            samples.append(Sample(name, number, timestamp))
        elif value.startswith(b'"'):
            texts += 1
        else:
            return Reason.VALUE
    return Point(samples, texts) if samples or texts else Reason.FIELDS


def _split_fields(text: bytes) -> list[tuple[bytes, bytes]]:
    """Return keys and values, or nothing if one is malformed."""
    if b"\\" not in text and b'"' not in text:
        pairs = [part.partition(b"=") for part in text.split(b",")]
        return [(key, value) for key, _, value in pairs] if all(key and value for key, _, value in pairs) else []
    return [(found[1], found[2]) for found in _split(text, _FIELD)]


def _split(text: bytes, part: re.Pattern[bytes]) -> list[re.Match[bytes]]:
    """Return the parts of a text, or nothing unless they are all of it, with a comma between two of them."""
    found: list[re.Match[bytes]] = []
    at = 0
    while at < len(text):
        match = part.match(text, at)
        if match is None:
            return []
        found.append(match)
        at = match.end()
    is_whole = bool(found) and found[-1].end(found[-1].lastindex or 0) == at
    return found if is_whole else []


def _parse_value(text: bytes) -> float | None:
    if (value := parse_value(text)) is not None:
        return value
    return float(text[:-1]) if _WHOLE.fullmatch(text) else _BOOLEANS.get(text)


@lru_cache(NAME_CACHE_SIZE)
def _name(series: bytes, key: bytes) -> str | Reason:
    """Return the name of a field's samples."""
    parts = [found[1] for found in _split(series, _PART)]
    pairs = [_TAG.fullmatch(tag) for tag in parts[1:]]
    if not parts or not all(pairs):
        return Reason.FIELDS
    try:
        base = clean_base(f"{_unescape(parts[0])}.{_unescape(key)}")
        tags_of_name = [clean_tag(_unescape(pair[1]), _unescape(pair[2])) for pair in pairs if pair]
    except UnicodeDecodeError:
        return Reason.ENCODING
    return join_tags(base, tags_of_name) or Reason.NAME


def _unescape(text: bytes) -> str:
    return _ESCAPED.sub(rb"\1", text).decode()
