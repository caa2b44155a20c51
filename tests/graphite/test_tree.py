"""The archives as a tree."""

from pathlib import Path

import pytest

from tally.engine import Catalog
from tally.engine.asking.names import BATCH_NAMES
from tally.errors import InvalidQuestion, NotAnArchive, QueryTimeout
from tally.graphite import budget, tree
from tally.graphite.budget import Budget
from tally.graphite.tree import Metric, TreeNode, find, index, metrics
from tests.graphite.made import catalog

NAMES = ("requests.get.index", "requests.get", "requests.post.index", "load", "a..b", "http;method=get;region=eu")


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return two archives, one of them with several names."""
    return catalog(tmp_path, daily={name: [1.0] for name in NAMES}, hourly={"load": [1.0]})


def found(made: Catalog, pattern: str) -> list[str]:
    """Return the paths that a pattern matches; those of leaves end with an exclamation mark."""
    return [each.path + "!" * each.is_leaf for each in find(made, pattern, Budget(60))]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["daily", "hourly"]),
        ("d*", ["daily"]),
        ("x", []),
        ("daily.*", ["daily.a", "daily.http;method=get;region=eu", "daily.load", "daily.requests"]),
        ("*.load", ["daily.load", "hourly.load"]),
        ("daily.requests.*", ["daily.requests.get", "daily.requests.post"]),
        ("daily.requests.{get,post}.*", [
            "daily.requests.get.avg!", "daily.requests.get.count!", "daily.requests.get.index",
            "daily.requests.get.max!", "daily.requests.get.min!", "daily.requests.get.sum!",
            "daily.requests.post.index",
        ]),
        ("daily.requests.*.index.m*", [
            "daily.requests.get.index.max!", "daily.requests.get.index.min!",
            "daily.requests.post.index.max!", "daily.requests.post.index.min!",
        ]),
        ("daily.load.sum", ["daily.load.sum!"]),
        ("auto", ["auto"]),
        ("auto.load.s*", ["auto.load.sum!"]),
        ("daily.load.median", []),
        ("daily.a.*", ["daily.a."]),
        ("daily.a..b.sum", ["daily.a..b.sum!"]),
        ("*.*.sum", ["daily.http;method=get;region=eu.sum!", "daily.load.sum!", "hourly.load.sum!"]),
        ("daily.load.sum.x", []),
    ],
)  # fmt: skip
def test_what_a_pattern_finds(pattern: str, expected: list[str], made: Catalog) -> None:
    """The levels of the tree are archives, parts of names, and aggregates."""
    assert expected == found(made, pattern)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("auto.load.sum", [Metric("auto", "load", "sum", "daily")]),
        ("*.load.sum", [Metric("daily", "load", "sum"), Metric("hourly", "load", "sum")]),
        ("daily.requests.get.{avg,sum}",
         [Metric("daily", "requests.get", "avg"), Metric("daily", "requests.get", "sum")]),
        ("daily.requests.*.*.sum",
         [Metric("daily", "requests.get.index", "sum"), Metric("daily", "requests.post.index", "sum")]),
        ("daily.requests.get", []),
        ("daily.load", []),
        ("daily", []),
        ("*.*.median", []),
    ],
)  # fmt: skip
def test_metrics_are_the_leaves(pattern: str, expected: list[Metric], made: Catalog) -> None:
    """A metric needs an archive, a name and an aggregate."""
    assert expected == metrics(made, pattern, Budget(60))


def test_the_index_has_every_name(made: Catalog) -> None:
    """The index contains each name of each archive."""
    paths = [f"{slug}.{name}" for slug, _, names in index(made, Budget(60)) for name in names]
    assert (len(NAMES) + 1, len(NAMES) + 1) == (len(paths), len(set(paths)))
    assert "daily.requests.get.index" in paths


def test_tags_are_read_from_names() -> None:
    """A name with Graphite's tags has these tags; any other has only its path as `name`."""
    tagged = Metric("daily", "http;method=get;region=eu", "sum").tags
    assert {"name": "daily.http.sum", "method": "get", "region": "eu"} == tagged
    assert {"name": "daily.a.b.sum"} == Metric("daily", "a.b", "sum").tags


def test_the_text_of_a_node_is_its_last_part() -> None:
    """The text of a node does not include its parents."""
    assert ("b", "a") == (TreeNode("a.b", is_leaf=True).text, TreeNode("a", is_leaf=False).text)


def test_no_archives(tmp_path: Path) -> None:
    """Without a data directory nothing is found, and none is created."""
    missing = Catalog(tmp_path / "missing")
    assert ([], []) == (find(missing, "*.*", Budget(60)), list(index(missing, Budget(60))))
    assert not (tmp_path / "missing").exists()


def test_an_unreadable_archive_raises_an_error(made: Catalog) -> None:
    """A pattern that names a file that is no archive raises an error; other patterns do not find it."""
    (made.directory / "broken.db").write_bytes(b"this is no database" * 100)
    assert ["daily", "hourly"] == found(made, "*")
    assert ["daily.load", "hourly.load"] == found(made, "*.load")
    with pytest.raises(NotAnArchive, match="broken"):
        found(made, "broken.load")


def test_an_archive_that_is_deleted_meanwhile(made: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that is deleted after the directory was read has no names."""
    monkeypatch.setattr(Catalog, "slugs", lambda _self: ["daily", "gone"])
    assert ["daily.load"] == found(made, "*.load")


def test_malformed_patterns_and_timeouts(made: Catalog) -> None:
    """A malformed pattern and a timeout raise errors."""
    with pytest.raises(InvalidQuestion, match="brace"):
        found(made, "daily.{a")
    with pytest.raises(QueryTimeout):
        find(made, "daily.*", Budget(0))


def test_many_names(tmp_path: Path) -> None:
    """All names are found if there are more than one batch."""
    names = [f"n{number}" for number in range(BATCH_NAMES + 1)]
    made = catalog(tmp_path, daily={name: [1.0] for name in names})
    assert sorted(f"daily.{name}" for name in names) == found(made, "daily.n*")


@pytest.mark.parametrize(("most", "is_told"), [(2, False), (1, True)])
def test_too_many_nodes_are_rejected(most: int, is_told: bool, made: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that matches more than NODES_MAX nodes raises an error."""
    monkeypatch.setattr(tree, "NODES_MAX", most)
    if not is_told:
        assert 2 == len(find(made, "*", Budget(60)))
        return
    with pytest.raises(InvalidQuestion, match="narrower"):
        find(made, "*", Budget(60))


def test_too_many_metrics_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that matches more than SERIES_MAX metrics raises an error early."""
    made = catalog(tmp_path, daily={f"n{number}": [1.0] for number in range(10)})
    monkeypatch.setattr(budget, "SERIES_MAX", 10)
    assert 10 == len(metrics(made, "daily.n*.avg", Budget(60)))
    with pytest.raises(InvalidQuestion, match="series"):
        metrics(made, "daily.n*.{avg,sum}", Budget(60))
