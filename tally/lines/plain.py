"""Parses plain lines, one at a time or, if all have the same form, many at once.

    requests.get.index 0.25 1700000001
    ^name              ^value ^timestamp, optional

Pure: bytes and the second of receipt go in, samples or the reason for a rejection come out. `grammar` decides which
lines are plain. Fields are separated by spaces or tabs, lines by LF. A CR at the end of a line and a byte order mark at
its start are ignored.

A name may have tags, `page.load;env=prod;host=web1`. It is stored with sorted tags.
"""

import math
import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from tally.errors import InvalidSample
from tally.lines.conversion import to_number, to_unix_seconds

NAME_MAX_BYTES = 255
VALUE_MAX = 1e100
# Timestamps are smaller, so that calculations with buckets stay within SQLite's 64-bit integers.
TIMESTAMP_END = 2**60
DATAGRAM_MAX_BYTES = 65_507
# A timestamp with at most this many digits is less than TIMESTAMP_END.
TIMESTAMP_DIGITS_MAX = 15
# The number of names with tags whose sorted form is cached.
NAME_CACHE_SIZE = 4096
BYTE_ORDER_MARK = "\ufeff"
# The most bytes that are parsed at once. Parsing takes about 50 times as much memory.
PARSE_MAX_BYTES = 2**20

# Without backtracking, rejecting an invalid number takes 0.2 µs instead of 0.5.
NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
# Values that mean "no measurement", in lower case.
NAN_WORDS = frozenset(("nan", "+nan", "-nan"))
_is_number = re.compile(NUMBER.pattern.encode()).fullmatch
_DECIMAL_SECONDS = re.compile(r"0*([0-9]{1,15})\.[0-9]*")
# White space and control characters. A character class such as `\s` takes twice as long.
BLANK = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_BLANK = re.compile(f"[{BLANK}]")
_MARK_BYTES = BYTE_ORDER_MARK.encode()
# The bytes of a field: no white space and no ASCII control characters.
_FIELD_BYTES = bytes(byte for byte in range(256) if byte > 0x20 and byte != 0x7F)
# The bytes of simple names, which are stored unchanged.
_SIMPLE_NAME_BYTES = bytes(byte for byte in range(0x21, 0x7F) if byte not in b";|")
# Replaces the other characters at which `bytes.split` would separate fields.
_BLANKS_TO_NUL = bytes.maketrans(b"\n\v\f\r", b"\0\0\0\0")
_NUMBER_BYTES = b"0123456789.+-eE"
_DIGITS = b"0123456789"


class Reason(StrEnum):
    """Why a line is rejected. A line that is EMPTY has no measurement and is not a loss."""

    EMPTY = "empty"
    ENCODING = "encoding"
    FIELDS = "fields"
    NAME = "name"
    VALUE = "value"
    TIMESTAMP = "timestamp"
    FUTURE = "future"
    CARDINALITY = "cardinality"
    # Only of StatsD lines.
    TYPE = "type"
    RATE = "rate"
    EVENT = "event"
    CHECK = "check"
    # Only of lines in a stream.
    LENGTH = "length"
    CUT = "cut"
    # Only of frames of Carbon's pickle protocol.
    PICKLE = "pickle"
    # Only of fields and samples in other formats than lines.
    UNSUPPORTED = "unsupported"
    # Only of counters.
    REPEATED = "repeated"
    # Only of accepted samples that match no enabled archive.
    UNMATCHED = "unmatched"


EXPLANATIONS: dict[str, str] = {
    Reason.ENCODING: "not valid UTF-8",
    Reason.FIELDS: "not a name, a value and an optional timestamp",
    Reason.NAME: f"the name is longer than {NAME_MAX_BYTES} bytes, or contains white space or control characters",
    Reason.VALUE: "the value is not a number from -1e100 to 1e100",
    Reason.TIMESTAMP: "the timestamp is not in unix seconds",
    Reason.FUTURE: "the timestamp is further in the future than TALLY_MAX_FUTURE",
    Reason.CARDINALITY: "too many names, gauges or members of sets",
    Reason.TYPE: "unknown StatsD type",
    Reason.RATE: "the StatsD sample rate is not from 0.000000001 to 1",
    Reason.EVENT: "events are not supported",
    Reason.CHECK: "service checks are not supported",
    Reason.LENGTH: "longer than a datagram",
    Reason.CUT: "the connection was closed before the end of the line",
    Reason.PICKLE: "not a pickle of a list of samples",
    Reason.UNSUPPORTED: "a text instead of a number, or a native histogram of Prometheus",
    Reason.REPEATED: "a counter's value for a time that was counted before",
    Reason.UNMATCHED: "no enabled archive has a matching pattern",
}


