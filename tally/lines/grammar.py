"""Parses a line of either format, as a plain sample or a StatsD line.

    requests.get.index 0.25 1700000001          plain, see `plain`
    page.views:1|c|@0.1|#env:prod               StatsD or DogStatsD, see `statsd`

A line with a `:` followed by a `|` is StatsD, unless it has the form of a plain line: a name without white space and
one or two numbers. Such a line is rejected. So a client that puts untrusted text into a name cannot be made to send
another value: with any name, its plain lines are never parsed as StatsD.
"""

import re

from tally.lines import plain, statsd
from tally.lines.plain import (
    DATAGRAM_MAX_BYTES,
    NAN_WORDS,
    NUMBER,
    Reason,
    Sample,
    decode_name,
    parse_timestamp,
    parse_value,
)

# Searching for an int takes a tenth of the time.
_BAR = ord("|")
_NAN_WORDS = frozenset(map(str.encode, NAN_WORDS))
# Anything that programs print for a number, including infinite ones, NaN, and ones with a decimal comma.
_is_printed_number = re.compile(
    rb"%b(?:,[0-9]+)?|[+-]?(?:nan|inf(?:inity)?)" % NUMBER.pattern.encode(), re.IGNORECASE
).fullmatch


def parse_line(line: bytes, now: int, max_future_s: int) -> Sample | statsd.Line | Reason:
    """Parse a line that is not empty, as returned by `plain.bare`; return the reason if it is rejected.

    `now` is the second of receipt, the default timestamp.
    """
    if len(line) > DATAGRAM_MAX_BYTES:
        return Reason.LENGTH
    return parse_fields(line, plain.split(line), now, max_future_s)


def parse_fields(line: bytes, fields: list[bytes], now: int, max_future_s: int) -> Sample | statsd.Line | Reason:
    """Parse a line that is already split and not too long, as `parse_line`."""
    if not line.isascii() and not _is_utf8(line):
        return Reason.ENCODING
    if _BAR in line and (found := _parse_with_bar(line, fields, now, max_future_s)) is not None:
        return found
    if not 2 <= len(fields) <= 3:
        return Reason.FIELDS
    name = decode_name(fields[0])
    if name is None:
        return Reason.NAME
    value = parse_value(fields[1])
    if value is None:
        return Reason.EMPTY if fields[1][-1] in b"nN" and fields[1].lower() in _NAN_WORDS else Reason.VALUE
    timestamp = parse_timestamp(fields[2].decode(), now, max_future_s) if len(fields) == 3 else now
    return timestamp if isinstance(timestamp, Reason) else Sample(name, value, timestamp)


def _parse_with_bar(line: bytes, fields: list[bytes], now: int, max_future_s: int) -> statsd.Line | Reason | None:
    """Parse a line with a `|`, as `parse_line`, or return None if it is neither StatsD nor DogStatsD."""
    if _looks_plain(fields):
        return Reason.FIELDS if plain.has_statsd_head(fields[0]) else None
    if (other := statsd.find_unsupported(line)) is not None:
        return other
    return statsd.parse_line(line, now, max_future_s) if plain.has_statsd_head(line) else None


def _is_utf8(data: bytes) -> bool:
    """Return whether bytes are UTF-8. An exception would take five times as long as comparing lengths."""
    return len(data.decode(errors="ignore").encode()) == len(data)


def _looks_plain(fields: list[bytes]) -> bool:
    return 2 <= len(fields) <= 3 and all(map(_is_printed_number, fields[1:]))
