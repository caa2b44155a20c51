"""Reads messages in the wire format of Protocol Buffers: https://protobuf.dev/programming-guides/encoding/.

A message is a sequence of fields, each a number, a type and a value. Values are whole numbers, or bytes. What these
mean is left to the modules of the formats.
"""

import struct
from collections.abc import Iterator

from tally.errors import InvalidSample

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}
_VARINT_MAX_BYTES = 10
_DOUBLE = struct.Struct("<d")
_INT64_END, _UINT64_END = 1 << 63, 1 << 64


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field: an int for a varint, else bytes.

    :raises InvalidSample: when the message is truncated, or is not of this format.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = read_varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = read_varint(message, at)
            yield key >> 3, value
            continue
        size = _SIZES.get(kind)
        if kind == BYTES:
            size, at = read_varint(message, at)
        if size is None or at + size > end:
            raise InvalidSample(f"the message is truncated or malformed at byte {at}: send Protocol Buffers")
        yield key >> 3, message[at : at + size]
        at += size


def as_bytes(value: int | bytes, size: int | None = None) -> bytes:
    """Return the value of a field with bytes, exactly `size` of them if that is given.

    :raises InvalidSample: when it is of another type or size.
    """
    if isinstance(value, int) or (size is not None and len(value) != size):
        raise InvalidSample("the message has a field of another type: send the messages of the protocol")
    return value


def as_int64(value: int | bytes) -> int:
    """Return the value of a field of the type int64.

    :raises InvalidSample: when it is of another type.
    """
    if not isinstance(value, int):
        raise InvalidSample("the message has a field of another type: send the messages of the protocol")
    value %= _UINT64_END
    return value - _UINT64_END if value >= _INT64_END else value


def as_double(value: int | bytes) -> float:
    """Return the value of a field of the type double.

    :raises InvalidSample: when it is of another type.
    """
    return float(_DOUBLE.unpack(as_bytes(value, _DOUBLE.size))[0])


def write_varint(number: int) -> bytes:
    """Return a whole number as a varint."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a varint and the position after it.

    :raises InvalidSample: when it is truncated, or longer than ten bytes.
    """
    value = shift = 0
    for byte in message[at : at + _VARINT_MAX_BYTES]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise InvalidSample(f"the message is truncated or malformed at byte {at}: send Protocol Buffers")
