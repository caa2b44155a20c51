"""Patterns: nodes with braces and literals, and the globs that match at least as much."""

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.engine import glob
from tally.errors import InvalidQuestion
from tally.graphite.pattern import ALTERNATIVES_MAX, PATTERN_MAX, parse


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("get", ["get"], ["Get", "gets", ""]),
        ("*", ["get", ""], []),
        ("g*t", ["gt", "get", "great"], ["gets"]),
        ("g?t", ["get"], ["gt", "geet"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a-c]x", ["dx"], ["ax", "x"]),
        ("host[0-9]", ["host0", "host9"], ["host10", "hostx"]),
        ("{get,post}", ["get", "post"], ["put", "{get,post}"]),
        ("{get,p*t}x", ["getx", "putx"], ["put", "get"]),
        ("a{b,c{d,e}}f", ["abf", "acdf", "acef"], ["acf", "abcdf"]),
        ("{a,b}{c,d}", ["ac", "ad", "bc", "bd"], ["ab"]),
        ("a{}", ["a"], ["a{}"]),
        (r"\*", ["*"], ["a", r"\*"]),
        (r"a\[b", ["a[b"], ["ab"]),
        (r"\{a,b\}", ["{a,b}"], ["a", "b"]),
        (r"f\(x\)", ["f(x)"], ["fx"]),
        ("a[b", ["a[b"], ["ab"]),
        ("[]]", ["]"], ["[]"]),
        ("a]", ["a]"], ["a"]),
        ("a.", [], ["a"]),
    ],
)
def test_a_node_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    """Each form of a node matches as in Graphite, and its glob matches at least as much."""
    node = parse(pattern)[0] if pattern != "a." else parse(pattern)[1]
    assert (matching, []) == (list(filter(node.matches, matching)), list(filter(node.matches, others)))
    assert all(glob.matcher(node.glob)(name) for name in matching)


@given(st.text("ab*?", min_size=1, max_size=8), st.text("ab", max_size=6))
def test_it_matches_as_the_shell_does(pattern: str, name: str) -> None:
    """A node without braces matches as `fnmatch` does."""
    (node,) = parse(pattern)
    assert fnmatchcase(name, pattern) == node.matches(name)


def test_nodes_are_separated_by_dots() -> None:
    """A pattern has one node more than dots."""
    assert ["daily", "*", "*", "a[0-9]"] == [node.glob for node in parse("daily.{a,b}.*.a[0-9]")]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "0 characters"),
        ("a" * (PATTERN_MAX + 1), "characters"),
        ("a.{b", "brace"),
        ("a.b}", "brace"),
        ("{a.b,c}", "brace"),
        ("{a,b}" * 10, str(ALTERNATIVES_MAX)),
        ("{" + "," * ALTERNATIVES_MAX + "}", str(ALTERNATIVES_MAX)),
    ],
    ids=lambda text: text[:8],
)
def test_malformed_patterns_are_rejected(pattern: str, says: str) -> None:
    """Open braces and too many alternatives raise an error."""
    with pytest.raises(InvalidQuestion, match=says):
        parse(pattern)


def test_the_limit_of_alternatives_is_allowed() -> None:
    """A node may have exactly ALTERNATIVES_MAX alternatives."""
    names = [f"n{number}" for number in range(ALTERNATIVES_MAX - 1)]
    (node,) = parse("{" + ",".join(names) + "}")
    assert all(map(node.matches, names))
    assert not node.matches("n")


def test_patterns_match_in_bounded_time() -> None:
    """A node with many stars takes no longer than others."""
    (node,) = parse("*a" * 100 + "b")
    began = time.monotonic()
    assert not node.matches("a" * 255)
    assert time.monotonic() - began < 5