class Sample(NamedTuple):
    """One measurement; `timestamp` is whole unix seconds."""

    name: str
    value: float
    timestamp: int


class Columns(NamedTuple):
    """The fields of plain lines as columns; `timestamps` is empty if no line has one."""

    names: list[bytes]
    values: list[float]
    timestamps: list[int]


def check_name(name: object) -> str:
    """Return `name` if it is a valid name of a metric.

    :raises InvalidSample: when it is not 1 to 255 bytes of text without white space or control characters, or has a `|`
        after a `:`, like StatsD lines.
    """
    if not isinstance(name, str) or not _is_name(name):
        raise InvalidSample(
            f"name {name!r:.100} is not valid: "
            f"use 1 to {NAME_MAX_BYTES} bytes without white space or control characters, and no | after a :"
        )
    return name


def check_value(value: object) -> float:
    """Return a real number of any type, or the seconds of a timedelta, as a float. NaN means no measurement.

    :raises InvalidSample: when it is neither, or its magnitude is more than 1e100.
    """
    number = value if isinstance(value, int | float) else to_number(value)
    if number is None or not (-VALUE_MAX <= number <= VALUE_MAX or number != number):
        raise InvalidSample(f"value {value!r:.100} is not valid: use a number, at most {VALUE_MAX:g} in magnitude")
    return float(number)


def check_timestamp(timestamp: object) -> int:
    """Return a number of unix seconds, or a datetime (a naive one is in local time), in whole unix seconds, floored.

    :raises InvalidSample: when it is neither, or not at least 0 and less than TIMESTAMP_END.
    """
    if type(timestamp) is int and 0 <= timestamp < TIMESTAMP_END:
        return timestamp  # Nearly all are like this.
    seconds = timestamp if type(timestamp) in (int, float) else to_unix_seconds(timestamp)
    if not isinstance(seconds, int | float) or not 0 <= seconds < TIMESTAMP_END:
        raise InvalidSample(f"timestamp {timestamp!r:.100} is not valid: use unix seconds or a datetime, from 1970 on")
    return math.floor(seconds)


def _is_name(name: str) -> bool:
    if "|" in name and has_statsd_head(name.encode(errors="replace")):
        return False
    if name.isascii() and name.isprintable() and " " not in name:
        return 0 < len(name) <= NAME_MAX_BYTES  # Nearly all are like this.
    if _BLANK.search(name) or not name:
        return False
    try:
        return len(name.encode()) <= NAME_MAX_BYTES
    except UnicodeEncodeError:  # A lone surrogate is not valid text.
        return False


def has_statsd_head(text: bytes) -> bool:
    """Return whether a line or name has a `:` followed by a `|`, like StatsD lines."""
    colon = text.find(b":")
    return colon >= 0 and text.find(b"|", colon) >= 0


def stored_name(name: object) -> str:
    """Return `name` as it is stored, if it is valid.

    :raises InvalidSample: as `check_name`.
    """
    text = check_name(name)
    stored = canonical(text)
    return stored if stored is text else check_name(stored)


def canonical(name: str) -> str:
    """Return a name as it is stored: without leading byte order marks, with sorted and unique tags."""
    if name.startswith(BYTE_ORDER_MARK):
        name = name.lstrip(BYTE_ORDER_MARK)
    return _with_sorted_tags(name) if ";" in name else name


@lru_cache(NAME_CACHE_SIZE)
def _with_sorted_tags(name: str) -> str:
    base, *tags = name.split(";")
    if not base:
        return name
    return ";".join([base, *map("".join, sorted({tag.partition("=") for tag in tags if tag}))])


def decode_name(name: bytes) -> str | None:
    """Decode a name and return it as it is stored, or None if it is not valid."""
    if name.isascii():
        text = name.decode()
        if text.isprintable() and " " not in text and ";" not in text and "|" not in text:
            return text if 0 < len(text) <= NAME_MAX_BYTES else None  # Nearly all are like this.
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return None
    return stored if _is_name(text) and _is_name(stored := canonical(text)) else None


