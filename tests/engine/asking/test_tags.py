"""Tag expressions: values of tags, operators, and regular expressions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.engine.asking.expression import EXPRESSION_MAX
from tally.engine.asking.tags import find_value, matcher, parse_expression
from tally.errors import InvalidQuestion, QueryTimeout

NAME = "page.load;env=prod;host=web1;path=/a=b"


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        (NAME, "env", "prod"),
        (NAME, "host", "web1"),
        (NAME, "path", "/a=b"),
        (NAME, "name", "page.load"),
        (NAME, "nv", ""),
        (NAME, "env=prod", ""),
        (NAME, "none", ""),
        ("a", "name", "a"),
        ("a", "a", ""),
        ("a;fast", "fast", ""),
        ("a;k=1;k=2", "k", "2"),
        ("a;name=b", "name", "a"),
        ("a.env=prod", "env", ""),
    ],
)
def test_values(name: str, key: str, expected: str) -> None:
    """A tag's value is between its key and the next semicolon; the last one counts."""
    assert expected == find_value(key)(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("env=prod", True),
        ("env=pro", False),
        ("env!=prod", False),
        ("env!=pro", True),
        ("none=", True),
        ("none!=", False),
        ("env=", False),
        ("env!=", True),
        ("none!=prod", True),
        ("none=prod", False),
        ("env=~ro", False),
        ("env=~pr", True),
        ("env=~x|pro", True),
        ("env=~^x|ro", False),
        ("env!=~ro", True),
        ("env!=~^prod$", False),
        ("none=~x*", True),
        ("none=~x", False),
        ("none!=~x", True),
        ("none!=~x*", False),
        ("name=page.load", True),
        ("name=page", False),
        ("name=~page", True),
    ],
)
def test_operators(text: str, expected: bool) -> None:
    """A missing tag is an empty value, and a regular expression matches from the start of the value on."""
    assert expected == matcher([parse_expression(text)])(NAME)


def test_all_must_hold() -> None:
    """A name matches if it satisfies every expression; without expressions any name does."""
    prod, web1, dev = map(parse_expression, ("env=prod", "host=~web", "env=dev"))
    assert matcher([])(NAME)
    assert matcher([prod, web1])(NAME)
    assert not matcher([prod, dev])(NAME)


@pytest.mark.parametrize("value", ["(", "[a", r"(a)\1", "(?=a)", "a" * (EXPRESSION_MAX + 1)])
def test_regular_expressions_that_are_not_valid(value: str) -> None:
    """An expression that RE2 does not compile is an error when it is parsed."""
    with pytest.raises(InvalidQuestion, match="regular expression"):
        parse_expression(f"env=~{value}")
    assert parse_expression(f"env={value}")


def test_a_check_stops_matching() -> None:
    """Before each regular expression is matched, `check` may raise."""

    def check() -> None:
        raise QueryTimeout("over")

    with pytest.raises(QueryTimeout):
        matcher([parse_expression("env=~x")], check)(NAME)
    assert matcher([parse_expression("env=prod")], check)(NAME)


PIECES = st.sampled_from(["a", "b", "-", "/", "^", "$", ".", "*", "+", "?", "{2}", "(a)", "[ab]", "|", r"\d", "(?i)"])


@given(st.lists(PIECES, max_size=6).map("".join), st.text("abA-/1", max_size=6))
def test_every_matching_value_begins_with_the_start(pattern: str, value: str) -> None:
    """`start` is part of every value that satisfies the expression."""
    try:
        re.compile(pattern)
        expression = parse_expression(f"env=~{pattern}")
    except (re.error, InvalidQuestion):
        return
    assert not expression.test()(value) or value.startswith(expression.start())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("env=prod", "prod"),
        ("env!=prod", ""),
        ("env!=~prod", ""),
        ("env=~prod", "prod"),
        ("env=~^prod.*", "prod"),
        ("env=~prods?", "prod"),
        ("env=~web-1/x+", "web-1/x"),
        ("env=~a|b", ""),
        ("env=~(a)", ""),
    ],
)
def test_start(text: str, expected: str) -> None:
    """The literal beginning of an expression narrows the names that are matched."""
    assert expected == parse_expression(text).start()
