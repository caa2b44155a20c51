"""Tags in names: their values, and the tag expressions that select names by them.

    page.load;env=prod;host=web1     the tags env and host, and the tag `name`, which is page.load

    env=prod      the value is prod                  env=~web|api    the expression matches from the value's start on
    env!=prod     it is something else               env!=~web|api   it does not

A tag that a name does not have counts as an empty value, as in Graphite. So `env!=prod` selects names without the tag,
too; `env=` selects exactly those, and `env!=` all others. If a key appears twice in a name, the last value counts.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import NamedTuple

from tally.engine.asking.expression import compile_expression
from tally.errors import InvalidQuestion

# The tag whose value is the part of a name before its tags.
NAME = "name"
VALUES_CACHED = 10_000
_EXPRESSION = re.compile(r"([^;!=\s]+)(!?=~?)([^;]*)", re.DOTALL)
# The literal characters that a regular expression begins with, without one that a repetition may leave out.
_LITERAL = re.compile(r"\^?((?:[\w/-](?![*?{]))*)")
# SQLite ends a text at a NUL and cannot store lone surrogates.
_NOT_IN_NAME = re.compile(r"[\0\ud800-\udfff]")


class TagExpression(NamedTuple):
    """A condition on the value of the tag `key`. `operator` is `=`, `!=`, `=~` or `!=~`."""

    key: str
    operator: str
    value: str

    def __str__(self) -> str:
        """Return the text of the expression."""
        return "".join(self)

    def start(self) -> str:
        """Return a text with which every value begins that satisfies the condition, "" if there is none."""
        if self.operator == "=":
            return self.value
        literal = _LITERAL.match(self.value) if self.operator == "=~" and "|" not in self.value else None
        return literal[1] if literal else ""

    def test(self, check: Callable[[], None] = lambda: None) -> Callable[[str], bool]:
        """Return a function that tells whether a value satisfies the condition.

        `check` is called before each regular expression is matched, and may raise an error to stop.
        """
        if self.operator == "=":
            return self.value.__eq__
        if self.operator == "!=":
            return self.value.__ne__
        pattern, is_negated = compile_expression(self.value), self.operator == "!=~"

        @lru_cache(VALUES_CACHED)
        def matches(value: str) -> bool:
            check()
            return (pattern.match(value) is None) is is_negated

        return matches


def parse_expression(text: str) -> TagExpression:
    """Parse a tag expression, such as `env=prod` or `page=~^blog`.

    :raises InvalidQuestion: when it is malformed, or its regular expression is.
    """
    found = _EXPRESSION.fullmatch(text)
    if found is None or _NOT_IN_NAME.search(text):
        raise InvalidQuestion(
            f"where {text!r:.100} is not a tag expression: use for example env=prod, env!=prod, env=~^pr or env!=~^pr"
        )
    expression = TagExpression(*found.groups())
    expression.test()
    return expression


def find_value(key: str) -> Callable[[str], str]:
    """Return a function that returns the value of the tag `key` in a name, and "" for a name without it."""
    if key == NAME:
        return lambda name: name.partition(";")[0]
    return partial(_find_value, f";{key}=")


def _find_value(start: str, name: str) -> str:
    _, found, after = name.rpartition(start)
    return after.partition(";")[0] if found else ""


def matcher(expressions: Iterable[TagExpression], check: Callable[[], None] = lambda: None) -> Callable[[str], bool]:
    """Return a function that tells whether a name satisfies all expressions; `check` is as for `TagExpression.test`."""
    tests = [(find_value(each.key), each.test(check)) for each in expressions]

    return lambda name: all(test(value(name)) for value, test in tests)
