"""Every rule of a line, with samples on either side of it, and the fast way to parse beside the slow one."""

import math
import string
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.errors import InvalidSample
from tally.lines.grammar import parse_line
from tally.lines.plain import (
    PARSE_MAX_BYTES,
    TIMESTAMP_END,
    Columns,
    Reason,
    Sample,
    canonical,
    check_name,
    check_timestamp,
    check_value,
    decode_name,
    decode_names,
    has_statsd_head,
    lines,
    parse_columns,
    stored_name,
)
from tally.lines.statsd import Line

NOW = 1_700_000_000
FUTURE_S = 86_400
LATEST = NOW + FUTURE_S


def parsed(line: str | bytes, *, max_future_s: int = FUTURE_S) -> Sample | Line | Reason:
    """Return what is in a line that comes in the second NOW."""
    return parse_line(line.encode() if isinstance(line, str) else line, NOW, max_future_s)


def test_contract_example() -> None:
    """The line that the documentation shows."""
    assert Sample("requests.get.index", 0.25, 1_700_000_001) == parsed("requests.get.index 0.25 1700000001")


@pytest.mark.parametrize(
    "line",
    [
        "a 1 1700000001",
        "a\t1\t1700000001",
        "a  1   1700000001",
        "a \t 1\t\t1700000001",
        " a 1 1700000001 ",
        "\ta 1 1700000001\t",
    ],
)
def test_separators(line: str) -> None:
    """One or more spaces or tabs separate fields; at the ends of a line they separate nothing."""
    assert Sample("a", 1.0, 1_700_000_001) == parsed(line)


@pytest.mark.parametrize(
    "separator", ["\v", "\f", "\r", "\0", "\x1c", "\x1f", "\x85", "\xa0", "\u2003", "\u2028", "\u3000"]
)
def test_no_other_separator(separator: str) -> None:
    """No other white space separates fields, and a name has none."""
    assert Reason.FIELDS == parsed(f"a{separator}1")
    assert Reason.NAME == parsed(f"a{separator}b 1")
    assert Reason.VALUE == parsed(f"a 1{separator}")
    assert Reason.TIMESTAMP == parsed(f"a 1 1700000001{separator}")


@pytest.mark.parametrize(
    ("line", "is_sample"),
    [
        (" ", False),
        ("\t \t", False),
        ("a", False),
        ("1.5", False),
        ("a 1", True),
        ("a 1 1700000001", True),
        ("a 1 1700000001 x", False),
        ("a 1 1700000001 1 1", False),
    ],
)
def test_number_of_fields(line: str, is_sample: bool) -> None:
    """A line has two or three fields."""
    assert (Reason.FIELDS != parsed(line)) == is_sample


