"""The answers about the tree: what is found, in Graphite's shapes, and all of it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tally.engine import Catalog
from tally.graphite import tree
from tally.graphite.budget import Budget
from tally.graphite.tree import Found

CHUNK_CHARACTERS = 65_536

_BRANCH = {"allowChildren": 1, "expandable": 1, "leaf": 0}
_LEAF = {"allowChildren": 0, "expandable": 0, "leaf": 1}


def treejson(catalog: Catalog, pattern: str, budget: Budget, *, wildcards: bool) -> list[dict[str, Any]]:
    """Return what a pattern matches, branches first and each text once, with ids below the pattern's beginning."""
    found = sorted(tree.find(catalog, pattern, budget), key=lambda each: (each.is_leaf, each.text))
    kinds: dict[str, bool] = {}
    for each in found:
        kinds.setdefault(each.text, each.is_leaf)
    if wildcards and len(found) > 1:
        kinds = {"*": all(each.is_leaf for each in found), **kinds}
    beginning = pattern[: pattern.rfind(".") + 1]
    return [
        {"text": text, "id": beginning + text, **(_LEAF if is_leaf else _BRANCH)} for text, is_leaf in kinds.items()
    ]


def completer(catalog: Catalog, pattern: str, budget: Budget, *, wildcards: bool) -> dict[str, Any]:
    """Return what begins as a pattern does; the paths of branches end with a dot."""
    wide = pattern.replace("..", "*.")
    found = tree.find(catalog, wide if wide.endswith("*") else f"{wide}*", budget)
    listed: list[dict[str, str]] = [_completed(each) for each in sorted(found, key=lambda each: each.text)]
    return {"metrics": [*listed, {"name": "*"}] if wildcards and len(listed) > 1 else listed}


def expand(catalog: Catalog, patterns: Sequence[str], budget: Budget, *, leaves_only: bool) -> dict[str, list[str]]:
    """Return the paths that each pattern matches."""
    return {
        pattern: sorted({each.path for each in tree.find(catalog, pattern, budget) if each.is_leaf or not leaves_only})
        for pattern in patterns
    }


def index(catalog: Catalog, budget: Budget) -> Iterator[bytes]:
    """Yield the paths of all metrics as chunks of a JSON array; raises as `tree.find`."""
    parts: list[str] = []
    size, before = 0, "["
    for metric in tree.index(catalog, budget):
        parts.append(before + json.dumps(metric.path, ensure_ascii=False))
        size, before = size + len(parts[-1]), ","
        if size >= CHUNK_CHARACTERS:
            yield "".join(parts).encode("utf-8", "backslashreplace")
            parts, size = [], 0
    parts.append("[]" if before == "[" else "]")
    yield "".join(parts).encode("utf-8", "backslashreplace")


def _completed(found: Found) -> dict[str, str]:
    path = found.path if found.is_leaf else f"{found.path}."
    return {"path": path, "name": found.text, "is_leaf": str(int(found.is_leaf))}
