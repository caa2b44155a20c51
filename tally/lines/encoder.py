"""Encodes the arguments of a client's call as lines, and packs lines into datagrams. Pure.

Names, values and timestamps are validated by `plain`. Sending the datagrams is left to the client.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, SupportsFloat, SupportsIndex

from tally.errors import InvalidSample
from tally.lines.plain import VALUE_MAX, check_name, check_timestamp, check_value, stored_name

# Any type that converts to float, such as Decimal, Fraction and numpy scalars.
Value = SupportsFloat | SupportsIndex | timedelta
Timestamp = SupportsFloat | SupportsIndex | datetime | None
Item = str | tuple[str] | tuple[str, Value] | tuple[str, Value, Timestamp]
Data = str | Iterable[Item]

# Fits into one Ethernet frame, even through a tunnel.
DATAGRAM_MAX_BYTES = 1432
# Python has a single object for each small integer.
ONE = 1
# Their `repr` is the text of a value, which %a writes.
_NUMBERS = (float, int)
# The size of the caches of encoded names.
NAMES = 4096


class Encoder:
    """Encodes the arguments of `Client.tally` as datagrams, with `prefix` before every name."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._datagram_of_one = lru_cache(NAMES)(partial(_datagram_of_one, prefix))
        self._head = lru_cache(NAMES)(partial(_head, prefix))

    def datagrams(self, data: Data, value: Value, timestamp: Timestamp) -> Iterable[bytes]:
        """Return the datagrams of one sample or of a list. All are validated before the first is returned.

        :raises InvalidSample: when the data, or a name, value or timestamp in it, is not valid.
        """
        if isinstance(data, str):
            if value is ONE and timestamp is None:
                return self._datagram_of_one(data)
            return (_line(self._head(data), value, timestamp),)
        fields = (_unpack_item(item, value, timestamp) for item in _check_items(data))
        return pack([_line(self._head(name), number, second) for name, number, second in fields])


def _datagram_of_one(prefix: str, name: str) -> tuple[bytes]:
    """Return the datagram for the value 1. This is the most frequent value, so the whole datagram is cached."""
    return (_head(prefix, name) + b"1",)


def _head(prefix: str, name: str) -> bytes:
    """Return the part of a line before its value."""
    return stored_name(prefix + check_name(name)).encode() + b" "


def _line(head: bytes, value: Value, timestamp: Timestamp) -> bytes:
    if type(value) not in _NUMBERS or not -VALUE_MAX <= value <= VALUE_MAX:  # type: ignore[operator]
        value = check_value(value)
    if timestamp is None:
        return b"%b%a" % (head, value)
    return b"%b%a %d" % (head, value, check_timestamp(timestamp))


def _check_items(data: Any) -> Iterable[Any]:
    if isinstance(data, (bytes, dict)) or not isinstance(data, Iterable):
        raise InvalidSample(f"data {data!r:.100} is not valid: use a name or a list of names and tuples")
    return data


def _unpack_item(item: Any, value: Value, timestamp: Timestamp) -> tuple[Any, Any, Any]:
    """Return name, value and timestamp of an item; the call provides what it leaves out."""
    if isinstance(item, str):
        return item, value, timestamp
    if not isinstance(item, (tuple, list)) or not 1 <= len(item) <= 3 or not isinstance(item[0], str):
        raise InvalidSample(
            f"item {item!r:.100} is not valid: use a name, (name,), (name, value) or (name, value, timestamp)"
        )
    return (*item, *(value, timestamp)[len(item) - 1 :])


def pack(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Pack lines in order into as few datagrams of at most DATAGRAM_MAX_BYTES as possible."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and size + len(line) > DATAGRAM_MAX_BYTES:
            yield b"\n".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    if batch:
        yield b"\n".join(batch)