NAMES = [
    "a",
    "a.b-c_d/e:f",
    "é",
    "𝄞",
    "\u200b",  # Has no width, but is no white space.
    "a\ufeff",
    "\u202ea",
    "\ufffd",
    "a|b:c",
    "|:",
    "-1",
    "*",
    '"',
    "%s",
    "a" * 255,
    "é" * 127 + "a",
    "𝄞" * 63 + "abc",
]
NO_NAMES = [
    "a" * 256,
    "é" * 128,
    "𝄞" * 64,
    *(chr(code) for code in (0, 1, 0x0B, 0x1B, 0x1F, 0x7F, 0x80, 0x85, 0x9F)),
    *"\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000",
]
# What the tags of a name, and marks before it, make of it.
STORED = [
    ("m;b=1;a=2", "m;a=2;b=1"),
    ("m;a=2;b=1", "m;a=2;b=1"),
    ("m;a.b=1;a=2", "m;a=2;a.b=1"),
    ("m;a=2;a=1;a=2", "m;a=1;a=2"),
    ("m;b;a=1", "m;a=1;b"),
    ("m;;b=1;a=2;", "m;a=2;b=1"),
    ("m;", "m"),
    ("m;b==x;a=y=z", "m;a=y=z;b==x"),
    ("é;ü=1;ö=2", "é;ö=2;ü=1"),
    (";b=1;a=2", ";b=1;a=2"),
    (";", ";"),
    ("\ufeffm", "m"),
    ("\ufeff\ufeffm;b=1;a=2", "m;a=2;b=1"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    """A name is 1 to 255 bytes of text without white space and control characters, for every judge."""
    assert Sample(name, 1.0, NOW) == parsed(f"{name} 1")
    assert name == check_name(name) == decode_name(name.encode())


@pytest.mark.parametrize(("name", "stored"), STORED)
def test_one_series_has_one_name(name: str, stored: str) -> None:
    """Tags are sorted by key, each there once, and a byte order mark before a name is no part of it."""
    assert Sample(stored, 1.0, NOW) == parsed(f"{name} 1")
    assert stored == stored_name(name) == decode_name(name.encode())
    assert [stored, "x"] == decode_names([name.encode(), b"x"])
    assert stored == stored_name(stored)


@pytest.mark.parametrize("name", ["\ufeff", "\ufeff\ufeff", "m;b=x|y;a=u:v", "m;z=u:v|w"])
def test_no_stored_names(name: str) -> None:
    """What is no name once it is as it is stored is none."""
    assert decode_name(name.encode()) is None
    assert decode_names([b"x", name.encode()]) is None
    with pytest.raises(InvalidSample, match=r"^name .* is not valid: use 1 to 255 bytes without"):
        stored_name(name)


@given(st.lists(st.text("ab=;é:", max_size=4), min_size=1, max_size=5), st.randoms())
def test_the_order_of_tags_does_not_matter(parts: list[str], chance: Random) -> None:
    """Any two names with the same tags are one, and nothing else about a name changes."""
    base, *tags = parts
    tags = [tag.replace(";", "") for tag in tags]
    first = canonical(";".join(["m" + base.replace(";", ""), *tags]))
    chance.shuffle(tags)
    assert first == canonical(";".join(["m" + base.replace(";", ""), *tags]))
    assert {*filter(None, tags)} == {*first.split(";")[1:]}


@pytest.mark.parametrize("name", NO_NAMES)
def test_no_names(name: str) -> None:
    """What is longer or has white space or control characters anywhere is no name, and the error says so."""
    for text in (name, f"{name}a", f"a{name}", f"a{name}b"):
        assert Reason.NAME == parsed(f"{text} 1")
        assert decode_name(text.encode()) is None
        with pytest.raises(InvalidSample, match=r"^name '.* is not valid: use 1 to 255 bytes without white space"):
            check_name(text)


@pytest.mark.parametrize("name", ["", None, 1, b"a", "\ud800", " ", "a b", "a\n"])
def test_no_names_from_python(name: Any) -> None:
    """What no line could have as a name is none from Python either."""
    with pytest.raises(InvalidSample, match=r"^name "):
        check_name(name)


def test_every_character() -> None:
    """Of all characters exactly white space and control characters are kept out of names."""
    for code in {*range(0x3100), *range(0xD7F0, 0xD800), *range(0xE000, 0xE010), *range(0xFE00, 0x10010)} - {
        *range(0xD800, 0xE000)
    }:
        character = chr(code)
        is_control = code < 0x20 or 0x7F <= code < 0xA0
        assert (decode_name(f"a{character}b".encode()) is None) == (is_control or character.isspace()), hex(code)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff 1",
        b"a\x80 1",
        b"a 1 1700000001\xff",
        b"a \xc3",
        b"\xc0\x80 1",
        b"\xed\xa0\x80 1",
        b"\xf5\x80\x80\x80 1",
        b"\xff",
    ],
)
def test_encoding(line: bytes) -> None:
    """A line that is not UTF-8 is rejected as such, wherever the fault is and whatever else is wrong."""
    assert Reason.ENCODING == parsed(line)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1.0),
        ("+1", 1.0),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5e-3", -0.0005),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("007", 7.0),
        ("0", 0.0),
        ("1e-400", 0.0),
        ("5e-324", 5e-324),
        ("0.1", 0.1),
        ("123456789.123456789", 123456789.123456789),
        ("1e100", 1e100),
        ("-1e100", -1e100),
        ("1" + "0" * 100, 1e100),
        ("0" * 5000 + "1", 1.0),
    ],
)
def test_values(text: str, expected: float) -> None:
    """A value is a decimal number of a magnitude of at most 1e100, on the fast way too."""
    assert Sample("a", expected, NOW) == parsed(f"a {text}")
    assert Columns([b"a"], [expected], []) == parse_columns([f"a {text}".encode()])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "inf",
            "nana",
            "na",
            "n",
            "nan1",
            "1nan",
            "--nan",
            "nan.",
            "-inf",
            "infinity",
            "1_000",
            "0x10",
            "1e",
            "e5",
            ".",
            "+",
            "-",
            "+-1",
            "1.2.3",
            "1,5",
            "1e1.5",
        ),
        *("1e+", "--1", "1-", "one", "٣", "１", "1e400", "-1e400", "1e101", "-1e101", "1.0000000000000002e100", "1j"),
        *("1" + "0" * 101, "9" * 5000),
    ],
)
def test_no_values(text: str) -> None:
    """What is no decimal number, is not finite or is larger is no value, on the fast way neither."""
    assert Reason.VALUE == parsed(f"a {text}")
    assert Reason.VALUE == parsed(f"a {text} x")
    assert parse_columns([f"a {text}".encode()]) is None


