"""The parameters of Graphite's routes."""

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.request import RENDER_FORMATS, Render, choice, flag, grouped, queries
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
