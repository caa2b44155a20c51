"""Parsing of targets."""

import time
from typing import Any

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.target import ARGUMENTS_MAX, DEPTH_MAX, Call, Path, parse, shorten


def call(name: str, *arguments: Any, depth: int = 1, **keywords: Any) -> Call:
    """Return a parsed call."""
    return Call(name, arguments, keywords, depth)


A = Path("daily.a.sum")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("daily.a.sum", A),
        (" daily.a.sum ", A),
        ("daily.*.{a,b}.[0-9]?.avg", Path("daily.*.{a,b}.[0-9]?.avg")),
        (r"daily.f\(x\,y\).sum", Path(r"daily.f\(x\,y\).sum")),
        ("daily.a;k=v.sum", Path("daily.a;k=v.sum")),
        ("10.a.sum", Path("10.a.sum")),
        ("absolute(daily.a.sum)", call("absolute", A)),
        ("absolute ( daily.a.sum )", call("absolute", A)),
        ("absolute(daily.a;k=v.sum)", call("absolute", Path("daily.a;k=v.sum"))),
        ("absolute(10.a.sum)", call("absolute", Path("10.a.sum"))),
        ("absolute(1e3.a.sum)", call("absolute", Path("1e3.a.sum"))),
        ("absolute(true.a.sum)", call("absolute", Path("true.a.sum"))),
        ("f()", call("f")),
        ("f(1,-2, 0.5 ,1e3,.5)", call("f", 1, -2, 0.5, 1000.0, 0.5)),
        ("f(true,False,None,inf)", call("f", True, False, None, float("inf"))),
        ("""f("it's", 'a "b"', '')""", call("f", "it's", 'a "b"', "")),
        (r'f("(^.*$)", "\1 A")', call("f", "(^.*$)", r"\1 A")),
        (r"""f("a \"b\"", 'it\'s', "\\")""", call("f", r"a \"b\"", r"it\'s", r"\\")),
        ("f(daily.a.sum, n=1, func='avg')", call("f", A, n=1, func="avg")),
        ("f(g(daily.a.sum), daily.a.sum)", call("f", call("g", A), A, depth=2)),
        ("f(x=g(daily.a.sum))", call("f", depth=2, x=call("g", A))),
    ],
)
def test_targets_are_parsed(text: str, expected: Path | Call) -> None:
    """Paths, calls and values are distinguished as in Graphite."""
    assert expected == parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "f(", "f)", "f(a", "f(a,,b)", "f(,a)", "a b", "'text'", "{", "a{b", "a}", "f(a)b", "f(a).b", "f(a=)", "((a))",
     "f(n=1,a)", "f(n=1,n=2)", '"', "a\\", "f(" * 5000, "(" * 5000],
    ids=lambda text: text[:10],
)  # fmt: skip
def test_malformed_targets_are_rejected(text: str) -> None:
    """A malformed target raises one clear error, in bounded time."""
    began = time.monotonic()
    with pytest.raises(InvalidQuestion, match="target"):
        parse(text)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("depth", "is_one"), [(DEPTH_MAX, True), (DEPTH_MAX + 1, False)])
def test_depth_is_limited(depth: int, is_one: bool) -> None:
    """Functions may be nested up to DEPTH_MAX."""
    text = "absolute(" * depth + "daily.a.sum" + ")" * depth
    if is_one:
        assert f"depth={depth}" in repr(parse(text))
    else:
        with pytest.raises(InvalidQuestion, match=str(DEPTH_MAX)):
            parse(text)


@pytest.mark.parametrize(("count", "is_one"), [(ARGUMENTS_MAX, True), (ARGUMENTS_MAX + 1, False)])
def test_arguments_are_limited(count: int, is_one: bool) -> None:
    """A function may have up to ARGUMENTS_MAX arguments."""
    text = f"f({','.join(['1'] * count)})"
    if is_one:
        assert call("f", *[1] * count) == parse(text)
    else:
        with pytest.raises(InvalidQuestion, match=str(ARGUMENTS_MAX)):
            parse(text)


def test_a_long_target_is_truncated_in_errors() -> None:
    """An error shows only the beginning of a long target."""
    assert (repr("a" * 100), 103) == (shorten("a" * 100), len(shorten("a" * 5000)))
