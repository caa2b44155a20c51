"""Regular expressions in targets, and their limits."""

import time
from contextlib import suppress

import pytest

from tally.engine.asking.expression import EXPRESSION_MAX
from tally.errors import InvalidQuestion
from tally.graphite.expression import NAME_MAX, Expression


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [("get", "requests.get.index", True), ("^get", "requests.get.index", False), (r"\.index$", "a.index", True),
     ("", "a", True), ("(?i)GET", "get", True), ("é", "café", True), ("^.$", "é", True)],
)  # fmt: skip
def test_expressions_match_anywhere(text: str, name: str, expected: bool) -> None:
    """As in Graphite, an expression may match any part of a name."""
    assert expected == Expression(text).is_in(name)


@pytest.mark.parametrize(
    ("text", "replacement", "name", "expected"),
    [(r"^.*\.get\.(\w+).*$", r"\1", "requests.get.index.avg", "index"), ("(^.*$)", r"\1 A", "a.b", "a.b A"),
     ("x", "y", "a.b", "a.b"), ("a", "", "banana", "bnn"), ("(?P<n>a)", r"\g<n>\g<n>", "a", "aa")],
)  # fmt: skip
def test_matches_are_replaced(text: str, replacement: str, name: str, expected: str) -> None:
    """A replacement may refer to groups."""
    assert expected == Expression(text).sub(replacement, name)


@pytest.mark.parametrize(
    "text",
    ["(", "[", "*a", "a{2,1}", "(?P<x>", "\\", "(" * 500, "(?=a)", r"(a)\1", "a{1001}", "((a|b|c){100}){100}",
     r"\p{L}{1000}" * 50, "a" * (EXPRESSION_MAX + 1)],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_malformed_expressions_are_rejected(text: str) -> None:
    """An expression that RE2 cannot compile raises InvalidQuestion."""
    with pytest.raises(InvalidQuestion, match="regular expression"):
        Expression(text)


@pytest.mark.parametrize("replacement", [r"\2", r"\g<x>", "\\"])
def test_malformed_replacements_are_rejected(replacement: str) -> None:
    """A replacement with an unknown group raises InvalidQuestion."""
    with pytest.raises(InvalidQuestion, match="cannot replace"):
        Expression("(a)").sub(replacement, "a")


@pytest.mark.parametrize("text", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*)*(.*)*(.*)*x", "(?:a?){500}a{500}b"])
def test_expressions_match_in_linear_time(text: str) -> None:
    """An expression that takes exponential time in `re` is stopped, or takes no longer than others."""
    expression, name = Expression(text), "a" * 200 + "!"
    began = time.monotonic()
    with suppress(InvalidQuestion):
        for _ in range(1000):
            assert not expression.is_in(name)
    assert time.monotonic() - began < 5


def test_the_time_limit_is_for_all_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is matched after the time limit."""
    monkeypatch.setattr("tally.graphite.expression.TIME_MS", -1)
    with pytest.raises(InvalidQuestion, match="takes too long"):
        Expression("a").is_in("a")


def test_long_results_are_truncated() -> None:
    """A name that replacements make too long is truncated."""
    assert NAME_MAX == len(Expression("a").sub("b" * 100, "a" * 1000))
