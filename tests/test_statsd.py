"""What StatsD and DogStatsD lines measure, and why others are not taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.statsd import (
    MEMBER_MAX_BYTES,
    NAME_MAX_CHARACTERS,
    Gauge,
    Line,
    Measures,
    Observed,
    cleaned,
    is_statsd,
    not_a_measure,
    parse_line,
)
from tally.wire import NAME_MAX_BYTES, VALUE_MAX, Reason, decode_name
from tally.wire import parse_line as parse_plain

NOW = 1_700_000_000
FUTURE_S = 60


def parsed(text: str) -> Line | Reason:
    """Return what stands in a line that comes in the second NOW."""
    return parse_line(text.encode(), NOW, FUTURE_S)


def measured(text: str) -> Measures:
    """Return what a good line measures."""
    found = parsed(text)
    assert isinstance(found, Line), found
    return found.measures


def named(text: str) -> str | Reason:
    """Return the name under which a line measures."""
    found = parsed(text)
    return found if isinstance(found, Reason) else found.name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"a:1|c", True),
        (b"a b:1|", True),
        (b"_e{1,1}:a|b", True),
        (b":|", True),
        (b"a:\xff|s", True),
        (b"a:1|c|#b:c d e 1", True),
        (b"a:1|c|#b:the 1 c", True),
        (b"a|b:c", False),
        (b"a|b", False),
        (b"a:b", False),
        (b"_sc|a|0", False),
        (b"a:1|c 0.25 1700000061", False),
        (b"a:1|c\x01 0.25", False),
        (b"x" * NAME_MAX_BYTES + b":1|c 0.25", False),
    ],
)
def test_a_colon_and_after_it_a_bar_make_it_statsd(line: bytes, expected: bool) -> None:
    """No other line that is no plain one is StatsD, and none that is plain but for its name or a time too far ahead."""
    plainly = parse_plain(line, NOW, FUTURE_S)
    assert isinstance(plainly, Reason)
    assert expected == is_statsd(line, plainly)


@pytest.mark.parametrize(
    ("text", "observed"),
    [
        ("a:1|c", [(1, 1)]),
        ("a:-2.5|c", [(-2.5, 1)]),
        ("a:320|ms|@0.1", [(320, 10)]),
        ("a:1|h|@0.5", [(1, 2)]),
        ("a:1|d|@1", [(1, 1)]),
        ("a:1:2:3|d|@0.25", [(1, 4), (2, 4), (3, 4)]),
        ("a:1|c:2|ms", [(1, 1), (2, 1)]),
        ("a:1|c|@0.1:2|ms:3:4|h|@0.5", [(1, 10), (2, 1), (3, 2), (4, 2)]),
        ("a:1|c|#b:c|@0.5", [(1, 2)]),
        (" a:1| c \r", [(1, 1)]),
        ("a:1|c|@0.000000001", [(1, 1 / 1e-9)]),
    ],
)
def test_samples_are_weighted_by_their_rate(text: str, observed: list[tuple[float, float]]) -> None:
    """Counters, timings, histograms and distributions are samples that stand for one by rate; etsy packs them too."""
    assert Measures([Observed(*each) for each in observed], [], set()) == measured(text)


@pytest.mark.parametrize(
    ("text", "gauges"),
    [
        ("a:3|g", [(3, False)]),
        ("a:+3|g", [(3, True)]),
        ("a:-3|g", [(-3, True)]),
        ("a:0|g:-3|g", [(0, False), (-3, True)]),
        ("a:3:+1|g|@0.1", [(3, False), (1, True)]),
    ],
)
def test_a_sign_makes_a_change_of_a_gauge(text: str, gauges: list[tuple[float, bool]]) -> None:
    """Steps keep their order, and a rate means nothing to them."""
    assert Measures([], [Gauge(*each) for each in gauges], set()) == measured(text)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("a:ada|s", {"ada"}),
        ("a:http://x/|s|#b", {"http://x/"}),
        ("a:x|s:y|s", {"x", "y"}),
        ("a:é" + "x" * (MEMBER_MAX_BYTES - 2) + "|s", {"é" + "x" * (MEMBER_MAX_BYTES - 2)}),
    ],
)
def test_members_of_a_set_are_text(text: str, members: set[str]) -> None:
    """A member may hold anything but a bar, colons too."""
    assert Measures([], [], members) == measured(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a:1|x", Reason.TYPE),
        ("a:1|", Reason.TYPE),
        ("a:1|C", Reason.TYPE),
        ("a:1|c:2", Reason.TYPE),
        ("a:1|c|@0", Reason.RATE),
        ("a:1|c|@0.0000000009", Reason.RATE),
        ("a:1|c|@1.0000001", Reason.RATE),
        ("a:1|c|@-0.5", Reason.RATE),
        ("a:1|c|@half", Reason.RATE),
        ("a:|c", Reason.VALUE),
        ("a:x|ms", Reason.VALUE),
        ("a:nan|g", Reason.VALUE),
        ("a:inf|c", Reason.VALUE),
        ("a:1.1e100|c", Reason.VALUE),
        ("a:1::2|d", Reason.VALUE),
        ("a:|s", Reason.VALUE),
        ("a:" + "x" * (MEMBER_MAX_BYTES + 1) + "|s", Reason.VALUE),
        ("a:1|c|0.5", Reason.FIELDS),
        ("a:1|c|", Reason.FIELDS),
        (f"a:1|c|T{NOW + FUTURE_S + 1}", Reason.FUTURE),
        ("a:1|c|Tsoon", Reason.TIMESTAMP),
        (":1|c", Reason.NAME),
        ("é:1|c", Reason.NAME),
        ("a:1|c|#:b", Reason.NAME),
        ("_e{5,4}:title|text", Reason.EVENT),
        ("_sc|my:check|0", Reason.CHECK),
    ],
)
def test_what_is_wrong_is_told(text: str, reason: Reason) -> None:
    """Nothing of such a line is taken."""
    assert reason == parsed(text)


def test_bytes_that_are_no_text() -> None:
    """A line that is not UTF-8 says so."""
    assert Reason.ENCODING == parse_line(b"a:\xff|s", NOW, FUTURE_S)


@pytest.mark.parametrize(
    ("line", "expected"),
    [(b"_e{1,1}:a|b", Reason.EVENT), (b"_sc|a|0", Reason.CHECK), (b"_sc", None), (b"a:1|c", None), (b"", None)],
)
def test_events_and_service_checks_are_told_from_measures(line: bytes, expected: Reason | None) -> None:
    """What else DogStatsD clients send has reasons of its own."""
    assert expected == not_a_measure(line)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.b-c_D9:1|c", "a.b-c_D9"),
        ("my  page/über:1|c", "my_page-ber"),
        ("a[*]?:1|c", "a"),
        ("a:1|c|#b:c", "a;b=c"),
        ("a:1|c|#z:1,b:2", "a;b=2;z=1"),
        ("a:1|c|#z:1|#b:2", "a;b=2;z=1"),
        ("a;z=1:1|c|#b:2", "a;b=2;z=1"),
        ("a:1|c|#a.b:1,a:2", "a;a=2;a.b=1"),
        ("a:1|c|#flag", "a;flag=true"),
        ("a:1|c|#flag:", "a;flag=true"),
        ("a:1|c|#b:c,b:c,", "a;b=c"),
        ("a:1|c|#b:d,b:c", "a;b=c;b=d"),
        ("a:1|c|#url:http://x/y z", "a;url=http--x-y_z"),
        ("a:1|c|#", "a"),
        ("a:1|c|c:ci-0123|e:it-false,pu-1|card:low", "a"),
        ("a:1|c|#b:c|c:in-1", "a;b=c"),
        ("x" * NAME_MAX_BYTES + ":1|c", "x" * NAME_MAX_BYTES),
        ("x" * (NAME_MAX_BYTES + 1) + ":1|c", Reason.NAME),
        ("x" * 252 + ":1|c|#b:c", Reason.NAME),
        ("x" * 251 + ":1|c|#b:c", "x" * 251 + ";b=c"),
        ("?" * (NAME_MAX_CHARACTERS - 1) + "x:1|c", "x"),
        ("?" * NAME_MAX_CHARACTERS + "x:1|c", Reason.NAME),
    ],
)
def test_a_name_is_cleaned_and_carries_its_tags(text: str, name: str | Reason) -> None:
    """Tags stand after the name as Graphite writes them, sorted by key, and cleaned as the name is."""
    assert name == named(text)


def test_a_timestamp_of_dogstatsd_is_that_of_the_line() -> None:
    """What has no timestamp belongs to the second of receipt."""
    for text, expected in ((f"a:1|c|T{NOW - 5}", NOW - 5), ("a:1|c", NOW)):
        found = parsed(text)
        assert isinstance(found, Line)
        assert expected == found.timestamp


pieces = st.sampled_from(
    [
        "a",
        "b.c",
        ":",
        "|",
        "1",
        "-2.5",
        "+3",
        "1e100",
        "c",
        "ms",
        "g",
        "s",
        "@",
        "0.5",
        "#",
        ",",
        ";",
        "=",
        "T",
        "é",
        " ",
    ]
)


@given(st.lists(pieces, max_size=14).map("".join) | st.text(max_size=30))
def test_whatever_comes_is_judged(text: str) -> None:
    """Each line gives a reason, or a name that may be one, and numbers within the bounds of samples."""
    found = parsed(text)
    if isinstance(found, Line):
        assert found.name == decode_name(found.name.encode())
        assert all(abs(each.value) <= VALUE_MAX and 1 <= each.weight <= 1e9 for each in found.measures.observed)
        assert all(abs(each.value) <= VALUE_MAX for each in found.measures.gauges)
        assert any(found.measures)


@given(st.text(max_size=30))
def test_a_clean_name_stays_as_it_is(text: str) -> None:
    """To clean a name again changes nothing."""
    assert cleaned(text) == cleaned(cleaned(text))
