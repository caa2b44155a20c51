"""InfluxDB's line protocol: what its reference says, and what is rejected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.lines import grammar, influx
from tally.lines.influx import PRECISIONS, Point, parse_point, rewrite_point, split_points
from tally.lines.plain import Reason, stored_name

NOW = 1_700_000_000
LATEST = NOW + 60


def parsed(line: bytes, precision: str = "ns") -> Point | Reason:
    """Return what a line means that is received at NOW."""
    return parse_point(line, NOW, per_second=PRECISIONS[precision], latest=LATEST)


def found(line: bytes, precision: str = "ns") -> list[tuple[str, float, int]]:
    """Return the samples of a line."""
    point = parsed(line, precision)
    assert isinstance(point, Point), point
    return [(sample.name, sample.value, sample.timestamp) for sample in point.samples]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"cpu value=1", [("cpu.value", 1, NOW)]),
        (b"cpu,host=b,az=a u=1.5,s=-2e3 1600000000999999999",
         [("cpu.u;az=a;host=b", 1.5, 1_600_000_000), ("cpu.s;az=a;host=b", -2000, 1_600_000_000)]),
        (b"a i=-3i,u=4u", [("a.i", -3, NOW), ("a.u", 4, NOW)]),
        (b"a b=t,c=T,d=true,e=True,f=TRUE", [(f"a.{key}", 1, NOW) for key in "bcdef"]),
        (b"a b=f,c=F,d=false,e=False,f=FALSE", [(f"a.{key}", 0, NOW) for key in "bcdef"]),
        (rb"m\ y\,z,t\=a\ g=v\,w\ x f\,i\=e\ l=1", [("m_y,z.f,i=e_l;t_a_g=v,w_x", 1, NOW)]),
        (rb'a,t=\, b="x y",c=2', [("a.c;t=,", 2, NOW)]),
        (rb"a\,,t=1 b=1", [("a,.b;t=1", 1, NOW)]),
        (b'a b="1,c=2 d\\"=3",e=5 7000000000', [("a.e", 5, 7)]),
        (b'm"x,t="q" f=1', [('m"x.f;t="q"', 1, NOW)]),
        ("é,t=ü f=1".encode(), [("é.f;t=ü", 1, NOW)]),
        (b"  a  b=1   7000000000 \r", [("a.b", 1, 7)]),
        (b"a;b|c,t=~x f=1", [("a_b_c.f;t=_x", 1, NOW)]),
    ],
)  # fmt: skip
def test_lines_have_the_samples_of_their_fields(line: bytes, expected: list[tuple[str, float, int]]) -> None:
    """Each number and boolean is a sample; escapes, quotes and spaces are understood."""
    assert expected == found(line)


def test_texts_are_counted() -> None:
    """Fields that are text are not stored, and counted, also if there is no other field."""
    assert Point([], 2) == parsed(b'a b="x",c="y z"')
    assert isinstance(parsed(b'a b="x",c=1'), Point)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "empty"), (b" \r", "empty"), (b"# a b=1", "empty"),
        (b"a", "fields"), (b"a ", "fields"), (b"a b", "fields"), (b"a b=", "fields"), (b"a =1", "fields"),
        (b"a b=1,", "fields"), (b"a b=1,,c=2", "fields"), (b",t=1 b=1", "fields"), (b"a,t b=1", "fields"),
        (b"a,=1 b=1", "fields"), (b"a,t= b=1", "fields"), (b"a,t=1, b=1", "fields"), (b"a b=1 1 1", "fields"),
        (b'a b="x', "fields"), (b'a b="x"y', "fields"),
        (b"a b=x", "value"), (b"a b=1e101", "value"), (b"a b=nan", "value"), (b"a b=-1u", "value"),
        (b"a b=1.5i", "value"), (b"a b=tRUE", "value"),
        (b"a b=1 x", "timestamp"), (b"a b=1 1.5", "timestamp"), (b"a b=1 -1", "timestamp"),
        (b"a b=1 %d" % (2 * 10**18), "future"),
        (b"\xff b=1", "encoding"), (b"a,t=\xff b=1", "encoding"), (b"%b b=1" % (b"n" * 254), "name"),
    ],
)  # fmt: skip
def test_wrong_lines_are_rejected_whole(line: bytes, reason: str) -> None:
    """Every error has its reason, and nothing of the line is stored."""
    assert reason == parsed(line)


def test_a_name_has_at_most_255_bytes() -> None:
    """One more is rejected."""
    assert [("n" * 253 + ".b", 1, NOW)] == found(b"%b b=1" % (b"n" * 253))


def test_no_long_series_is_remembered() -> None:
    """One that cannot become a name is rejected before it is parsed."""
    remembered = influx._name.cache_info().currsize
    assert Reason.NAME == parsed(b"a,t=%b b=1" % (b"x" * influx.NAME_MAX_BYTES))
    assert remembered == influx._name.cache_info().currsize


@pytest.mark.parametrize(
    ("precision", "text"),
    [("ns", "1600000000000000001"), ("n", "1600000000000000001"), ("us", "1600000000000001"), ("u", "1600000000000001"),
     ("µ", "1600000000000001"), ("ms", "1600000000001"), ("s", "1600000000"), ("m", "26666666"), ("h", "444444")],
)  # fmt: skip
def test_precisions(precision: str, text: str) -> None:
    """A timestamp is in the unit that is chosen, and is stored in whole seconds."""
    second = {"m": 26_666_666 * 60, "h": 444_444 * 3600}.get(precision, 1_600_000_000)
    assert [("a.b", 1, second)] == found(b"a b=1 " + text.encode(), precision)


def test_the_future_begins_after_the_latest_second() -> None:
    """The last second is taken, the next is not."""
    assert [("a.b", 1, LATEST)] == found(b"a b=1 %d" % LATEST, "s")
    assert Reason.FUTURE == parsed(b"a b=1 %d" % (LATEST + 1), "s")


def test_a_text_may_contain_line_breaks() -> None:
    """They do not end the line. A text without end harms no line but its own."""
    body = b'a b="x\ny",c=1\nd e=2\nf g="z\nh i=3\n'
    assert [b'a b="x\ny",c=1', b"d e=2", b'f g="z', b"h i=3", b""] == list(split_points(body))
    assert [b"a b=1", b"", b"c d=2"] == list(split_points(b"a b=1\n\nc d=2"))
    # Only in a text does a backslash keep a line break.
    body = b'a\\\nb c=1\nd e=2\\\nf "g=\\\nh i="x\\\ny"'
    assert [b"a\\", b"b c=1", b"d e=2\\", b'f "g=\\', b'h i="x\\\ny"'] == list(split_points(body))


words = st.text('ab,= \\"é;|~\t', min_size=1, max_size=6)


def escaped(text: str) -> str:
    """Return a text as clients write it."""
    return "".join(f"\\{each}" if each in "\\,= " else each for each in text)


@given(words, st.dictionaries(words, words, max_size=3), words, st.floats(-1e6, 1e6))
def test_what_clients_escape_is_read_back(measurement: str, tags: dict[str, str], key: str, value: float) -> None:
    """Any names, tags and keys, escaped as the reference says, lead to a valid name and the same value."""
    pairs = [f"{escaped(name)}={escaped(text)}" for name, text in tags.items()]
    series = ",".join([escaped(measurement), *pairs])
    samples = found(f"{series} {escaped(key)}={value!r}".encode())
    for name, number, _ in samples:
        assert number == value
        assert name == stored_name(name)
        assert len(tags) >= name.count(";")


@given(st.text('ab,=\\" \n#1t', max_size=40))
def test_any_body_is_read(body: str) -> None:
    """Nothing raises, no byte is lost between lines, and names are valid."""
    lines = list(split_points(body.encode()))
    assert body.encode() == b"\n".join(lines)
    for line in lines:
        point = parsed(line)
        if isinstance(point, Point):
            assert all(sample.name == stored_name(sample.name) for sample in point.samples)


def rewritten(line: bytes, precision: str = "ns", latest: int = LATEST) -> list[object] | None:
    """Return the samples of the plain lines into which a line is rewritten, or None."""
    plain = rewrite_point(line, NOW, per_second=PRECISIONS[precision], latest=latest)
    return None if plain is None else [grammar.parse_line(each, 0, 2**60) for each in plain.split(b"\n")]


@pytest.mark.parametrize(
    ("line", "is_simple"),
    [
        (b"cpu value=1", True), (b"cpu,host=b,az=a u=1.5,s=-2e3,i=3i,n=4u 1600000000999999999", True),
        ("é,t=ü f=1".encode(), True), (b"a,t=x:y b=1", True), (b"a;b|c b=1", True), (b"a b=1e59", True),
        (b"a b=%b" % (b"1" * 40), True), (b"a b=%b" % (b"1" * 41), False), (b"a b=1e60", False), (b"a b=1e-59", True),
        (b"a b=t", False), (b'a b="x"', False), (b"a b=1,c=x", False), (b"a\\ b c=1", False), (b"a b=1,", False),
        (b"a b=1\r", False), (b"# b=1", False), (b"a,t=:|x b=1", False), (b"\xef\xbb\xbfa b=1", False),
        (b"a b=1 -1", False), (b"a b=1 x", False), (b"a b=1 2000000000000000000", False), (b"a  b=1", False),
        (b"a,t=%b b=1" % (b"x" * influx.NAME_MAX_BYTES), False), (b"\xff b=1", False), (b"", False),
        (b"a " + b",".join([b"b=1"] * 2047), True), (b"a " + b",".join([b"b=1"] * 2048), False),
    ],
)  # fmt: skip
def test_simple_lines_are_rewritten(line: bytes, is_simple: bool) -> None:
    """They are plain lines of the same samples. All others are left to the parser."""
    samples = rewritten(line)
    assert is_simple == (samples is not None)
    if samples is not None:
        assert Point(samples, 0) == parsed(line)  # type: ignore[arg-type]


def test_the_last_second_that_is_rewritten() -> None:
    """A plain line has no longer timestamp."""
    for second, is_simple in ((10**15 - 1, True), (10**15, False)):
        assert is_simple == (rewritten(b"a b=1 %d" % second, "s", 2**60 - 1) is not None)


texts = st.sampled_from(
    ["a", "ab", "é", "x:y", "|", ":|z", "~", "!", "^", ";", "=", ",",
     "\\", "\\,", "\\ ", '"', " ", "\t", "\r", "#", "\ufeff", "n" * 250]
)  # fmt: skip
numbers = st.sampled_from(
    ["1", "-0.5", "+2.", ".5", "1e99", "1e100", "1e101", "9" * 41, "1e-59", "1e-400", "3i", "-3i", "+3i", "4u", "-4u",
     "1.5i", "9" * 20 + "i", "9" * 21 + "i", "t", "FALSE", "nan", "inf", "", "x", '"x"', '"x y"', '"', "1_0", "٣"]
)  # fmt: skip
times = st.sampled_from(
    ["", " ", " 0", " -0", " -1", " 1.5", " x", " 1e9", f" {LATEST}", f" {LATEST + 1}", f" {LATEST}999999999",
     f" {LATEST + 1}000000000", f" {2**60 - 1}", f" {2**60}", f" {10**15 - 1}", f" {10**15}", " " + "9" * 20,
     " " + "9" * 21, " 00000000000000000007", " 7 8", " 7\r"]
)  # fmt: skip
words_of_lines = st.lists(texts, min_size=1, max_size=2).map("".join)
lines_of_clients = st.builds(
    lambda base, tags, fields, time: (
        ",".join([base, *map("=".join, tags)]) + " " + ",".join(map("=".join, fields)) + time
    ),
    words_of_lines,
    st.lists(st.tuples(words_of_lines, words_of_lines), max_size=2),
    st.lists(st.tuples(words_of_lines, numbers), min_size=1, max_size=2),
    times,
)


@given(lines_of_clients, st.sampled_from(list(PRECISIONS)), st.sampled_from([LATEST, 2**60 - 1]))
def test_a_rewritten_line_has_the_same_samples(text: str, precision: str, latest: int) -> None:
    """Whatever is rewritten is valid, and its names, values and timestamps are exactly those of the parser."""
    line = text.encode()
    samples = rewritten(line, precision, latest)
    if samples is not None:
        expected = parse_point(line, NOW, per_second=PRECISIONS[precision], latest=latest)
        assert isinstance(expected, Point)
        assert (expected.texts, expected.samples) == (0, samples)
