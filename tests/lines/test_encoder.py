"""From what `Client.tally` takes to the bytes of datagrams."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tally.errors import InvalidSample
from tally.lines.encoder import DATAGRAM_MAX_BYTES, Encoder, pack
from tally.lines.grammar import parse_line
from tally.lines.plain import Sample, stored_name

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=60)
VALUES = st.integers(-(10**100), 10**100) | st.floats(-1e100, 1e100)

GOOD: list[tuple[tuple[Any, ...], list[bytes]]] = [
    (("a.b",), [b"a.b 1"]),
    (("a.b", 2), [b"a.b 2"]),
    (("a.b", 0.25), [b"a.b 0.25"]),
    (("a.b", -0.5, 1700000001), [b"a.b -0.5 1700000001"]),
    (("a.b", True), [b"a.b 1.0"]),
    (("a.b", 1, 0), [b"a.b 1 0"]),
    (("é",), ["é 1".encode()]),
    ((["a"],), [b"a 1"]),
    (((),), []),
    ((["a", "b"], 2, 7), [b"a 2 7", b"b 2 7"]),
    (([("a",), ("b", 3), ("c", 4, 5)],), [b"a 1", b"b 3", b"c 4 5"]),
    (([("a",), ("b", 3), ("c", 4, 5), ("d", 6, None)], 8, 9), [b"a 8 9", b"b 3 9", b"c 4 5", b"d 6"]),
    (([["a", 3]],), [b"a 3"]),
    ((("a", "b"),), [b"a 1", b"b 1"]),
    ((iter(["a", "b"]),), [b"a 1", b"b 1"]),
    (("a", 1, 1700000001.9), [b"a 1 1700000001"]),
    (("a", 1, datetime(2023, 11, 14, 22, 13, 21, 900_000, tzinfo=UTC)), [b"a 1 1700000001"]),
    (("a", 1, datetime(2023, 11, 15, 0, 13, 21, tzinfo=timezone(timedelta(hours=2)))), [b"a 1 1700000001"]),
    (("a", 1, datetime.fromtimestamp(1700000001)), [b"a 1 1700000001"]),
    (("a", 10**100), [b"a 1" + b"0" * 100]),
    (("a", -1e100), [b"a -1e+100"]),
    (("a", 1, 2**60 - 1), [b"a 1 1152921504606846975"]),
    (("a", float("nan")), [b"a nan"]),
    (("a", Decimal("0.1")), [b"a 0.1"]),
    (("a", Fraction(1, 4)), [b"a 0.25"]),
    (("a", timedelta(milliseconds=250)), [b"a 0.25"]),
    (("a", numpy.float32(0.5), numpy.int64(1700000001)), [b"a 0.5 1700000001"]),
    (([("a", numpy.int64(3), numpy.datetime64("2023-11-14T22:13:21"))],), [b"a 3.0 1700000001"]),
]

BAD: list[tuple[tuple[Any, ...], str]] = [
    (("",), "name ''"),
    (("a b",), "name 'a b'"),
    (("a\n",), r"name 'a\n'"),
    (("a" * 256,), "name 'aaa"),
    (("\ud800",), "name"),
    (("a", "1"), "value '1'"),
    (("a", None), "value None"),
    (("a", float("inf")), "value inf"),
    (("a", 2 * 10**100), "value 2000"),
    (("a", Decimal("1e101")), "value Decimal('1E+101')"),
    (("a", 1, timedelta(1)), "timestamp datetime.timedelta"),
    (("a", -(10**400)), "value -1000"),
    (("a", 1, -1), "timestamp -1"),
    (("a", 1, 2**60), "timestamp 1152921504606846976"),
    (("a", 1, float("nan")), "timestamp nan"),
    (("a", 1, True), "timestamp True"),
    (("a", 1, "1700000001"), "timestamp '1700000001'"),
    (("a", 1, date(2023, 11, 14)), "timestamp datetime.date(2023, 11, 14)"),
    (("a", 1, datetime(1969, 12, 31, tzinfo=UTC)), "timestamp"),
    (("a", 1, datetime.min), "timestamp"),
    ((None,), "data None"),
    ((b"a",), "data b'a'"),
    (({"a": 1},), "data {'a': 1}"),
    ((["a", ()],), "item ()"),
    ((["a", ("a", 1, 2, 3)],), "item ('a', 1, 2, 3)"),
    ((["a", 1],), "item 1"),
    ((["a", b"a"],), "item b'a'"),
    ((["a", (["a"], 1)],), "item (['a'], 1)"),
    ((["a", ("a b",)],), "name 'a b'"),
    ((["a", ("a", "x")],), "value 'x'"),
    ((["a", ("a", 1, "x")],), "timestamp 'x'"),
    ((["a", ""],), "name ''"),
]


def lines(encoder: Encoder, data: Any, value: float = 1, timestamp: Any = None) -> list[bytes]:
    """Return the lines of all datagrams."""
    return [line for each in encoder.datagrams(data, value, timestamp) for line in each.split(b"\n")]


@pytest.mark.parametrize(("call", "expected"), GOOD)
def test_calls_become_lines(call: tuple[Any, ...], expected: list[bytes]) -> None:
    """Every form that data, value and timestamp can have becomes one line a sample, in order."""
    assert expected == lines(Encoder(""), *call)


@pytest.mark.parametrize(("call", "named"), BAD)
def test_what_is_not_valid_is_named(call: tuple[Any, ...], named: str) -> None:
    """Bad data, items, names, values and timestamps raise a ValueError that shows what was given."""
    with pytest.raises(InvalidSample) as caught:
        lines(Encoder(""), *call)

    assert str(caught.value).startswith(named)
    assert isinstance(caught.value, ValueError)


def test_all_samples_are_judged_first() -> None:
    """There is no datagram at all when the last of many samples is bad."""
    many = ["a" * 200] * 20

    with pytest.raises(InvalidSample):
        Encoder("").datagrams([*many, "a b"], 1, None)


@pytest.mark.parametrize(("prefix", "name", "valid"), [("p" * 250, "n" * 5, True), ("p" * 250, "n" * 6, False)])
def test_a_name_is_judged_with_its_prefix(prefix: str, name: str, valid: bool) -> None:
    """The prefix stands before every name, and both together may have 255 bytes."""
    encoder = Encoder(prefix)

    if valid:
        assert [f"{prefix}{name} 1".encode()] == lines(encoder, name)
    else:
        with pytest.raises(InvalidSample):
            encoder.datagrams(name, 1, None)


def test_a_prefix_does_not_make_up_for_a_name() -> None:
    """An empty name is refused, though with its prefix it could be one."""
    with pytest.raises(InvalidSample):
        Encoder("site.").datagrams("", 1, None)


def test_encoders_do_not_mix_prefixes() -> None:
    """What is kept of a name is kept for its prefix."""
    assert [b"x.a 1"] == lines(Encoder("x."), "a")
    assert [b"y.a 1"] == lines(Encoder("y."), "a")
    assert [b"y.a 2"] == lines(Encoder("y."), "a", 2)


@given(NAMES, VALUES, st.integers(0, 2**50))
def test_a_collector_reads_what_was_meant(name: str, value: float, timestamp: int) -> None:
    """Parsing a line gives the name, its tags in their order, the very float and the second that it was made of."""
    try:
        stored = stored_name(name)
    except InvalidSample:
        assume(False)
    [line] = lines(Encoder(""), [(name, value, timestamp)])

    assert Sample(stored, float(value), timestamp) == parse_line(line, 0, 2**60)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([10], [10]),
        ([700, 731], [1432]),
        ([700, 732], [700, 732]),
        ([1432], [1432]),
        ([400, 400, 400, 400], [1202, 400]),
        ([1400, 100, 1400, 10], [1400, 100, 1411]),
    ],
)
def test_datagrams_are_as_full_as_may_be(sizes: list[int], expected: list[int]) -> None:
    """Lines go together until the next one would make more than 1,432 bytes with its line end."""
    packed = list(pack(b"x" * size for size in sizes))

    assert expected == [len(datagram) for datagram in packed]


@given(st.lists(st.integers(1, 400), max_size=60))
def test_packing_keeps_every_line_in_order(sizes: list[int]) -> None:
    """Unpacking gives the lines back, no datagram is too large, and none has room for the line that follows it."""
    given_lines = [bytes([97 + at % 26]) * size for at, size in enumerate(sizes)]
    packed = list(pack(given_lines))

    assert given_lines == [line for datagram in packed for line in datagram.split(b"\n")]
    for datagram, following in pairwise(packed):
        assert len(datagram) <= DATAGRAM_MAX_BYTES < len(datagram) + 1 + len(following.split(b"\n")[0])


def test_a_generator_that_fails_sends_nothing() -> None:
    """An error of the caller's own while the items are read passes through, before there is a datagram."""

    def items() -> Iterator[str]:
        yield "a"
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        Encoder("").datagrams(items(), 1, None)
