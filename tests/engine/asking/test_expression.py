"""Regular expressions of clients: their limits, and what RE2 says about them."""

import time

import pytest

from tally.engine.asking.expression import EXPRESSION_MAX, compile_expression
from tally.errors import InvalidQuestion


def test_an_expression_of_the_greatest_length() -> None:
    """Exactly EXPRESSION_MAX characters are compiled."""
    assert compile_expression("a" * EXPRESSION_MAX).match("a" * EXPRESSION_MAX)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a" * (EXPRESSION_MAX + 1), f"longer than {EXPRESSION_MAX} characters"),
        ("(", "is not a regular expression for RE2: missing )"),
        (r"(a)\1", "is not a regular expression for RE2: "),
        (r"\p{L}{1000}" * 50, "is not a regular expression for RE2: "),
    ],
)
def test_an_expression_that_is_not_compiled(text: str, says: str) -> None:
    """One that is malformed, too long or too large is an error."""
    with pytest.raises(InvalidQuestion, match=says.replace("(", r"\(").replace(")", r"\)")):
        compile_expression(text)


def test_time_is_linear() -> None:
    """An expression over which `re` would take years takes milliseconds."""
    began = time.monotonic()
    assert not compile_expression("(a*)*b").match("a" * 255)
    assert time.monotonic() - began < 1