@pytest.mark.parametrize("text", ["nan", "NaN", "NAN", "-nan", "+nan", "-NaN"])
def test_no_measurement(text: str) -> None:
    """A value that is no number on purpose makes a line empty, whatever its timestamp."""
    assert Reason.EMPTY == parsed(f"a {text}") == parsed(f"a {text} {NOW}") == parsed(f"a {text} soon")
    assert Reason.NAME == parsed(f"a\0 {text}")
    assert parse_columns([f"a {text}".encode()]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-0", 0),
        ("1", 1),
        ("1700000001", NOW + 1),
        ("+1700000001", NOW + 1),
        ("001700000001", NOW + 1),
        ("1700000001.0", NOW + 1),
        ("1700000001.", NOW + 1),
        ("1700000001.999", NOW + 1),
        ("1700000001.999999999999999999999", NOW + 1),
        ("1.7e9", NOW),
        ("1.7000000019e9", NOW + 1),
        (".9", 0),
        ("1e-5", 0),
        ("-1", NOW),
        ("-1.0", NOW),
        ("-1e0", NOW),
        (f"{LATEST}", LATEST),
        (f"{LATEST}.999999999999999999999", LATEST),
        (f"{LATEST}.5", LATEST),
        (f"{LATEST + 1}", Reason.FUTURE),
        (f"{LATEST + 1}.0", Reason.FUTURE),
        (f"{LATEST + 2}.5", Reason.FUTURE),
        ("1700000001000", Reason.FUTURE),
        ("1e400", Reason.FUTURE),
        ("9" * 5000, Reason.FUTURE),
        ("-2", Reason.TIMESTAMP),
        ("-0.5", Reason.TIMESTAMP),
        ("-1.5", Reason.TIMESTAMP),
        ("-1e400", Reason.TIMESTAMP),
        ("x", Reason.TIMESTAMP),
        ("nan", Reason.TIMESTAMP),
        ("inf", Reason.TIMESTAMP),
        ("now", Reason.TIMESTAMP),
        ("1_7", Reason.TIMESTAMP),
        ("0x1", Reason.TIMESTAMP),
        ("٣", Reason.TIMESTAMP),
        ("2023-11-14T22:13:21Z", Reason.TIMESTAMP),
    ],
)
def test_timestamps(text: str, expected: int | Reason) -> None:
    """A timestamp is floored; -1 and none are the second of receipt; it may be ahead of the clock within a bound."""
    assert (expected if isinstance(expected, Reason) else Sample("a", 1.0, expected)) == parsed(f"a 1 {text}")


@pytest.mark.parametrize("max_future_s", [0, 1, 3600])
def test_future_bound(max_future_s: int) -> None:
    """A timestamp may be exactly so many seconds ahead."""
    assert Sample("a", 1.0, NOW + max_future_s) == parsed(f"a 1 {NOW + max_future_s}", max_future_s=max_future_s)
    assert Reason.FUTURE == parsed(f"a 1 {NOW + max_future_s + 1}", max_future_s=max_future_s)


