"""What StatsD and DogStatsD lines measure, and why others are not taken."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.lines.grammar import parse_line
from tally.lines.plain import NAME_MAX_BYTES, VALUE_MAX, Reason, Sample, canonical, decode_name
from tally.lines.statsd import (
    MEMBER_MAX_BYTES,
    NAME_MAX_CHARACTERS,
    Gauge,
    Line,
    Measures,
    Observed,
    clean_name,
    find_unsupported,
)

NOW = 1_700_000_000
FUTURE_S = 60


def parsed(text: str) -> Line | Reason:
    """Return what stands in a line that comes in the second NOW."""
    found = parse_line(text.encode(), NOW, FUTURE_S)
    assert not isinstance(found, Sample)
    return found


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
        ("a:-1|ms", [(-1, 1)]),
        ("a: 1|c", [(1, 1)]),
        ("a:\t1 : 2 | ms |@ 0.5 | #b:c", [(1, 2), (2, 2)]),
        ("a:1|c|#b:c| @ 0.5", [(1, 2)]),
        ("a:1|c|@", [(1, 1)]),
        ("a:1|c|@|#b:c", [(1, 1)]),
        ("a:1|c|", [(1, 1)]),
        ("a:1|c|zz:top|@0.5|y", [(1, 2)]),
        ("a:1|c|c:ci-0123|e:it-false,pu-1|card:low|#b:c", [(1, 1)]),
        ("a:1|ms:nan:NaN|ms|#b", [(1, 1)]),
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
        ("a: -3|g", [(-3, True)]),
        ("a:nan:3|g", [(3, False)]),
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
        ("a: x y |s", {"x y"}),
        ("a:nan|s", {"nan"}),
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
        ("a:nan|g", Reason.EMPTY),
        ("a:-NaN|ms|@0.5|#b:c", Reason.EMPTY),
        ("a:nan:x|ms", Reason.VALUE),
        ("a:nan|zz", Reason.TYPE),
        ("a:nan|c|@7", Reason.RATE),
        ("a:inf|c", Reason.VALUE),
        ("a:1.1e100|c", Reason.VALUE),
        ("a:1::2|d", Reason.VALUE),
        ("a:|s", Reason.VALUE),
        ("a:" + "x" * (MEMBER_MAX_BYTES + 1) + "|s", Reason.VALUE),
        ("a:1|c|0.5", Reason.FIELDS),
        ("a:1|c|#b|c", Reason.FIELDS),
        ("a:1|c|zz:1|ms|@0.5", Reason.FIELDS),
        ("a:1|c|1e3", Reason.FIELDS),
        (f"a:1|c|T{NOW + FUTURE_S + 1}", Reason.FUTURE),
        ("a:1|c|Tsoon", Reason.TIMESTAMP),
        (":1|c", Reason.NAME),
        ("é:1|c", Reason.NAME),
        ("[a=b]:1|c", Reason.NAME),
        (",a=b:1|c", Reason.NAME),
        ("a:1|c|#:b", Reason.NAME),
        ("a,=b:1|c", Reason.NAME),
        ("_e{5,4}:title|text", Reason.EVENT),
        ("_sc|my:check|0", Reason.CHECK),
    ],
)
def test_what_is_wrong_is_told(text: str, reason: Reason) -> None:
    """Nothing of such a line is taken."""
    assert reason == parsed(text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [(b"_e{1,1}:a|b", Reason.EVENT), (b"_sc|a|0", Reason.CHECK), (b"_sc", None), (b"a:1|c", None), (b"", None)],
)
def test_events_and_service_checks_are_told_from_measures(line: bytes, expected: Reason | None) -> None:
    """What else DogStatsD clients send has reasons of its own."""
    assert expected == find_unsupported(line)


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
        ("a:1|c|#url:http://x/y z", "a;url=http://x/y_z"),
        ("a:1|c|#svc:Kafka::Config", "a;svc=Kafka::Config"),
        ("a:1|c|#url:/a//b", "a;url=/a//b"),
        ("a:1|c|#country=china", "a;country=china"),
        ("a:1|c|#country=a:b,city:c=d", "a;city=c=d;country=a:b"),
        ("a:1|c|#größe:übel,日本:🙂", "a;größe=übel;日本=🙂"),
        ("a:1|c|#a!b^c;d\te:f;g\u00a0h", "a;a_b_c_d_e=f_g_h"),
        ("a:1|c|#b:~x~,c:~", "a;b=_x~;c=_"),
        ("page,env=prod:1|c", "page;env=prod"),
        ("page.load,host=web1,env=prod,beta:1|c|#code:200", "page.load;beta=true;code=200;env=prod;host=web1"),
        ("page[env=prod]:1|c", "page;env=prod"),
        ("page[env=prod,url=http://x/]load:1|c", "pageload;env=prod;url=http://x/"),
        ("page#env=prod,beta:1|c", "page;beta=true;env=prod"),
        ("page;b=x,y=z;a=[1]:1|c", "page;a=[1];b=x,y=z"),
        ("page[3]:1|c", "page3"),
        ("page[env=prod:1|c", "pageenvprod"),
        ("page,load:1|c", "pageload"),
        ("a:1|c|#", "a"),
        ("a:1|c|c:ci-0123|e:it-false,pu-1|card:low", "a"),
        ("a:1|c|#b:c|c:in-1", "a;b=c"),
        ("x" * NAME_MAX_BYTES + ":1|c", "x" * NAME_MAX_BYTES),
        ("x" * (NAME_MAX_BYTES + 1) + ":1|c", Reason.NAME),
        ("x" * 252 + ":1|c|#b:c", Reason.NAME),
        ("x" * 251 + ":1|c|#b:c", "x" * 251 + ";b=c"),
        ("x" * 250 + ":1|c|#b:é", "x" * 250 + ";b=é"),
        ("x" * 251 + ":1|c|#b:é", Reason.NAME),
        ("?" * (NAME_MAX_CHARACTERS - 1) + "x:1|c", "x"),
        ("?" * NAME_MAX_CHARACTERS + "x:1|c", Reason.NAME),
    ],
)
def test_a_name_is_cleaned_and_carries_its_tags(text: str, name: str | Reason) -> None:
    """Tags stand after the name as Graphite writes them, sorted by key, whichever way they came."""
    assert name == named(text)
    assert isinstance(name, Reason) or name == canonical(name)


# What becomes `_`: of a key these, of a value the first five, and a `~` at its start.
BLANKS = ["_", ";", " ", "\x01", "\u2003", "!", "^", "="]
keys = st.text(st.sampled_from(["a", "B", ".", "/", "~", "é", "🙂", "[", "{", *BLANKS]), min_size=1, max_size=4)
tag_values = st.text(st.sampled_from(["a", ":", "/", "=", "!", "é", "\u200b", *BLANKS, "~"]), min_size=1, max_size=4)


def looks(key: str, value: str) -> tuple[str, str]:
    """Return a tag with the characters alike that cleaning makes alike."""
    value = "_" + value[1:] if value[0] == "~" else value
    return (
        "".join("_" if each in BLANKS else each for each in key),
        "".join("_" if each in BLANKS[:5] else each for each in value),
    )


@settings(max_examples=1000)
@given(keys.filter(lambda key: "=" not in key), tag_values, keys.filter(lambda key: "=" not in key), tag_values)
def test_cleaning_joins_no_tags_that_differ(key: str, value: str, other_key: str, other_value: str) -> None:
    """Two tags become one only where they differ in nothing but characters that a name cannot have."""
    first, second = named(f"a:1|c|#{key}:{value}x"), named(f"a:1|c|#{other_key}:{other_value}x")
    assert not {first, second} & set(Reason)
    assert (first == second) == (looks(key, value + "x") == looks(other_key, other_value + "x"))


@pytest.mark.parametrize("form", ["a;{}={}:1|c", "a,{}={}:1|c", "a[{}={}]:1|c", "a#{}={}:1|c", "a:1|c|#{}={}"])
@given(st.text("ab/.~é ", min_size=1, max_size=5), st.text("ab/.é =!", min_size=1, max_size=5))
def test_every_way_to_write_a_tag_is_the_same(form: str, key: str, value: str) -> None:
    """Graphite's, InfluxDB's, SignalFx's, Librato's and DogStatsD's way make the same name."""
    assert named(f"a:1|c|#{key}:{value}x") == named(form.format(key, value + "x"))


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
    found = parse_line(f"a:{text}|c".encode(), NOW, FUTURE_S)
    if isinstance(found, Line):
        assert found.name == canonical(found.name) == decode_name(found.name.encode())
        assert all(abs(each.value) <= VALUE_MAX and 1 <= each.weight <= 1e9 for each in found.measures.observed)
        assert all(abs(each.value) <= VALUE_MAX for each in found.measures.gauges)
        assert any(found.measures)


@given(st.text(max_size=30))
def test_a_clean_name_stays_as_it_is(text: str) -> None:
    """To clean a name again changes nothing."""
    assert clean_name(text) == clean_name(clean_name(text))
