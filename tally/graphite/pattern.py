"""Graphite's patterns: nodes between dots, each with `*`, `?`, `[a-z]`, `[!a]`, `{a,b}`, and literal after a backslash.

    daily.requests.{get,post}.*.avg
    ^slug ^------- name --------^ ^aggregate

A pattern matches node by node. The engine's globs know no nodes and no braces: `glob` gives one that matches what the
nodes do and more, by which names are read before they are matched.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tally.engine import glob as globs
from tally.errors import InvalidQuestion

# Alternatives that a pattern's braces stand for.
ALTERNATIVES_MAX = 1000
PATTERN_MAX = 16 * 1024

_GROUP = re.compile(r"(?<!\\)\{([^{}]*)(?<!\\)\}")
_SPECIAL = re.compile(r"[*?[]")
# A character that is escaped, a set, or any other character.
_PIECE = re.compile(r"\\(.)|\[(!?\]?[^\]]*)\]|(.)", re.DOTALL)


@dataclass(frozen=True)
class Node:
    """One node of a pattern: `glob` matches at least what `matches` does."""

    matches: Callable[[str], bool]
    glob: str


def parse(text: str) -> tuple[Node, ...]:
    """Return the nodes of a pattern.

    :raises InvalidQuestion: when it is empty or too long, its braces are not closed within a node, or they stand for
        more than ALTERNATIVES_MAX texts.
    """
    if not 1 <= len(text) <= PATTERN_MAX:
        raise InvalidQuestion(f"the pattern of metrics has {len(text)} characters: use 1 to {PATTERN_MAX}")
    return tuple(_node(part) for part in text.split("."))


def literal(name: str) -> str:
    """Return the glob that matches `name` alone."""
    return _SPECIAL.sub(r"[\g<0>]", name)


def _node(text: str) -> Node:
    alternatives = [_glob(each) for each in _alternatives(text)]
    names = {_name(each) for each in alternatives if not _has_wildcard(each)}
    if "*" in alternatives:
        return Node(_any, alternatives[0] if len(alternatives) == 1 else "*")
    matchers = [globs.matcher(each) for each in alternatives if _has_wildcard(each)]

    def matches(name: str) -> bool:
        return name in names or any(match(name) for match in matchers)

    return Node(matches, alternatives[0] if len(alternatives) == 1 else "*")


def _any(_name: str) -> bool:
    return True


def _alternatives(text: str) -> list[str]:
    """Return the texts that a node with braces stands for, from the innermost braces outwards."""
    pending, found = [text], list[str]()
    while pending:
        if len(pending) + len(found) > ALTERNATIVES_MAX:
            raise InvalidQuestion(
                f"{text!r:.100} stands for more than {ALTERNATIVES_MAX} nodes: use fewer in its braces"
            )
        each = pending.pop()
        group = _GROUP.search(each)
        if group:
            pending += [each[: group.start()] + option + each[group.end() :] for option in group[1].split(",")]
        else:
            found.append(each)
    if any(re.search(r"(?<!\\)[{}]", each) for each in found):
        raise InvalidQuestion(f"{text!r:.100} has a brace that is not closed in its node: use for example {{a,b}}")
    return found


def _glob(text: str) -> str:
    """Return the engine's glob for a node without braces; a set that stays open is literal."""
    return "".join(_piece(*groups) for groups in _PIECE.findall(text))


def _piece(escaped: str, members: str, single: str) -> str:
    if escaped:
        return literal(escaped)
    if members:
        return f"[^{members[1:]}]" if members.startswith("!") else f"[{members}]"
    return "[[]" if single == "[" else single


def _has_wildcard(glob: str) -> bool:
    return _SPECIAL.search(re.sub(r"\[[*?[]\]", "", glob)) is not None


def _name(glob: str) -> str:
    return re.sub(r"\[([*?[])\]", r"\1", glob)
