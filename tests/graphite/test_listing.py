"""Answers about the tree, in Graphite's formats."""

import json
from pathlib import Path
from typing import Any

import pytest

from tally.engine import Catalog
from tally.graphite.budget import Budget
from tally.graphite.listing import CHUNK_CHARACTERS, completer, expand, index, treejson
from tests.graphite.made import catalog


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return an archive in which one name is the beginning of another."""
    return catalog(tmp_path, daily={"get": [1.0], "get.index": [1.0], "sum": [1.0]})


def branch(text: str, path: str) -> dict[str, Any]:
    """Return a branch node."""
    return {"text": text, "id": path, "allowChildren": 1, "expandable": 1, "leaf": 0}


def leaf(text: str, path: str) -> dict[str, Any]:
    """Return a leaf node."""
    return {"text": text, "id": path, "allowChildren": 0, "expandable": 0, "leaf": 1}


def test_branches_come_before_leaves(made: Catalog) -> None:
    """Each node has its text, its id with the beginning of the pattern, and flags that are 0 or 1."""
    leaves = [leaf(text, f"daily.get.{text}") for text in ("avg", "count", "max", "min", "sum")]
    found = list(treejson(made, "daily.get.*", Budget(60), wildcards=False))
    assert [branch("index", "daily.get.index"), *leaves] == found
    assert [branch("daily", "daily")] == list(treejson(made, "*", Budget(60), wildcards=True))
    text = json.dumps(list(treejson(made, "*", Budget(60), wildcards=False)))
    assert '"expandable": 1, "leaf": 0' in text


def test_texts_are_unique(made: Catalog) -> None:
    """Nodes with the same text under different parents are listed once."""
    found = list(treejson(made, "*.*.{sum,avg}", Budget(60), wildcards=False))
    assert [leaf("avg", "*.*.avg"), leaf("sum", "*.*.sum")] == found


def test_wildcards_add_a_node_for_all(made: Catalog) -> None:
    """The node that stands for all is a branch if any of them is."""
    assert branch("*", "daily.*") == next(iter(treejson(made, "daily.*", Budget(60), wildcards=True)))
    assert leaf("*", "daily.sum.*") == next(iter(treejson(made, "daily.sum.*", Budget(60), wildcards=True)))
    assert [leaf("*", "*.sum.*"), leaf("avg", "*.sum.avg")] == list(
        treejson(catalog(made.directory, weekly={"sum": [1.0]}), "*.sum.*", Budget(60), wildcards=True)
    )[:2]
    assert ["*", "sum"] == [each["text"] for each in treejson(made, "*.sum.sum", Budget(60), wildcards=True)]


def test_prefixes_are_completed(made: Catalog) -> None:
    """The paths of branches end with a dot."""
    found = list(completer(made, "daily.g", Budget(60), wildcards=True))
    assert [{"path": "daily.get.", "name": "get", "is_leaf": "0"}] == found
    several = list(completer(made, "daily.get.", Budget(60), wildcards=True))
    assert [{"path": "daily.get.avg", "name": "avg", "is_leaf": "1"}, {"name": "*"}] == [several[0], several[-1]]


def test_patterns_are_expanded(made: Catalog) -> None:
    """The result is every matching path once, with or without branches."""
    patterns = ["daily.get.{index,sum}", "d*", "daily.get.index"]
    found = expand(made, patterns, Budget(60), leaves_only=False)
    assert ["daily", "daily.get.index", "daily.get.sum"] == list(found)
    assert ["daily.get.sum"] == list(expand(made, patterns, Budget(60), leaves_only=True))


def test_the_index_is_one_array(made: Catalog, tmp_path: Path) -> None:
    """The array contains all paths, in chunks if it is long; it is empty without archives."""
    paths = json.loads(b"".join(index(made, Budget(60))))
    assert (15, "daily.get.avg") == (len(paths), paths[0])
    long = catalog(tmp_path / "long", daily={f"{number}{'x' * 200}": [1.0] for number in range(100)})
    chunks = list(index(long, Budget(60)))
    assert all(len(chunk) >= CHUNK_CHARACTERS for chunk in chunks[:-1])
    assert (2, 500) == (len(chunks), len(json.loads(b"".join(chunks))))
    assert [b"[]"] == list(index(Catalog(tmp_path / "missing"), Budget(60)))
