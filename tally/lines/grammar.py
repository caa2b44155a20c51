"""What a line is, whichever way it comes: a plain sample, what a StatsD client measured, or why it is neither.

    requests.get.index 0.25 1700000001          plain, see `wire`
    page.views:1|c|@0.1|#env:prod               StatsD or DogStatsD, see `statsd`

A line is StatsD's when a `:` stands in it and somewhere behind that a `|`, unless it has the shape of a plain one: a
name without blanks, and one or two numbers behind it. Such a line is refused. So whoever can choose a name, but not
what is sent with it, cannot choose values: whatever the name, the line is not read as StatsD's.
"""

import re

from tally.lines import plain, statsd
from tally.lines.plain import (
    DATAGRAM_MAX_BYTES,
    NO_NUMBERS,
    NUMBER,
    Reason,
    Sample,
    decode_name,
    parse_timestamp,
    parse_value,
)

# As a number it is found in a tenth of the time.
_BAR = ord("|")
_NO_NUMBERS = frozenset(map(str.encode, NO_NUMBERS))
# What programs print for a number: one that is too large, infinite or none is among them, and one with a decimal comma.
_is_printed_number = re.compile(
    rb"%b(?:,[0-9]+)?|[+-]?(?:nan|inf(?:inity)?)" % NUMBER.pattern.encode(), re.IGNORECASE
).fullmatch


def parse_line(line: bytes, now: int, max_future_s: int) -> Sample | statsd.Line | Reason:
    """Return what stands in a line that is not empty, as `wire.bare` leaves it, or the reason why it is not taken.

    `now` is the second of receipt, to which belongs what has no timestamp.
    """
    if len(line) > DATAGRAM_MAX_BYTES:
        return Reason.LENGTH
    return parse_fields(line, plain.split(line), now, max_future_s)


def parse_fields(line: bytes, fields: list[bytes], now: int, max_future_s: int) -> Sample | statsd.Line | Reason:
    """Return what `parse_line` does, of a line that is split already and not too long."""
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
        return Reason.EMPTY if fields[1][-1] in b"nN" and fields[1].lower() in _NO_NUMBERS else Reason.VALUE
    timestamp = parse_timestamp(fields[2].decode(), now, max_future_s) if len(fields) == 3 else now
    return timestamp if isinstance(timestamp, Reason) else Sample(name, value, timestamp)


def _parse_with_bar(line: bytes, fields: list[bytes], now: int, max_future_s: int) -> statsd.Line | Reason | None:
    """Return what `parse_line` does of a line with a `|`, or None when it is none of StatsD's and DogStatsD's."""
    if _looks_plain(fields):
        return Reason.FIELDS if plain.has_statsd_head(fields[0]) else None
    if (other := statsd.not_a_measure(line)) is not None:
        return other
    return statsd.parse_line(line, now, max_future_s) if plain.has_statsd_head(line) else None


def _is_utf8(data: bytes) -> bool:
    """Return whether bytes are UTF-8; by what is left of them, as an exception takes five times as long."""
    return len(data.decode(errors="ignore").encode()) == len(data)


def _looks_plain(fields: list[bytes]) -> bool:
    return 2 <= len(fields) <= 3 and all(map(_is_printed_number, fields[1:]))
