"""Validation of questions: values on either side of each bound, and error messages."""

import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine.asking.grouping import PARTS_MAX, Group
from tally.engine.asking.question import (
    AGGREGATES,
    GLOB_MAX,
    KINDS,
    PARAMETERS,
    WHOLE_MAX,
    Question,
    parse_flag,
    parse_time,
)
from tally.engine.asking.tags import TagExpression
from tally.errors import InvalidQuestion, UnknownAggregate

NOW = 1_700_000_000.5
# Where each parameter has a meaning.
PLACES = {"fill": "timedata", "bins": "histogram"}
OF_ALL = ("percentiles", "bins")


def parse(kind: str, *parameters: tuple[str, str], aggregate: str | None = None, by: str = "time") -> Question:
    """Parse parameters at NOW."""
    return Question.parse(kind, parameters, aggregate=aggregate, by=by, now=NOW)


def one(name: str, text: str) -> Any:
    """Return the parsed value of a parameter."""
    aggregate = None if name in OF_ALL else "sum"
    question = parse(PLACES.get(name, "values"), (name, text), aggregate=aggregate)
    return getattr(question, name)


GOOD: dict[str, list[tuple[str, Any]]] = {
    "q": [
        ("*", ("*",)),
        ("requests.*", ("requests.*",)),
        ("[", ("[",)),
        ("a b\n", ("a b\n",)),
        ("é" * GLOB_MAX, ("é" * GLOB_MAX,)),
    ],
    "where": [
        ("env=prod", (TagExpression("env", "=", "prod"),)),
        ("env!=", (TagExpression("env", "!=", ""),)),
        ("é-1.x=~^a|b$", (TagExpression("é-1.x", "=~", "^a|b$"),)),
        ("env!=~=", (TagExpression("env", "!=~", "="),)),
    ],
    "source": [("web1", ("web1",)), ("web*", ("web*",))],
    "group": [
        ("node:1", Group(nodes=(1,))),
        ("node:0,-1,999", Group(nodes=(0, -1, 999))),
        ("tag:env", Group(tags=("env",))),
        ("tag:" + ",".join("k" * PARTS_MAX), Group(tags=("k",) * PARTS_MAX)),
    ],
    "since": [
        ("0", 0),
        ("1700000000", 1700000000),
        ("1700000000.25", 1700000000.25),
        ("+17e8", 1700000000),
        ("-0", 0),
        (str(WHOLE_MAX), WHOLE_MAX),
        ("now", NOW),
        ("-90s", NOW - 90),
        ("-0s", NOW),
        ("-15min", NOW - 900),
        ("-1h", NOW - 3600),
        ("-7d", NOW - 7 * 86400),
        ("-2w", NOW - 14 * 86400),
        ("-999999999999s", NOW - 999999999999),
        ("2023-11-14T22:13:20Z", 1700000000),
        ("2023-11-14T22:13:20", 1700000000),
        ("2023-11-14 22:13:20", 1700000000),
        ("2023-11-15T00:13:20+02:00", 1700000000),
        ("2023-11-14T22:13:20.5Z", 1700000000.5),
        ("2023-11-14T22:13Z", 1699999980),
        ("2023-11-14", 1699920000),
        ("1969-12-31T23:59:50Z", -10),
        ("9999-12-31T23:59:59Z", 253402300799),
    ],
    "low": [("0", 0), ("-1.5", -1.5), ("+1e3", 1000), (".5", 0.5), ("5.", 5), ("1e308", 1e308), ("1e-400", 0)],
    "step": [("1", 1), ("0060", 60), (str(WHOLE_MAX), WHOLE_MAX)],
    "percentiles": [("50", ("p50",)), ("0,99.9,100", ("p0", "p99.9", "p100")), ("099.123456", ("p099.123456",))],
    "bins": [("3", 3), ("10000", 10000)],
    "fill": [("null", "null"), ("0", "0"), ("previous", "previous")],
    "format": [("json", "json"), ("rows", "rows"), ("csv", "csv")],
    "pretty": [("", True), ("1", True), ("true", True), ("TRUE", True), ("0", False), ("false", False)],
}
GOOD |= {"until": GOOD["since"], "high": GOOD["low"], "moving": GOOD["step"], "limit": GOOD["step"]}

