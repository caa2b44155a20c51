"""The wire format of Protocol Buffers."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.errors import InvalidSample
from tally.lines.protobuf import as_bytes, as_double, as_int64, read_fields
from tests.lines.messages import field

numbers = st.integers(1, 2**29 - 1)


@given(st.lists(st.tuples(numbers, st.integers(-(2**63), 2**63 - 1) | st.floats() | st.binary(max_size=300))))
def test_what_is_written_is_read(fields: list[tuple[int, int | float | bytes]]) -> None:
    """Numbers, types and values of fields return as they were."""
    found = list(read_fields(b"".join(field(*each) for each in fields)))
    assert [number for number, _ in fields] == [number for number, _ in found]
    for (_, expected), (_, value) in zip(fields, found, strict=True):
        if isinstance(expected, bytes):
            assert expected == as_bytes(value)
        elif isinstance(expected, int):
            assert expected == as_int64(value)
        else:
            assert expected == as_double(value) or math.isnan(expected)


@given(st.binary(max_size=100))
def test_any_bytes_are_fields_or_an_error(message: bytes) -> None:
    """Bytes that are not a message raise the one error."""
    with suppress(InvalidSample):
        assert all(isinstance(value, int | bytes) for _, value in read_fields(message))


@pytest.mark.parametrize(
    "message",
    [b"\x08", b"\x08" + b"\xff" * 10, b"\x0a\x02a", b"\x09" + b"0" * 7, b"\x0d123", b"\x0b", b"\x0c", b"\x0f"],
)
def test_a_message_that_is_not_complete_is_an_error(message: bytes) -> None:
    """Truncated values, varints of more than ten bytes and unknown types are told."""
    with pytest.raises(InvalidSample, match="truncated or malformed at byte"):
        list(read_fields(message))


def test_a_field_has_its_type() -> None:
    """A value of another type is an error."""
    for read, value in ((as_bytes, 1), (as_int64, b""), (as_double, 1), (as_double, b"1234567")):
        with pytest.raises(InvalidSample, match="another type"):
            read(value)
