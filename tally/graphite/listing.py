"""Answers of Graphite's find, expand and index routes, in Graphite's formats."""

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring
from typing import Any

from tally.engine import Archive, Catalog
from tally.errors import UnknownArchive
from tally.graphite import tree
from tally.graphite.budget import Budget
from tally.graphite.tree import TreeNode

CHUNK_CHARACTERS = 65_536

_BRANCH = {"allowChildren": 1, "expandable": 1, "leaf": 0}
_LEAF = {"allowChildren": 0, "expandable": 0, "leaf": 1}


def treejson(
    catalog: Catalog, pattern: str, budget: Budget, *, since: float | None = None, wildcards: bool
) -> Iterator[dict[str, Any]]:
    """Yield the nodes that a pattern matches, branches first and each text once.

    The ids begin with the pattern up to its last dot. Raises as `tree.find`.
    """
    branches: set[str] = set()
    leaves: set[str] = set()
    first, has_several = None, False
    for each in tree.walk(catalog, pattern, budget, since=since):
        (leaves if each.is_leaf else branches).add(each.text)
        tree.check_nodes(len(branches) + len(leaves))
        first = first or each
        has_several = has_several or each != first
    beginning = pattern[: pattern.rfind(".") + 1]
    if wildcards and has_several:
        yield _node("*", beginning, is_leaf=not branches)
    yield from budget.checked(_node(text, beginning, is_leaf=False) for text in sorted(branches))
    yield from budget.checked(_node(text, beginning, is_leaf=True) for text in sorted(leaves - branches))


def _node(text: str, beginning: str, *, is_leaf: bool) -> dict[str, Any]:
    return {"text": text, "id": beginning + text, **(_LEAF if is_leaf else _BRANCH)}


def completer(
    catalog: Catalog, pattern: str, budget: Budget, *, since: float | None = None, wildcards: bool
) -> Iterator[dict[str, str]]:
    """Yield the nodes whose paths begin with a pattern; paths of branches end with a dot. Raises as `tree.find`."""
    wide = pattern.replace("..", "*.")
    found = tree.find(catalog, wide if wide.endswith("*") else f"{wide}*", budget, since=since)
    has_several = len(found) > 1
    found.sort(key=lambda each: each.text)
    yield from budget.checked(map(_completion, found))
    if wildcards and has_several:
        yield {"name": "*"}


def nodes(
    catalog: Catalog, pattern: str, budget: Budget, *, since: float | None = None, leaves_only: bool
) -> Iterator[dict[str, Any]]:
    """Yield the path of each node that matches, and whether it is a leaf. Raises as `tree.find`.

    A leaf has the range of the buckets in its archive, in unix seconds.
    """
    intervals: dict[str, list[dict[str, int]]] = {}
    for each in budget.checked(tree.find(catalog, pattern, budget, since=since)):
        first = each.path.partition(".")[0]
        if each.is_leaf:
            if first not in intervals:
                intervals[first] = _intervals(tree.find_archive(catalog, first, since=since))
            yield {"path": each.path, "is_leaf": True, "intervals": intervals[first]}
        elif not leaves_only:
            yield {"path": each.path, "is_leaf": False}


def _intervals(archive: Archive | None) -> list[dict[str, int]]:
    try:
        summary = archive.summary() if archive else None
    except UnknownArchive:
        return []  # It was deleted meanwhile.
    if summary is None or summary.first is None or summary.last is None:
        return []
    return [{"start": summary.first, "end": summary.last + summary.definition.resolution}]


def nodelist(
    catalog: Catalog, pattern: str, budget: Budget, *, since: float | None = None, position: int
) -> Iterator[str]:
    """Yield the nodes at a position of the paths that match, sorted; -1 is the last. Raises as `tree.find`."""
    parts = (each.path.split(".") for each in tree.find(catalog, pattern, budget, since=since))
    yield from budget.checked(sorted({each[position] for each in parts if -len(each) <= position < len(each)}))


def expand(catalog: Catalog, patterns: Iterable[str], budget: Budget, *, leaves_only: bool) -> Iterator[str]:
    """Yield the paths that match any of the patterns, sorted; raises as `tree.find`."""
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
    for slug, leaves, names in tree.index(catalog, budget):
        row = ",".join(f'"{slug}.%s.{leaf}"' for leaf in sorted(leaves))
        for name in names:
            parts.append(before + row % ((encode_basestring(name)[1:-1],) * len(leaves)))
            size, before = size + len(parts[-1]), ","
            if size >= CHUNK_CHARACTERS:
                yield "".join(parts).encode("utf-8", "backslashreplace")
                parts, size = [], 0
    parts.append("[]" if before == "[" else "]")
    yield "".join(parts).encode("utf-8", "backslashreplace")


def _completion(node: TreeNode) -> dict[str, str]:
    path = node.path if node.is_leaf else f"{node.path}."
    return {"path": path, "name": node.text, "is_leaf": str(int(node.is_leaf))}