NO_TIME = "is not a time: use unix seconds, ISO 8601, now, or a relative time such as -90s, -15min, -1h, -7d or -2w"
NO_NUMBER = "is not a number: use a decimal number such as 0.5"
NOT_WHOLE = f"is not valid: use a whole number from 1 to {WHOLE_MAX}"
BAD: dict[str, tuple[str, list[str]]] = {
    "q": (
        f"is not a glob: use 1 to {GLOB_MAX} characters such as requests.get.*",
        ["", "a" * (GLOB_MAX + 1), "a\0", "\ud800"],
    ),
    "where": (
        "is not a tag expression: use for example env=prod, env!=prod, env=~^pr or env!=~^pr",
        ["", "env", "=prod", "!=", "env~prod", "a b=c", "env=a;b", "a;b=c", "en!v=x", "env=\0", "env=\ud800"],
    ),
    "source": (
        f"is not a glob: use 1 to {GLOB_MAX} characters such as requests.get.*",
        ["", "a" * (GLOB_MAX + 1), "a\0"],
    ),
    "group": (
        f"is not valid: use up to {PARTS_MAX} parts or tags, such as node:1, node:0,-1, tag:env or tag:env,host",
        [
            *("", "1", "node", "node:", "node:x", "node:1,", "node:,1", "node:1000", "node:+1", "node: 1", "node:٣"),
            *("tag:", "tag:a,", "tag:a=b", "tag:a b", "env", "Tag:env", "tag:" + ",".join("k" * (PARTS_MAX + 1))),
        ],
    ),
    "since": (
        NO_TIME,
        [
            *(
                "",
                " ",
                "yesterday",
                "-1",
                "-0.5",
                "1e400",
                "1e17",
                str(WHOLE_MAX + 2),
                "nan",
                "inf",
                "Now",
                "now ",
                "1_0",
            ),
            *("-1m", "-1y", "-h", "1h", "-1.5h", "- 1h", "-1H", "-1000000000000s", "-٣s", "٣", "-1h-1h", "-1h\n"),
            *(
                "2023-13-01",
                "2023-02-30",
                "2023-11-14T25:00",
                "2023-11-14T22:13:20+25:00",
                "10000-01-01",
                "22:13",
                "0x10",
            ),
        ],
    ),
    "low": (
        NO_NUMBER,
        ["", " 1", "1 ", "x", "nan", "inf", "-inf", "1e400", "-1e400", "1_0", "1,5", "0x1", "٣", "1e", "."],
    ),
    "step": (
        NOT_WHOLE,
        ["", "0", "00", "-1", "1.5", "1e3", "+1", " 1", "x", "٣", str(WHOLE_MAX + 1), "9" * 17, "9" * 5000],
    ),
    "percentiles": (
        "is not valid: use up to 20 different numbers from 0 to 100, separated by commas",
        ["", "p50", "-1", "100.1", "101", "50,", "50,50", "50;95", "1.1234567", "1e1", ",".join(map(str, range(21)))],
    ),
    "bins": ("is not valid: use a whole number from 3 to 10000", ["", "2", "10001", "x"]),
    "fill": ("is not known: use null, 0 or previous", ["", "1", "Null", "none", "previous "]),
    "format": ("is not known: use json, rows, csv or parquet", ["", "JSON", "xml"]),
    "pretty": ("is not a flag: use 1 or 0", ["2", "yes", " ", "on"]),
}
BAD |= {"until": BAD["since"], "high": BAD["low"], "moving": BAD["step"], "limit": BAD["step"]}


def test_every_parameter_is_in_the_tables() -> None:
    """These tests cover every parameter."""
    assert set(PARAMETERS) == set(GOOD) == set(BAD)


@pytest.mark.parametrize(("name", "text", "expected"), [(name, *row) for name, rows in GOOD.items() for row in rows])
def test_a_valid_value(name: str, text: str, expected: Any) -> None:
    """Text is parsed to its value."""
    assert expected == one(name, text)


@pytest.mark.parametrize(
    ("name", "text", "right"), [(name, text, right) for name, (right, texts) in BAD.items() for text in texts]
)
def test_an_invalid_value(name: str, text: str, right: str) -> None:
    """The error names the parameter, the value, and a correct value."""
    with pytest.raises(InvalidQuestion) as caught:
        one(name, text)
    shown = repr(text)[:100]
    assert f"{name} {shown} {right}" == str(caught.value)


