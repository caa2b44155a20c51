"""Numbers in answers: as short as possible, and exact when read back."""

import json
import math
import random
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog
from tally.engine.asking import digits
from tally.engine.asking.sql import Bindings
from tests.engine.forms import text
from tests.engine.recompute import Asked
from tests.native.answers import compare

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e[+-][0-9]+)?")
T = 1_700_000_000
QUESTIONS = 500


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    """Give a connection with the function `shortest`."""
    made = apsw.Connection(":memory:")
    digits.register(made)
    yield made
    made.close()


def written(connection: apsw.Connection, value: float) -> str:
    """Return the text of a float."""
    expression = digits.text([digits.Argument(":x", is_float=True)])
    bindings: Bindings = {"x": value, "template": digits.FLOAT, "plain": digits.plain(digits.FLOAT)}
    return str(connection.execute(f"SELECT {expression}", bindings).get)


decimals = st.builds(
    lambda whole, places: float(f"{whole}e{-places}"), st.integers(-(10**16), 10**16), st.integers(-5, 25)
)
bits = st.integers(0, 2**64 - 1).map(lambda number: struct.unpack("<d", struct.pack("<Q", number))[0])
near_powers = st.builds(
    lambda exponent, side: math.nextafter(math.ldexp(1.0, exponent), side) if side else math.ldexp(1.0, exponent),
    st.integers(-1074, 1023),
    st.sampled_from([0.0, math.inf, -math.inf]),
)
quotients = st.builds(lambda total, count: total / count, st.integers(0, 10**6), st.integers(1, 1000))
floats = st.floats(allow_nan=False, allow_infinity=False) | bits.filter(math.isfinite) | decimals | near_powers


@settings(max_examples=3000, deadline=None)
@given(floats | quotients)
def test_no_text_that_reads_back_is_shorter(connection: apsw.Connection, value: float) -> None:
    """A number is valid JSON, reads back exactly, and is no longer than Python's shortest text."""
    found = written(connection, value)
    assert NUMBER.fullmatch(found), found
    assert (float, value) == (type(json.loads(found)), json.loads(found))
    assert len(found) <= len(repr(value))


@pytest.mark.skipif(not digits.IS_NATIVE, reason="there is no native core")
@settings(max_examples=3000, deadline=None)
@given(floats | quotients)
def test_the_native_core_writes_what_python_writes(connection: apsw.Connection, value: float) -> None:
    """The text of a number is that of repr(), without the sign of zero."""
    assert repr(value or 0.0) == written(connection, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (1.0, "1.0"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (9.95, "9.95"),
        (78.115384615384613, "78.11538461538461"),
        (1 / 3, "0.3333333333333333"),
        (999999999.999999, "999999999.999999"),
        (1234567890.123456, "1234567890.123456"),
        (-1234567890.123456, "-1234567890.123456"),
        (1e-4, "0.0001"),
        (2.0**-13, "0.0001220703125"),
        (math.nextafter(2.0**-13, 0), "0.00012207031249999999"),
        (0.5, "0.5"),
        (math.nextafter(1.0, 0), "0.9999999999999999"),
        (math.nextafter(1.0, 2), "1.0000000000000002"),
        (4503599627370495.5, "4503599627370495.5"),
        (9007199254740993.0, "9007199254740992.0"),
        (0.99e-4, "9.9e-05"),
        (1e-5, "1e-05"),
        (2.0**-24, "5.960464477539063e-08"),
        (999_999_999_999_999.0, "999999999999999.0"),
        (1e15, "1000000000000000.0"),
        (9999999999999998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (2.0**50 + 0.25, "1125899906842624.2"),
        (2.0**51 - 0.25, "2251799813685247.8"),
        (-2000000004000018.25, "-2000000004000018.2"),
        (1e22, "1e+22"),
        (2.0**89, "6.189700196426902e+26"),
        (-1e100, "-1e+100"),
        (5e-324, "5e-324"),
    ],
)
def test_numbers_on_either_side_of_each_bound(connection: apsw.Connection, value: float, expected: str) -> None:
    """SQLite and Python format each number with the same digits."""
    assert expected == written(connection, value)


@pytest.mark.skipif(not digits.IS_NATIVE, reason="there is no native core")
def test_any_answer_is_the_same_with_and_without_the_native_core() -> None:
    """Answers to generated questions are equal; `python -m tests.native.answers` compares more."""
    seed = str(random.SystemRandom().randrange(2**32))
    try:
        compare(QUESTIONS, seed)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}") from error


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Give an archive whose sums and averages need 16 and 17 digits."""
    made = Catalog(tmp_path).create("x", resolution=10, retention=0)
    made.record(
        [("a", 0.1, T), ("a", 0.2, T), ("b", 1e22, T + 10), ("b", 1e-5, T + 20), ("b", 78.11538461538461, T + 30)]
    )
    return made


@pytest.mark.parametrize("more", [(), (("pretty", ""),), (("format", "rows"),), (("format", "csv"),)], ids=str)
@pytest.mark.parametrize("kind", ["values", "aggregate", "timedata"])
@pytest.mark.parametrize("aggregate", [None, "sum"])
def test_every_format_has_the_shortest_numbers(
    archive: Archive, kind: str, aggregate: str | None, more: tuple[tuple[str, str], ...]
) -> None:
    """Numbers in every format of every question have Python's shortest text."""
    found = numbers(text(archive, Asked(kind, aggregate), *more))
    assert {"0.30000000000000004", "1e+22", "1e-05", "78.11538461538461"} <= found
    assert {repr(float(each)) for each in found} == found


def numbers(answer: str) -> set[str]:
    """Return the floats in an answer."""
    return set(re.findall(r"[0-9]\.?[0-9]*e[+-][0-9]+|[0-9]+\.[0-9]+", answer))


@pytest.mark.parametrize(
    ("counts", "expected"), [((1, 2), "3"), ((2.5, 2.5), "5"), ((2.5, 1), "3.5"), ((1 / 0.3, 1), "4.333333333333334")]
)
def test_a_whole_count_is_an_integer(archive: Archive, counts: tuple[float, float], expected: str) -> None:
    """Fractional counts of sampled lines may add up to whole numbers."""
    for at, count in enumerate(counts):
        archive.commit({T + 100: {f"c{at}": (count, count, 1.0, 1.0)}}, now=T)
    asked = Asked("aggregate", "count", since=T + 100)
    assert f'{{"{T + 100}":{expected}}}' == text(archive, asked)
    [found] = archive.aggregate("count", since=T + 100).values()
    assert repr(found) == expected
