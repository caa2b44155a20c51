"""Conditions on names and their groups in ClickHouse's SQL, which mean the same as SQLite's for the files.

Both use RE2 for the regular expressions of tag expressions.
"""

import re
from typing import Any

from tally.engine import glob
from tally.engine.asking import matching
from tally.engine.asking.grouping import Group
from tally.engine.asking.tags import NAME, TagExpression

# No name matches it.
NOTHING = "0"


class Parameters:
    """Values that are bound to a statement: `add` returns the placeholder."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def add(self, value: Any) -> str:
        """Bind a value, and return its placeholder."""
        key = f"p{len(self.values)}"
        self.values[key] = value
        return f"%({key})s"


def match_names(q: tuple[str, ...], where: tuple[TagExpression, ...], parameters: Parameters) -> list[str]:
    """Return conditions on `name` that all must hold.

    :raises InvalidQuestion: when there are too many globs or tag expressions.
    """
    matching.matching(q, where)
    conditions = [_match_any(q, parameters)] if q and "*" not in q else []
    return conditions + [_match_tag(each, parameters) for each in where]


def _match_any(q: tuple[str, ...], parameters: Parameters) -> str:
    exact = [each for each in q if glob.is_name(each)]
    expressions = [glob.to_re2(each) for each in q if not glob.is_name(each)]
    conditions = [f"name IN {parameters.add(tuple(exact))}"] if exact else []
    conditions += [f"match(name, {parameters.add(f'^{each}$')})" for each in expressions if each is not None]
    return f"({' OR '.join(conditions)})" if conditions else NOTHING


def _match_tag(expression: TagExpression, parameters: Parameters) -> str:
    value = _find_tag(expression.key, parameters)
    if expression.operator in ("=", "!="):
        return f"{value} {expression.operator} {parameters.add(expression.value)}"
    found = f"match({value}, {parameters.add(f'^(?:{expression.value})')})"
    return found if expression.operator == "=~" else f"NOT {found}"


def _find_tag(key: str, parameters: Parameters) -> str:
    """Return the expression of a tag's value, or of the part before the tags; the last value of a repeated key."""
    expression = "^[^;]*" if key == NAME else f"^(?s:.*);{re.escape(key)}=([^;]*)"
    return f"extract(name, {parameters.add(expression)})"


def label_names(group: Group | None, parameters: Parameters) -> str:
    """Return the expression of a name's group, or `name`."""
    if group is None:
        return "name"
    if group.nodes:
        parts = f"splitByChar('.', {_find_tag(NAME, parameters)})"
        labels = [f"{parts}[{node if node < 0 else node + 1}]" for node in group.nodes]
        return _join(labels, ".")
    return _join([_find_tag(key, parameters) for key in group.tags], ";")


def _join(labels: list[str], separator: str) -> str:
    return labels[0] if len(labels) == 1 else f"arrayStringConcat([{', '.join(labels)}], '{separator}')"
