"""Graphite's patterns: nodes between dots, each with `*`, `?`, `[a-z]`, `[!a]`, `{a,b}`, or `\\` before a literal.

    daily.requests.{get,post}.*.avg
    ^slug ^------- name --------^ ^aggregate

A pattern matches node by node. The engine's globs have neither nodes nor braces. So names are read by a glob that
matches at least what the pattern matches, and are then matched node by node.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tally.engine import glob as globs
from tally.errors import InvalidQuestion

# How many alternatives the braces of a node may have.
ALTERNATIVES_MAX = 1000
PATTERN_MAX = 16 * 1024

_GROUP = re.compile(r"(?<!\\)\{([^{}]*)(?<!\\)\}")
_SPECIAL = re.compile(r"[*?[]")
# An escaped character, a set, or any other character.
_PIECE = re.compile(r"\\(.)|\[(!?\]?[^\]]*)\]|(.)", re.DOTALL)


@dataclass(frozen=True)
class Node:
    """One node of a pattern: `glob` matches at least what `matches` does."""

    matches: Callable[[str], bool]
    glob: str


def parse(text: str) -> tuple[Node, ...]:
    """Return the nodes of a pattern.

    :raises InvalidQuestion: when it is empty or too long, or a node has an open brace or more than ALTERNATIVES_MAX
        alternatives.
    """
    if not 1 <= len(text) <= PATTERN_MAX:
        raise InvalidQuestion(f"the pattern has {len(text)} characters: use 1 to {PATTERN_MAX}")
    return tuple(_parse_node(part) for part in text.split("."))


def _parse_node(text: str) -> Node:
    alternatives = [_to_glob(each) for each in _expand_braces(text)]
    names = {_unescape(each) for each in alternatives if not _has_wildcard(each)}
    if "*" in alternatives:
        return Node(_match_any, alternatives[0] if len(alternatives) == 1 else "*")
    matchers = [globs.matcher(each) for each in alternatives if _has_wildcard(each)]

    def matches(name: str) -> bool:
        return name in names or any(match(name) for match in matchers)

    return Node(matches, alternatives[0] if len(alternatives) == 1 else "*")


def _match_any(_name: str) -> bool:
    return True


def _expand_braces(text: str) -> list[str]:
    """Return the alternatives of a node with braces, from the innermost braces outwards."""
    pending, found = [text], list[str]()
    while pending:
        if len(pending) + len(found) > ALTERNATIVES_MAX:
            raise InvalidQuestion(f"{text!r:.100} has more than {ALTERNATIVES_MAX} alternatives in braces: use fewer")
        each = pending.pop()
        group = _GROUP.search(each)
        if group:
            pending += [each[: group.start()] + option + each[group.end() :] for option in group[1].split(",")]
        else:
            found.append(each)
    if any(re.search(r"(?<!\\)[{}]", each) for each in found):
        raise InvalidQuestion(f"{text!r:.100} has an open brace: use for example {{a,b}}, without a dot")
    return found


def _to_glob(text: str) -> str:
    """Return the engine's glob for a node without braces; `[` without `]` is literal."""
    return "".join(_piece_to_glob(*groups) for groups in _PIECE.findall(text))


def _piece_to_glob(escaped: str, members: str, single: str) -> str:
    if escaped:
        return globs.escape(escaped)
    if members:
        return f"[^{members[1:]}]" if members.startswith("!") else f"[{members}]"
    return "[[]" if single == "[" else single


def _has_wildcard(glob: str) -> bool:
    return _SPECIAL.search(re.sub(r"\[[*?[]\]", "", glob)) is not None


def _unescape(glob: str) -> str:
    return re.sub(r"\[([*?[])\]", r"\1", glob)