def test_no_timestamp_is_larger_than_a_file_holds() -> None:
    """However far ahead a timestamp may be, it stays within SQLite's integers."""
    assert Sample("a", 1.0, 2**59) == parsed(f"a 1 {2**59}", max_future_s=10**30)
    assert Reason.FUTURE == parsed(f"a 1 {TIMESTAMP_END}", max_future_s=10**30)
    assert Reason.FUTURE == parsed("a 1 1e25", max_future_s=10**30)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"\xff", Reason.ENCODING),
        (b"a\0", Reason.FIELDS),
        (b"a\0 x y", Reason.NAME),
        (b"a x y", Reason.VALUE),
        (b"a 1 y", Reason.TIMESTAMP),
    ],
)
def test_the_first_reason_counts(line: bytes, expected: Reason) -> None:
    """A line is rejected for one reason: the first in the order of its fields."""
    assert expected == parsed(line)


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"", []),
        (b"\n", []),
        (b"\r\n\n\r\n", []),
        (b"\r", []),
        (b"a 1", [b"a 1"]),
        (b"a 1\n", [b"a 1"]),
        (b"a 1\r\n", [b"a 1"]),
        (b"a 1\r", [b"a 1"]),
        (b"a 1\r\r\n", [b"a 1\r"]),
        (b"\n\na 1\n\nb 2\r\n\r\nc 3", [b"a 1", b"b 2", b"c 3"]),
        (b"a 1\rb 2", [b"a 1\rb 2"]),
        (b" \n", [b" "]),
        (b"\xef\xbb\xbfa 1\n", [b"a 1"]),
        (b"\xef\xbb\xbf\na 1", [b"a 1"]),
        (b"\xef\xbb\xbf\r\n", []),
        (b"a 1\n\xef\xbb\xbfb 2\r\n", [b"a 1", b"b 2"]),
        (b"a\xef\xbb\xbf 1", [b"a\xef\xbb\xbf 1"]),
        (b"a 1\vb 2\x1cc 3\x85d 4", [b"a 1\vb 2\x1cc 3\x85d 4"]),
    ],
)
def test_lines(datagram: bytes, expected: list[bytes]) -> None:
    """LF ends a line, a CR before it and a byte order mark at its start are no part of it, empty lines are none."""
    assert expected == lines(datagram)


@pytest.mark.parametrize(
    ("datagrams", "expected"),
    [
        ([b"a 1"], Columns([b"a"], [1.0], [])),
        ([b"a 1\nb 2", b"c 3"], Columns([b"a", b"b", b"c"], [1.0, 2.0, 3.0], [])),
        ([b"a 1 5\nb 2 6"], Columns([b"a", b"b"], [1.0, 2.0], [5, 6])),
        ([b"a\t1\t5\r\n", b"b 2 6\r"], Columns([b"a", b"b"], [1.0, 2.0], [5, 6])),
        ([b"a 1\n\nb 2\n"], Columns([b"a", b"b"], [1.0, 2.0], [])),
        (["é 1\n\xa0 2".encode()], Columns(["é".encode(), b"\xc2\xa0"], [1.0, 2.0], [])),
        ([b"a 1 " + b"9" * 15], Columns([b"a"], [1.0], [10**15 - 1])),
        ([b"a 1 1" + b"0" * 15], None),
        ([], None),
        ([b""], None),
        ([b" "], None),
        ([b"\t\t"], None),
        ([b"\n"], None),
        ([b"a 1\nb 2 5"], None),
        ([b"a 1 5\nb 2"], None),
        ([b"a\n1 b 2"], None),
        ([b"a 1 5 6"], None),
        ([b"a  1"], None),
        ([b" a 1"], None),
        ([b"a 1 -1"], None),
        ([b"a 1 5.5"], None),
        ([b"a x"], None),
        ([b"a\x1f1 2"], None),
    ],
)
def test_columns(datagrams: list[bytes], expected: Columns | None) -> None:
    """Lines that are all alike and plain are parsed together; the others are left to `parse_line`."""
    assert expected == parse_columns(datagrams)