def decode_names(names: list[bytes]) -> list[str] | None:
    """Decode several names like `decode_name`, or return None if one is not valid."""
    if not b"".join(names).translate(None, _SIMPLE_NAME_BYTES) and max(map(len, names)) <= NAME_MAX_BYTES:
        return b" ".join(names).decode().split(" ")  # Ten times as fast.
    found: list[str] = []
    for name in names:
        text = decode_name(name)
        if text is None:
            return None
        found.append(text)
    return found


def split(line: bytes) -> list[bytes]:
    """Split a line into fields, at spaces and tabs only."""
    return line.translate(_BLANKS_TO_NUL).split()


def parse_value(text: bytes) -> float | None:
    """Parse a value, or return None if it is not a decimal number within the bounds."""
    return value if _is_number(text) and abs(value := float(text)) <= VALUE_MAX else None


def parse_timestamp(text: str, now: int, max_future_s: int) -> int | Reason:
    """Return `text` as whole unix seconds, or the reason if it is not valid. The text `-1` stands for `now`."""
    if len(text) <= TIMESTAMP_DIGITS_MAX and text.isascii() and text.isdigit():  # Nearly all are like this.
        return second if (second := int(text)) <= now + max_future_s else Reason.FUTURE
    if not NUMBER.fullmatch(text):
        return Reason.TIMESTAMP
    number = float(text)
    if number == -1:
        return now
    if number < 0:
        return Reason.TIMESTAMP
    latest = min(now + max_future_s, TIMESTAMP_END - 1)
    # As a float, the end of the last second may round up to the next one.
    return Reason.FUTURE if number > latest + 1 or (second := _floor(text, number)) > latest else second


def _floor(text: str, number: float) -> int:
    """Return the whole seconds of a decimal number. Those of `number` may be rounded up."""
    decimal = _DECIMAL_SECONDS.fullmatch(text)
    return int(decimal[1]) if decimal else math.floor(number)


def lines(datagram: bytes) -> list[bytes]:
    """Return the lines of a datagram that are not empty, each as by `bare`."""
    found = datagram.split(b"\n")
    has_others = b"\r" in datagram or _MARK_BYTES in datagram
    return list(filter(None, map(bare, found) if has_others else found))


def bare(line: bytes) -> bytes:
    """Return a line without a CR at its end and a byte order mark at its start."""
    return line.removesuffix(b"\r").removeprefix(_MARK_BYTES)


def parse_columns(datagrams: Iterable[bytes]) -> Columns | None:
    """Return the fields of all lines if each has two, or each has three, simply separated; else None.

    A dozen calls parse all lines together, at about 0.3 µs a line instead of 1.5. Names and timestamps in the future
    are not checked. None does not mean that a line is invalid: `grammar` decides.
    """
    data = b"\n".join(datagrams)
    columns = _parse_simple(data)
    if columns is None and (normal := _normalize(data)) != data:
        return _parse_simple(normal)
    return columns


def _parse_simple(data: bytes) -> Columns | None:
    """Return the fields of lines with one space between fields and one LF between lines; else None."""
    if len(data) > PARSE_MAX_BYTES:
        return None
    separators = data.translate(None, _FIELD_BYTES)
    fields = data.split()
    for width in (2, 3):
        line_end = b" " * (width - 1)
        count = len(fields) // width
        if len(fields) == width * count > 0 and separators == (line_end + b"\n") * (count - 1) + line_end:
            return _columns(fields, width)
    return None


def _normalize(data: bytes) -> bytes:
    """Return the same lines with spaces instead of tabs, without CRs and without empty lines."""
    return data.replace(b"\t", b" ").replace(b"\r\n", b"\n").removesuffix(b"\r").replace(b"\n\n", b"\n").strip(b"\n")


def _columns(fields: list[bytes], width: int) -> Columns | None:
    numbers, times = fields[1::width], fields[2::width] if width == 3 else []
    if (
        _remove_bytes(numbers, _NUMBER_BYTES)
        or _remove_bytes(times, _DIGITS)
        or any(len(time) > TIMESTAMP_DIGITS_MAX for time in times)
    ):
        return None
    try:
        values = list(map(float, numbers))
    except ValueError:
        return None
    if max(values) > VALUE_MAX or min(values) < -VALUE_MAX:
        return None
    return Columns(fields[::width], values, list(map(int, times)))


def _remove_bytes(fields: list[bytes], allowed: bytes) -> bytes:
    return b"".join(fields).translate(None, allowed)
