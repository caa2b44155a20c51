"""What a call of the client is given becomes lines, and lines become datagrams; pure.

What may be a name, a value or a timestamp is judged by `wire`; what becomes of the datagrams is left to the client.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, SupportsFloat, SupportsIndex

from tally.errors import InvalidSample
from tally.lines.plain import check_name, check_timestamp, check_value, stored_name

# A number may be of any type that Python can make a float of: Decimal, Fraction, a scalar of numpy.
Value = SupportsFloat | SupportsIndex | timedelta
Timestamp = SupportsFloat | SupportsIndex | datetime | None
Item = str | tuple[str] | tuple[str, Value] | tuple[str, Value, Timestamp]
Data = str | Iterable[Item]

# What an Ethernet carries in one piece, even through a tunnel.
DATAGRAM_MAX_BYTES = 1432
# Python has each small integer once.
ONE = 1
# So many names are kept encoded.
NAMES = 4096


class Encoder:
    """Makes datagrams of what `Client.tally` takes, with `prefix` before every name."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._counted = lru_cache(NAMES)(partial(_counted, prefix))
        self._head = lru_cache(NAMES)(partial(_head, prefix))

    def datagrams(self, data: Data, value: Value, timestamp: Timestamp) -> Iterable[bytes]:
        """Return the datagrams of one sample or of a list; all are valid before the first is there.

        :raises InvalidSample: when the data, or a name, value or timestamp in it, is not valid.
        """
        if isinstance(data, str):
            if value is ONE and timestamp is None:
                return self._counted(data)
            return (_line(self._head(data), value, timestamp),)
        fields = (_fields(item, value, timestamp) for item in _items(data))
        return pack([_line(self._head(name), number, second) for name, number, second in fields])


def _counted(prefix: str, name: str) -> tuple[bytes]:
    """Return the datagram that counts one: nearly all that is counted is, so it is kept whole."""
    return (_head(prefix, name) + b"1",)


def _head(prefix: str, name: str) -> bytes:
    """Return a line up to its value."""
    return stored_name(prefix + check_name(name)).encode() + b" "


def _line(head: bytes, value: Value, timestamp: Timestamp) -> bytes:
    number = check_value(value)
    line = b"%b%d" % (head, value) if type(value) is int else head + repr(number).encode()
    return line if timestamp is None else b"%b %d" % (line, check_timestamp(timestamp))


def _items(data: Any) -> Iterable[Any]:
    if isinstance(data, (bytes, dict)) or not isinstance(data, Iterable):
        raise InvalidSample(f"data {data!r:.100} is not valid: use a name or a list of names and tuples")
    return data


def _fields(item: Any, value: Value, timestamp: Timestamp) -> tuple[Any, Any, Any]:
    """Return an item's name, value and timestamp, the last two from the call where the item leaves them out."""
    if isinstance(item, str):
        return item, value, timestamp
    if not isinstance(item, (tuple, list)) or not 1 <= len(item) <= 3 or not isinstance(item[0], str):
        raise InvalidSample(
            f"item {item!r:.100} is not valid: use a name, (name,), (name, value) or (name, value, timestamp)"
        )
    return (*item, *(value, timestamp)[len(item) - 1 :])


def pack(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines in their order in datagrams of at most DATAGRAM_MAX_BYTES, as few as that allows."""
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
