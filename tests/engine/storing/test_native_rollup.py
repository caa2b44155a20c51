"""The native rollup beside its twin in Python."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally import native
from tally.engine.storing.capacity import Capacity
from tally.lines.plain import Sample, lines
from tests.native.twins import Twins, compare
from tests.survive.fuzz import NOW

pytestmark = pytest.mark.skipif(native.core is None, reason="there is no native core")

DATAGRAMS = 10_000

names = st.sampled_from(
    [b"a", b"a.b", "é".encode(), b"\xff", b"m;b=1;a=2", b"m;a=2;b=1", b"a|b", b"a|b:c", b"x" * 255, b"x" * 256, b"a\0"]
)
decimals = st.builds(b"%b%d%b%d%b".__mod__, st.tuples(
    st.sampled_from([b"", b"-", b"+", b"."]), st.integers(0, 10**18), st.sampled_from([b".", b"e", b"E-", b""]),
    st.integers(0, 400), st.sampled_from([b"", b".", b"e1", b"x"]),
))  # fmt: skip
floats = st.floats(allow_nan=False).map(lambda value: repr(value).encode())
values = decimals | floats | st.sampled_from([b"nan", b"-NaN", b"inf", b"1e100", b"1e101", b"1e-400", b"1_0", b"0x1"])
seconds = st.integers(-70, 70).map(lambda age: b"%d" % (NOW + age))
times = (
    seconds | decimals | st.sampled_from([b"-1", b"-1.0", b"-0", b"0", b"1700000001.75", b"0000000000000001700000001"])
)
blanks = st.sampled_from([b" ", b" ", b" ", b"\t", b"  ", b"\x0b", b"\xa0"])
plain = st.builds(bytes.join, blanks, st.tuples(names, values) | st.tuples(names, values, times) | st.tuples(names))
kinds = st.sampled_from([b"c", b"ms", b"h", b"d", b"g", b"s", b"x"])
ends = st.sampled_from([b"", b"", b"|@0.3", b"|@2", b"|#a:1,b", b"|@0.1|#c", b"|#d|@0.5", b"|T1700000001", b":2|c"])
statsd = st.builds(b"%b:%b|%b%b".__mod__, st.tuples(names | st.just(b"a[b=c]"), values, kinds, ends))
# What separates tags and their parts, and what is cleaned.
words = st.text("ab.,;=:#!^~[]/|@\0\x7f éΩ𝄞\x85\xa0\u1680\u2000\u200a\u200b\u2028\u3000\ufeff", max_size=12)
encoded = words.map(str.encode)
tagged = st.builds(b"%b%b:1|%b|#%b".__mod__, st.tuples(
    st.sampled_from([b"a", b"x" * 252]), encoded, st.sampled_from([b"c", b"g", b"s"]), encoded,
))  # fmt: skip
uncommon = st.builds(b"%b%b%b 1".__mod__, st.tuples(
    st.sampled_from([b"a", b"", b"x" * 50]), encoded | st.binary(max_size=4), st.sampled_from([b"", b";b=1;a=2"]),
))  # fmt: skip
either = plain | statsd | st.binary(max_size=12)
datagrams = st.builds(bytes.join, st.sampled_from([b"\n", b"\r\n", b"\n\n"]), st.lists(either, max_size=6))
batches = st.tuples(st.lists(datagrams, max_size=4), st.integers(-15, 15))


@settings(max_examples=250, deadline=None)
@given(st.lists(batches, max_size=4), st.integers(1, 20), st.integers(0, 6), st.booleans())
def test_any_datagrams_have_the_same_cells_and_counters(
    parts: list[tuple[list[bytes], int]], resolution: int, most: int, sketched: bool
) -> None:
    """Both rollups agree to the last bit, also where capacity is short, and with sketches."""
    twins = Twins(resolution, capacity=Capacity(most, most // 2) if most else Capacity(), sketched=sketched)
    for sent, age in parts:
        twins.add(sent, NOW + age)
    twins.compare_cells()


def test_many_datagrams_have_the_same_cells_and_counters() -> None:
    """Generated loads, as `python -m tests.native.twins` compares more of."""
    seed = str(random.SystemRandom().randrange(2**32))
    try:
        compare(DATAGRAMS, seed)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}") from error


@given(st.lists(st.tuples(plain | statsd, st.integers(-15, 15)), max_size=8), st.booleans())
def test_lines_and_samples_one_at_a_time(sent: list[tuple[bytes, int]], sketched: bool) -> None:
    """Bodies, files and Python code add lines and samples alone, between datagrams."""
    twins = Twins(sketched=sketched)
    for line, age in sent:
        for rollup in (twins.native, twins.python):
            for each in lines(line):
                rollup.add_line(each, NOW + age)
            rollup.add([b"a 1"], NOW)
            rollup.add_sample(Sample("a", 0.1, NOW + age))
    twins.compare_cells()


@settings(max_examples=150, deadline=None)
@given(st.lists(tagged | uncommon, max_size=8), st.sampled_from([0, 1, 3]))
def test_names_with_tags_and_uncommon_characters(sent: list[bytes], most: int) -> None:
    """The core joins tags and checks names as Python does, also where it asks Python."""
    twins = Twins(capacity=Capacity(most, most) if most else Capacity())
    twins.add(sent, NOW)
    twins.add(sent[::-1], NOW)
    twins.compare_cells()


@pytest.mark.parametrize(
    "line",
    [
        b"a;c=1;b=2 1",
        b"a;b;;b=;=c;b 1",
        b"a;b=1;a=2:1|c",
        b"a,b=1,c:1|ms|#d:e:f,g",
        b"a#b=1;c=2:1|c|@0.5|#d=e~",
        b"a:1|g|#b:c",
        b"a:-1.5|g",
        b"a:m:n|s|#b",
        "é;b=ü;a=𝄞 1".encode(),
        "\u00a1\u1681\u200b\u2030\u3001 1".encode(),
        "𝄞".encode() + b"x" * 51 + b" 1",
        b"a\0 1",
        b"\xed\xa0\x80 1",
        b"\xf4\x90\x80\x80 1",
        b"\xc0\x80 1",
        b"\xe2\x82",
    ],
)
def test_the_core_decides_alone(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python keeps the values of gauges and the members of sets, and parses nothing."""
    twins = Twins()
    monkeypatch.setattr(twins.native, "add_unsure", lambda *_: 1 / 0)
    for _ in range(2):
        twins.add([line], NOW)
    twins.compare_cells()


def test_gauges_that_do_not_fit() -> None:
    """They are rejected, and their names take no room."""
    twins = Twins(gauges=0)
    flood = [b"g%d:+1|g" % number for number in range(5000)]
    for sent in (flood, flood, [b"g1:2|g", b"g1:+1|g", b"g1:1e101|g"]):
        twins.add(sent, NOW)
    twins.compare_cells()


def test_another_object_is_no_batch() -> None:
    """What is neither a list of bytes nor a reader is an error, and nothing is added."""
    twins = Twins()
    for wrong in ((b"a 1",), ["a 1"], None):
        with pytest.raises((TypeError, SystemError)):
            twins.native.add(wrong, NOW)  # type: ignore[arg-type]
    assert 0 == twins.native.accepted


def test_an_error_in_python_is_raised_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines before it are added, and their rejections counted."""
    twins = Twins()
    monkeypatch.setattr(twins.native, "_add_parsed", lambda _found: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        twins.native.add([b"a 1\na x\n\xc3\xa9a:1|c\na 2"], NOW)
    assert (1, {"value": 1}) == (twins.native.accepted, twins.native.rejected)
