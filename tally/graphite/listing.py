"""The answers about the tree: what is found, in Graphite's shapes, and all of it."""

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring
from typing import Any

from tally.engine import Catalog
from tally.engine.asking.question import AGGREGATES
from tally.graphite import tree
from tally.graphite.budget import Budget
from tally.graphite.tree import Found

CHUNK_CHARACTERS = 65_536

_BRANCH = {"allowChildren": 1, "expandable": 1, "leaf": 0}
_LEAF = {"allowChildren": 0, "expandable": 0, "leaf": 1}


def treejson(catalog: Catalog, pattern: str, budget: Budget, *, wildcards: bool) -> Iterator[dict[str, Any]]:
    """Yield what a pattern matches, branches first and each text once, with ids below the pattern's beginning.

    Raises as `tree.find`.
    """
    branches: set[str] = set()
    leaves: set[str] = set()
    first, are_several = None, False
    for each in tree.walk(catalog, pattern, budget):
        (leaves if each.is_leaf else branches).add(each.text)
        tree.check_nodes(len(branches) + len(leaves))
        first = first or each
        are_several = are_several or each != first
    beginning = pattern[: pattern.rfind(".") + 1]
    if wildcards and are_several:
        yield _node("*", beginning, is_leaf=not branches)
    yield from budget.checked(_node(text, beginning, is_leaf=False) for text in sorted(branches))
    yield from budget.checked(_node(text, beginning, is_leaf=True) for text in sorted(leaves - branches))


def _node(text: str, beginning: str, *, is_leaf: bool) -> dict[str, Any]:
    return {"text": text, "id": beginning + text, **(_LEAF if is_leaf else _BRANCH)}


def completer(catalog: Catalog, pattern: str, budget: Budget, *, wildcards: bool) -> Iterator[dict[str, str]]:
    """Yield what begins as a pattern does; the paths of branches end with a dot. Raises as `tree.find`."""
    wide = pattern.replace("..", "*.")
    found = tree.find(catalog, wide if wide.endswith("*") else f"{wide}*", budget)
    are_several = len(found) > 1
    found.sort(key=lambda each: each.text)
    yield from budget.checked(map(_completed, found))
    if wildcards and are_several:
        yield {"name": "*"}


def expand(catalog: Catalog, patterns: Iterable[str], budget: Budget, *, leaves_only: bool) -> Iterator[str]:
    """Yield the paths that any of the patterns matches, in order; raises as `tree.find`."""
    paths: set[str] = set()
    for pattern in patterns:
        for each in tree.walk(catalog, pattern, budget):
            if each.is_leaf or not leaves_only:
                paths.add(each.path)
                tree.check_nodes(len(paths))
    yield from budget.checked(sorted(paths))


def index(catalog: Catalog, budget: Budget) -> Iterator[bytes]:
    """Yield the paths of all metrics as chunks of a JSON array; raises as `tree.find`."""
    parts: list[str] = []
    size, before = 0, "["
    for slug, names in tree.index(catalog, budget):
        row = ",".join(f'"{slug}.%s.{aggregate}"' for aggregate in sorted(AGGREGATES))
        for name in names:
            parts.append(before + row % ((encode_basestring(name)[1:-1],) * len(AGGREGATES)))
            size, before = size + len(parts[-1]), ","
            if size >= CHUNK_CHARACTERS:
                yield "".join(parts).encode("utf-8", "backslashreplace")
                parts, size = [], 0
    parts.append("[]" if before == "[" else "]")
    yield "".join(parts).encode("utf-8", "backslashreplace")


def _completed(found: Found) -> dict[str, str]:
    path = found.path if found.is_leaf else f"{found.path}."
    return {"path": path, "name": found.text, "is_leaf": str(int(found.is_leaf))}
