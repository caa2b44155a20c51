"""Regular expressions of targets: Python's, and bounded."""

import time
from contextlib import suppress

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.expression import EXPRESSION_MAX, NAME_MAX, Expression


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [("get", "requests.get.index", True), ("^get", "requests.get.index", False), (r"\.index$", "a.index", True),
     ("", "a", True), ("(?i)GET", "get", True), ("é", "café", True), ("^.$", "é", True)],
)  # fmt: skip
def test_it_is_found_anywhere(text: str, name: str, expected: bool) -> None:
    """An expression matches somewhere in a name, as Graphite's do."""
    assert expected == Expression(text).is_in(name)


@pytest.mark.parametrize(
    ("text", "replacement", "name", "expected"),
    [(r"^.*\.get\.(\w+).*$", r"\1", "requests.get.index.avg", "index"), ("(^.*$)", r"\1 A", "a.b", "a.b A"),
     ("x", "y", "a.b", "a.b"), ("a", "", "banana", "bnn"), ("(?P<n>a)", r"\g<n>\g<n>", "a", "aa")],
)  # fmt: skip
def test_matches_are_replaced(text: str, replacement: str, name: str, expected: str) -> None:
    """A replacement may name the groups."""
    assert expected == Expression(text).sub(replacement, name)


@pytest.mark.parametrize(
    "text",
    ["(", "[", "*a", "a{2,1}", "(?P<x>", "\\", "(" * 500, "(?=a)", r"(a)\1", "a{1001}", "((a|b|c){100}){100}",
     r"\p{L}{1000}" * 50, "a" * (EXPRESSION_MAX + 1)],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_what_is_no_expression_is_told(text: str) -> None:
    """What cannot be read is an error of who asked."""
    with pytest.raises(InvalidQuestion, match="regular expression"):
        Expression(text)


@pytest.mark.parametrize("replacement", [r"\2", r"\g<x>", "\\"])
def test_what_cannot_be_put_is_told(replacement: str) -> None:
    """A group that there is not is an error of who asked."""
    with pytest.raises(InvalidQuestion, match="cannot replace"):
        Expression("(a)").sub(replacement, "a")


@pytest.mark.parametrize("text", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*)*(.*)*(.*)*x", "(?:a?){500}a{500}b"])
def test_no_expression_explodes(text: str) -> None:
    """One that has exponentially many ways not to match is stopped, or takes no longer than others."""
    expression, name = Expression(text), "a" * 200 + "!"
    began = time.monotonic()
    with suppress(InvalidQuestion):
        for _ in range(1000):
            assert not expression.is_in(name)
    assert time.monotonic() - began < 5


def test_the_time_is_for_all_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is over no further name is looked at."""
    monkeypatch.setattr("tally.graphite.expression.TIME_MS", -1)
    with pytest.raises(InvalidQuestion, match="takes too long"):
        Expression("a").is_in("a")


def test_a_name_does_not_grow_without_end() -> None:
    """A replacement that is longer than what it is put for is cut off."""
    assert NAME_MAX == len(Expression("a").sub("b" * 100, "a" * 1000))
