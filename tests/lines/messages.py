"""Writes messages in the wire format of Protocol Buffers, and those of Prometheus remote write."""

import struct
from collections.abc import Iterable, Mapping

Samples = Iterable[tuple[float, int]]


def varint(value: int) -> bytes:
    """Encode a whole number; a negative one is an int64."""
    value %= 1 << 64
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def field(number: int, value: int | float | bytes | str) -> bytes:
    """Encode a field by the type of its value."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def series(labels: Mapping[str, str] | bytes, samples: Samples, *, histograms: int = 0) -> bytes:
    """Encode a series as a field of a WriteRequest; times are in milliseconds."""
    encoded = labels if isinstance(labels, bytes) else b"".join(
        field(1, field(1, name) + field(2, value)) for name, value in labels.items()
    )  # fmt: skip
    encoded += b"".join(field(2, field(1, float(value)) + field(2, time)) for value, time in samples)
    return field(1, encoded + field(4, b"") * histograms)


def described(family: str, kind: int) -> bytes:
    """Encode the description of a metric as a field of a WriteRequest."""
    return field(3, field(1, kind) + field(2, family) + field(4, "Help.") + field(5, "seconds"))