def test_repeated_parameters() -> None:
    """Only q, where and source may be given several times."""
    assert ("a*", "b") == parse("values", ("q", "a*"), ("q", "b")).q
    assert ["a", "b"] == [each.key for each in parse("values", ("where", "a="), ("where", "b=")).where]
    assert ("a", "b") == parse("values", ("source", "a"), ("source", "b")).source
    for name in set(PARAMETERS) - {"q", "where", "source"}:
        text = GOOD[name][0][0]
        with pytest.raises(InvalidQuestion, match=f"^parameter '{name}' is given twice: give it once$"):
            parse(PLACES.get(name, "values"), (name, text), (name, text), aggregate=None if name in OF_ALL else "sum")


@pytest.mark.parametrize("name", ["Since", "since ", "", "limits", "x" * 500, "é", "kind", "aggregate", "by"])
def test_unknown_parameter(name: str) -> None:
    """The error names the unknown parameter and lists all parameters."""
    with pytest.raises(InvalidQuestion) as caught:
        parse("values", (name, "1"))
    assert f"parameter {name!r:.100} is unknown: use one of {', '.join(PARAMETERS)}" == str(caught.value)


def test_underscore_names_are_ignored() -> None:
    """Parameters that begin with _ are ignored, whatever their value."""
    assert parse("values") == parse("values", ("_", "1"), ("_", "2"), ("_since", "x"))


EVERYWHERE = {"q", "where", "source", "since", "until", "step", "pretty"}
MEANINGS: list[tuple[str, str, str | None, set[str]]] = [
    ("values", "time", None, {"moving", "limit", "group", "percentiles", "format"}),
    ("values", "name", None, {"moving", "limit", "group", "percentiles", "format"}),
    ("values", "time", "avg", {"moving", "limit", "group", "low", "high", "format"}),
    ("values", "name", "avg", {"moving", "limit", "group", "low", "high", "format"}),
    ("aggregate", "time", None, {"moving", "percentiles", "format"}),
    ("aggregate", "time", "sum", {"moving", "low", "high", "format"}),
    ("aggregate", "name", None, {"limit", "group", "percentiles", "format"}),
    ("aggregate", "source", None, {"percentiles", "format"}),
    ("aggregate", "name", "max", {"limit", "group", "low", "high", "format"}),
    ("timedata", "time", None, {"moving", "fill", "percentiles", "format"}),
    ("timedata", "time", "count", {"moving", "fill", "low", "high", "format"}),
    ("timedata", "time", "p95", {"moving", "fill", "low", "high", "format"}),
    ("histogram", "time", None, {"bins"}),
]


@pytest.mark.parametrize(("kind", "by", "aggregate", "more"), MEANINGS)
def test_where_parameters_apply(kind: str, by: str, aggregate: str | None, more: set[str]) -> None:
    """A parameter that does not apply to a question is an error that says where it applies."""
    for name, rows in GOOD.items():
        text = rows[0][0]
        if name in EVERYWHERE | more:
            parse(kind, (name, text), aggregate=aggregate, by=by)
            continue
        with pytest.raises(InvalidQuestion) as caught:
            parse(kind, (name, text), aggregate=aggregate, by=by)
        assert f"parameter {name!r} has no meaning here: it is for {PARAMETERS[name].where}" == str(caught.value)


def test_kinds() -> None:
    """There are four kinds of questions; series and histograms are by time only, and only aggregates by source."""
    by_time = [
        ("timedata", "name"),
        ("histogram", "name"),
        *((kind, "source") for kind in KINDS if kind != "aggregate"),
    ]
    asked = [(kind, by) for kind in KINDS for by in ("time", "name", "source") if (kind, by) not in by_time]
    assert asked == [(question.kind, question.by) for question in (parse(kind, by=by) for kind, by in asked)]
    for kind, by in (*by_time, ("value", "time"), ("values", "value"), ("", "time")):
        with pytest.raises(
            InvalidQuestion, match=f"no question '{kind}' by '{by}': use values or aggregate by time or"
        ):
            parse(kind, by=by)


