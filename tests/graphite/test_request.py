"""The parameters of Graphite's routes."""

from datetime import datetime

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.request import RENDER_FORMATS, Render, choice, flag, grouped, jsonp, queries
from tally.graphite.source import Window
from tally.graphite.target import Path

NOW = 1_700_000_000.0


def read(*pairs: tuple[str, str]) -> Render:
    """Return the request to `/render` with these fields."""
    return Render.read(grouped(pairs), NOW)


def test_defaults() -> None:
    """By default, a request is for the last day, in JSON, with all values, and without targets."""
    assert Render((), Window(NOW - 86_400, NOW, NOW), "json", None) == read()


def test_all_parameters_are_read() -> None:
    """Targets keep their order, and blank ones are ignored, as are unknown parameters."""
    asked = read(
        ("target", " a.b.c "), ("target", ""), ("target", "d.e.f"), ("from", "-2h"), ("until", "-1h"),
        ("format", "csv"), ("maxDataPoints", "300"), ("cacheTimeout", "1"), ("noCache", "yes"),
    )  # fmt: skip
    expected = (Path("a.b.c"), Path("d.e.f")), Window(NOW - 7200, NOW - 3600, NOW), "csv", 300
    assert Render(*expected) == asked


@pytest.mark.parametrize("name", ["from", "until"])
def test_an_empty_time_is_the_default(name: str) -> None:
    """Some clients send empty fields."""
    assert read().window == read((name, "")).window


def test_swapped_times_are_sorted() -> None:
    """As in Graphite, `from` and `until` may be swapped."""
    assert Window(100, 200, NOW) == read(("from", "200"), ("until", "100")).window


@pytest.mark.parametrize(("text", "expected"), [
    ("1", 1), ("0", None), ("-1", None), ("+5", None), ("", None), ("x", None), ("1.5", None), ("9" * 17, None),
])  # fmt: skip
def test_an_invalid_width_is_ignored(text: str, expected: int | None) -> None:
    """Grafana sends 0 for no limit, and Graphite ignores what is not an integer."""
    assert expected == read(("maxDataPoints", text)).points_max


@pytest.mark.parametrize(
    ("name", "text"),
    [("target", "f("), ("from", "soon"), ("until", "soon"), ("until", "-24h"), ("format", "png")],
)  # fmt: skip
def test_malformed_parameters_are_rejected(name: str, text: str) -> None:
    """The error names the malformed parameter."""
    with pytest.raises(InvalidQuestion, match=name):
        read((name, text))


def test_flags_and_choices() -> None:
    """The last of several values counts, and an unknown value raises an error."""
    fields = grouped([("on", "0"), ("on", "1"), ("format", "csv"), ("bad", "yes")])
    assert (True, False, "csv", "json") == (
        flag(fields, "on"), flag(fields, "off"), choice(fields, "format", RENDER_FORMATS), choice({}, "x", ("json",)),
    )  # fmt: skip
    with pytest.raises(InvalidQuestion, match="bad"):
        flag(fields, "bad")


def test_patterns_are_required() -> None:
    """Blank patterns are ignored, and without any pattern an error is raised."""
    assert ["a.*", "b"] == queries(grouped([("query", "a.*"), ("query", ""), ("query", "b")]))
    with pytest.raises(InvalidQuestion, match="query is missing"):
        queries({"query": [""]})


def test_templates_of_a_request() -> None:
    """`template[name]` goes before the value in the target."""
    asked = read(("target", "template(a.$x.$y, x='1', y='2')"), ("template[x]", "3"))
    assert (Path("a.3.2"),) == asked.targets
    assert (Path("a.b"),) == read(("target[]", "a.b")).targets


@pytest.mark.parametrize(
    ("zone", "now", "times", "expected"),
    [
        # New York's midnight is 5 h after that of UTC in winter, and 4 h in summer.
        ("America/New_York", "2023-11-14T22:00:00+00:00", ("midnight", "now"), "2023-11-14T05:00:00+00:00"),
        ("America/New_York", "2023-07-14T22:00:00+00:00", ("midnight", "now"), "2023-07-14T04:00:00+00:00"),
        # It is still the day before in New York.
        ("America/New_York", "2023-11-15T03:00:00+00:00", ("midnight", "now"), "2023-11-14T05:00:00+00:00"),
        # On the day on which clocks change, midnight has the offset of the night before.
        ("America/New_York", "2024-03-10T20:00:00+00:00", ("midnight", "now"), "2024-03-10T05:00:00+00:00"),
        ("America/New_York", "2024-03-10T20:00:00+00:00", ("12:00", "now"), "2024-03-10T16:00:00+00:00"),
        ("America/New_York", "2024-11-03T20:00:00+00:00", ("midnight", "now"), "2024-11-03T04:00:00+00:00"),
        ("America/New_York", "2024-11-03T20:00:00+00:00", ("noon", "now"), "2024-11-03T17:00:00+00:00"),
        ("America/New_York", "2024-03-11T20:00:00+00:00", ("noon_yesterday", "now"), "2024-03-10T16:00:00+00:00"),
        ("Europe/Berlin", "2024-03-31T20:00:00+00:00", ("00:00_20240331", "now"), "2024-03-30T23:00:00+00:00"),
        ("Europe/Berlin", "2024-10-27T20:00:00+00:00", ("today", "now"), "2024-10-26T22:00:00+00:00"),
        ("Asia/Kathmandu", "2024-01-01T12:00:00+00:00", ("midnight", "now"), "2023-12-31T18:15:00+00:00"),
        # Offsets are seconds, and unix seconds are the same everywhere.
        ("America/New_York", "2024-03-10T20:00:00+00:00", ("-24h", "now"), "2024-03-09T20:00:00+00:00"),
        ("America/New_York", "2024-03-10T20:00:00+00:00", ("1700000000", "now"), "2023-11-14T22:13:20+00:00"),
    ],
)
def test_times_are_those_of_the_zone(zone: str, now: str, times: tuple[str, str], expected: str) -> None:
    """Days and times of day are those of `tz`, or of the setting, also when clocks change."""
    fields, at = {"from": [times[0]], "until": [times[1]]}, datetime.fromisoformat(now).timestamp()
    start = datetime.fromisoformat(expected).timestamp()
    assert start == Render.read({**fields, "tz": [zone]}, at).window.start
    assert start == Render.read(fields, at, zone=zone).window.start
    assert Render.read({**fields, "tz": ["UTC"]}, at, zone=zone) == Render.read(fields, at)


@pytest.mark.parametrize("zone", ["Mars/Base", "America", "/etc/passwd", "../UTC", "a\0b", "utc+1", "x" * 1000])
def test_unknown_zones(zone: str) -> None:
    """An unknown zone is an error, and no file outside of the database is read."""
    with pytest.raises(InvalidQuestion, match="not a time zone"):
        read(("tz", zone))
    assert read() == read(("tz", ""))


@pytest.mark.parametrize("name", ["show", "a.b.c", "$", "_x1", "a" * 100])
def test_names_of_functions(name: str) -> None:
    """`jsonp` is a name in JavaScript."""
    assert name == jsonp({"jsonp": [name]})


@pytest.mark.parametrize("name", ["1x", "a b", "a(", "a;b", "<x>", "a" * 101, "é", "a\n"])
def test_what_is_no_function(name: str) -> None:
    """Anything else could be a program."""
    with pytest.raises(InvalidQuestion, match="name of a function"):
        jsonp({"jsonp": [name]})