def test_columns_are_bounded() -> None:
    """More bytes than memory shall be taken for are not parsed together."""
    line = b"a 1\n"
    fitting = line * (PARSE_MAX_BYTES // len(line))
    assert PARSE_MAX_BYTES // len(line) == len((parse_columns([fitting]) or Columns([], [], [])).names)
    assert parse_columns([fitting, line * 2]) is None


pieces = st.sampled_from(
    [
        *(
            b" ",
            b"\t",
            b"\n",
            b"\r\n",
            b"\r",
            b"\v",
            b"\x1c",
            b"\x85",
            "\xa0".encode(),
            "\u2028".encode(),
            b"\0",
            b"\xff",
        ),
        *(b"a 1\n", b"a 1 5\n", b"b\t-2.5e3\t1700000000\n", b"a", b"b.c", "é".encode(), b"nan", b"1_0", b"-1", b"1.5"),
        *(
            b"1e100",
            b"1e101",
            b"1700000000",
            b"1700086400",
            b"1700086401",
            b"1" * 16,
            b"+",
            b"e",
            b".",
            b"0",
            b"a" * 255,
        ),
    ]
)
datagrams_of_pieces = st.lists(st.lists(pieces, max_size=12).map(b"".join), max_size=4)
plain_fields = st.tuples(
    st.sampled_from([b"a", "é".encode(), b"\xff", b"a\xc2\x85", b"x" * 256, b"x" * 255]),
    st.sampled_from([b"1", b"-.5", b"1e100", b"1e101", b"7e-3", b"nan", b"1_0", b"e", b"1e5"]),
    st.sampled_from([b"0", b"5", b"1700086400", b"1700086401", b"9" * 15, b"9" * 16, b"5.5", b"-1"]),
)


@st.composite
def datagrams_of_plain_lines(draw: st.DrawFn) -> list[bytes]:
    """Draw datagrams that are mostly what the fast way takes."""
    width, end = draw(st.sampled_from([2, 3])), draw(st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
    made = [b" ".join(fields[:width]) for fields in draw(st.lists(plain_fields, min_size=1, max_size=6))]
    cut = draw(st.integers(0, len(made)))
    return [end.join(made[:cut]), end.join(made[cut:])]


@settings(max_examples=1000)
@given(datagrams_of_pieces | datagrams_of_plain_lines() | st.lists(st.binary(max_size=40), max_size=3))
def test_the_fast_way_agrees_with_the_slow_one(datagrams: list[bytes]) -> None:
    """Where the fast way has an answer it has every line, and the slow one finds the same in each."""
    columns = parse_columns(datagrams)
    if columns is None:
        return
    found = [line for datagram in datagrams for line in lines(datagram)]
    assert len(found) == len(columns.names) == len(columns.values)
    assert len(columns.timestamps) in (0, len(found))
    for line, name, value, timestamp in zip(
        found, columns.names, columns.values, columns.timestamps or [NOW] * len(found), strict=True
    ):
        text = decode_name(name)
        expected: set[Sample | Reason]
        if text is None:
            expected = {Reason.ENCODING, Reason.NAME, Reason.FIELDS}
        else:
            expected = {Reason.FUTURE if timestamp > LATEST else Sample(text, value, timestamp)}
        assert parse_line(line, NOW, FUTURE_S) in expected


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=63),
    st.floats(-1e100, 1e100),
    st.integers(0, LATEST),
    st.sampled_from(["{} {!r} {}", "{}\t{:.17g}\t{}.75", " {} {:e}  {} "]),
)
def test_format_and_parse_round_trip(name: str, value: float, timestamp: int, form: str) -> None:
    """What is written into a line is read from it."""
    line = form.format(name, value, timestamp).encode()
    found = parse_line(line, NOW, FUTURE_S)
    if has_statsd_head(name.encode()):
        assert Reason.FIELDS == found
        return
    assert isinstance(found, Sample)
    assert (canonical(name), timestamp) == (found.name, found.timestamp)
    assert math.isclose(value, found.value, rel_tol=1e-6) if ":e" in form else value == found.value


@given(st.binary(max_size=60) | st.text(string.printable, max_size=20).map(str.encode))
def test_every_line_has_an_outcome(line: bytes) -> None:
    """Any bytes are a sample within every bound, or have a reason."""
    found = parse_line(line, NOW, FUTURE_S)
    if isinstance(found, Sample):
        assert found == (check_name(found.name), check_value(found.value), check_timestamp(found.timestamp))
        assert found.timestamp <= LATEST
    elif not isinstance(found, Line):
        assert found in set(Reason) - {Reason.CARDINALITY, Reason.CUT, Reason.UNMATCHED}


@pytest.mark.parametrize("value", [0, 1, -0.5, True, 1e100, -1e100, 10**100, 5e-324])
def test_values_from_python(value: Any) -> None:
    """A number within the bounds is taken as a float."""
    found = check_value(value)
    assert (float, float(value)) == (type(found), found)


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1.1e100, 10**100 * 2, -(10**400), "1", b"1", None, 1j, [1]])
def test_no_values_from_python(value: Any) -> None:
    """Anything else is an error that names it and what would be right."""
    with pytest.raises(InvalidSample, match=r"^value .* is not valid: use a number, at most 1e\+100 in magnitude$"):
        check_value(value)


@pytest.mark.parametrize(
    ("timestamp", "expected"), [(0, 0), (0.99, 0), (1700000001.75, 1700000001), (2**60 - 1, 2**60 - 1)]
)
def test_timestamps_from_python(timestamp: Any, expected: int) -> None:
    """Unix seconds are floored."""
    found = check_timestamp(timestamp)
    assert (int, expected) == (type(found), found)


@pytest.mark.parametrize("timestamp", [-1, -0.5, 2**60, math.nan, math.inf, True, "1", None])
def test_no_timestamps_from_python(timestamp: Any) -> None:
    """Anything else is an error that names it."""
    with pytest.raises(
        InvalidSample, match=r"^timestamp .* is not valid: use unix seconds or a datetime, from 1970 on$"
    ):
        check_timestamp(timestamp)