@pytest.mark.parametrize("aggregate", ["p0", "p50", "p99.9", "p100", "p100.000000", "p0.000001", "p007"])
def test_percentiles(aggregate: str) -> None:
    """A percentile from 0 to 100 is an aggregate."""
    question = parse("values", aggregate=aggregate)
    assert (aggregate, (aggregate,), True) == (question.aggregate, question.ranks, question.needs_sketches)


BAD_RANKS = ["p", "p-1", "p101", "p100.1", "p1e1", "p95.", "P95", "p95.1234567", "p1000", "pp95", "p٣"]


@pytest.mark.parametrize("aggregate", ["", "AVG", "median", "sum ", "bytime", *BAD_RANKS])
def test_aggregates(aggregate: str) -> None:
    """An unknown aggregate is an error of its own type that lists the aggregates."""
    assert all(name == parse("values", aggregate=name).aggregate for name in AGGREGATES)
    with pytest.raises(UnknownAggregate) as caught:
        parse("values", aggregate=aggregate)
    assert (
        f"aggregate {aggregate!r} is unknown: use one of count, sum, avg, min, max, or a percentile such as p95"
        == str(caught.value)
    )


@pytest.mark.parametrize(
    ("parameters", "stored", "expected"),
    [
        ({}, 10, 10),
        ({"step": "10"}, 10, 10),
        ({"step": "30"}, 10, 30),
        ({"step": "30"}, 1, 30),
        ({"moving": "10"}, 10, 10),
        ({"moving": "60", "step": "30"}, 10, 30),
        ({"step": "5"}, 10, "step 5 is not a multiple of the archive's resolution, 10"),
        ({"step": "15"}, 10, "step 15 is not a multiple of the archive's resolution, 10"),
        ({"moving": "5"}, 10, "moving 5 is not a multiple of a bucket's 10 seconds"),
        ({"moving": "20", "step": "30"}, 10, "moving 20 is not a multiple of a bucket's 30 seconds"),
        ({"moving": "40", "step": "30"}, 10, "moving 40 is not a multiple of a bucket's 30 seconds"),
    ],
)
def test_resolution(parameters: dict[str, str], stored: int, expected: int | str) -> None:
    """Steps are multiples of the archive's resolution, and windows multiples of the step."""
    question = parse("values", *parameters.items())
    if isinstance(expected, int):
        assert expected == question.resolution(stored)
        return
    with pytest.raises(InvalidQuestion) as caught:
        question.resolution(stored)
    assert expected == str(caught.value)


def test_a_flag_is_named() -> None:
    """The error of a flag names it, even outside of questions."""
    with pytest.raises(InvalidQuestion, match=r"^deep 'x' is not a flag"):
        parse_flag("deep", "x")


def test_iso_times_without_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ISO time without an offset is UTC, whatever the machine's time zone."""
    monkeypatch.setenv("TZ", "XXX-9")
    time.tzset()
    try:
        assert 1700000000 == parse_time("2023-11-14T22:13:20", NOW, "since")
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.timezones())
def test_iso_times(moment: datetime, zone: Any) -> None:
    """Every time can be given in ISO 8601 with its offset."""
    moment = moment.replace(tzinfo=zone)
    if moment.utcoffset().total_seconds() % 60 == 0:  # type: ignore[union-attr]
        assert moment.timestamp() == parse_time(moment.isoformat(), NOW, "since")


@settings(max_examples=500)
@given(
    st.sampled_from(KINDS),
    st.sampled_from([None, *AGGREGATES]),
    st.lists(
        st.tuples(
            st.sampled_from(sorted(PARAMETERS)) | st.text(max_size=5),
            st.text(max_size=12) | st.from_regex(r"[-+0-9.eTZ:hdwsmin]{0,12}", fullmatch=True),
        ),
        max_size=3,
    ),
)
def test_any_input_is_a_question_or_an_error(
    kind: str, aggregate: str | None, parameters: list[tuple[str, str]]
) -> None:
    """Any input gives a question or an error of one line."""
    told = ""
    try:
        assert kind == parse(kind, *parameters, aggregate=aggregate).kind
    except InvalidQuestion as error:
        told = str(error)
    assert told.isprintable()
    assert len(told) < 400
