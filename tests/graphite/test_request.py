"""What routes are asked."""

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.request import RENDER_FORMATS, Render, choice, flag, grouped, queries
from tally.graphite.source import Window
from tally.graphite.target import Path

NOW = 1_700_000_000.0


def read(*pairs: tuple[str, str]) -> Render:
    """Return what fields ask `/render`."""
    return Render.read(grouped(pairs), NOW)


def test_what_is_not_given_has_a_default() -> None:
    """The last day, as JSON, with all values; and of no target nothing."""
    assert Render((), Window(NOW - 86_400, NOW, NOW), "json", None) == read()


def test_everything_is_read() -> None:
    """Targets in their order, blank ones left out; the range, the format and the width; and nothing else."""
    asked = read(
        ("target", " a.b.c "), ("target", ""), ("target", "d.e.f"), ("from", "-2h"), ("until", "-1h"),
        ("format", "csv"), ("maxDataPoints", "300"), ("cacheTimeout", "1"), ("noCache", "yes"),
    )  # fmt: skip
    expected = (Path("a.b.c"), Path("d.e.f")), Window(NOW - 7200, NOW - 3600, NOW), "csv", 300
    assert Render(*expected) == asked


@pytest.mark.parametrize("name", ["from", "until"])
def test_an_empty_time_is_the_default(name: str) -> None:
    """A form that sends all its fields sends empty ones too."""
    assert read().window == read((name, "")).window


def test_times_are_put_in_order() -> None:
    """As Graphite does where they are the wrong way round."""
    assert Window(100, 200, NOW) == read(("from", "200"), ("until", "100")).window


@pytest.mark.parametrize(("text", "expected"), [
    ("1", 1), ("0", None), ("-1", None), ("+5", None), ("", None), ("x", None), ("1.5", None), ("9" * 17, None),
])  # fmt: skip
def test_a_width_that_is_none_is_ignored(text: str, expected: int | None) -> None:
    """Grafana asks for no width by 0, and Graphite ignores what is no whole number."""
    assert expected == read(("maxDataPoints", text)).points_max


@pytest.mark.parametrize(
    ("name", "text"),
    [("target", "f("), ("from", "soon"), ("until", "soon"), ("until", "-24h"), ("format", "png")],
)  # fmt: skip
def test_what_is_wrong_is_told(name: str, text: str) -> None:
    """The error names what is wrong."""
    with pytest.raises(InvalidQuestion, match=name):
        read((name, text))


def test_flags_and_choices() -> None:
    """The last of several counts; what is neither is told."""
    fields = grouped([("on", "0"), ("on", "1"), ("format", "csv"), ("bad", "yes")])
    assert (True, False, "csv", "json") == (
        flag(fields, "on"), flag(fields, "off"), choice(fields, "format", RENDER_FORMATS), choice({}, "x", ("json",)),
    )  # fmt: skip
    with pytest.raises(InvalidQuestion, match="bad"):
        flag(fields, "bad")


def test_patterns_are_needed() -> None:
    """Those that are given, but for blank ones; none is an error."""
    assert ["a.*", "b"] == queries(grouped([("query", "a.*"), ("query", ""), ("query", "b")]))
    with pytest.raises(InvalidQuestion, match="query is missing"):
        queries({"query": [""]})
