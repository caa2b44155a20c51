"""Groups of names by node and by tag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.engine.asking.grouping import parse_group

NAME = "requests.get.index;env=prod;host=web1"


@pytest.mark.parametrize(
    ("group", "name", "expected"),
    [
        ("node:0", NAME, "requests"),
        ("node:1", NAME, "get"),
        ("node:2", NAME, "index"),
        ("node:3", NAME, ""),
        ("node:-1", NAME, "index"),
        ("node:-3", NAME, "requests"),
        ("node:-4", NAME, ""),
        ("node:0,-1", NAME, "requests.index"),
        ("node:0,5", NAME, "requests."),
        ("node:0", "a.b", "a"),
        ("node:0", "a", "a"),
        ("node:1", "a;x=b.c", ""),
        ("tag:env", NAME, "prod"),
        ("tag:host,env", NAME, "web1;prod"),
        ("tag:none", NAME, ""),
        ("tag:env,none", NAME, "prod;"),
        ("tag:name", NAME, "requests.get.index"),
        ("tag:name,env", NAME, "requests.get.index;prod"),
        ("tag:env", "a", ""),
    ],
)
def test_labels(group: str, name: str, expected: str) -> None:
    """Parts are joined by dots and values by semicolons; what a name does not have is empty."""
    assert expected == parse_group(group).label()(name)


values = st.text("ab.,", max_size=3)


@given(values, values, values, values)
def test_groups_are_distinct(one: str, other: str, third: str, fourth: str) -> None:
    """Two names are in the same group only if all their values are equal."""
    label = parse_group("tag:a,b").label()
    left, right = label(f"x;a={one};b={other}"), label(f"y;a={third};b={fourth}")
    assert ((one, other) == (third, fourth)) == (left == right)
