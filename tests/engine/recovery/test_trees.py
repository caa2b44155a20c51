"""Walks the trees of damaged files, and finds orphaned pages."""

from pathlib import Path
from unittest.mock import patch

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.recovery.pages import Pages
from tally.engine.recovery.trees import SHAPES, SURE, TRACE, Found, Trees
from tally.engine.storing import sealing

T = 1_700_000_000
BUCKETS = range(T, T + 5000, 10)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive whose trees have several levels."""
    made = Catalog(tmp_path).create("x", resolution=10, retention=0)
    with patch.object(sealing, "SEAL_ROWS", 1):
        made.commit({bucket: {f"n{each}": (1, 1.5, 1.5, 1.5) for each in range(5)} for bucket in BUCKETS}, now=T + 9000)
    return made


def pages_of(archive: Archive, tree: str, *, leaves: bool) -> list[int]:
    """Return the leaf or interior pages of a tree in key order."""
    connection = apsw.Connection(str(archive.path))
    select = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY path"
    found = [page for (page,) in connection.execute(select, (tree, "leaf" if leaves else "internal"))]
    connection.close()
    return found


def write(archive: Archive, page: int, content: bytes, *, at: int = 0) -> None:
    """Overwrite bytes of a page."""
    with archive.path.open("r+b") as file:
        file.seek((page - 1) * 4096 + at)
        file.write(content)


def read(archive: Archive) -> tuple[dict[str, list[Found | None]], list[tuple[str, Found]], set[int]]:
    """Return the rows of each tree, the orphans, and the lost pages."""
    with archive.path.open("rb") as file:
        trees = Trees(Pages(file))
        walked = {name: list(trees.found(name)) for name in SHAPES}
        return walked, list(trees.orphans()), trees.lost


def test_all_of_a_sound_file(archive: Archive) -> None:
    """Each row is found once, with the keys around it."""
    walked, unled, lost = read(archive)
    assert ([], set()) == (unled, lost)
    assert 14 == len(walked["meta"])
    assert [(bucket,) for bucket in BUCKETS] == [found.row[:1] for found in walked["totals"] if found]
    for name, shape in SHAPES.items():
        keys = [found.row[: shape.key] for found in walked[name] if found]
        assert [(), *keys[:-1]] == [found.low for found in walked[name] if found] or not keys
        assert keys[1:] == [found.high for found in walked[name] if found][:-1]


def test_a_leaf_that_is_lost(archive: Archive) -> None:
    """Rows are missing at its place, and the keys around it are unknown."""
    lost = pages_of(archive, "totals", leaves=True)[1]
    write(archive, lost, bytes(4096))
    walked, unled, pages = read(archive)
    at = walked["totals"].index(None)
    before, after = walked["totals"][at - 1], walked["totals"][at + 1]
    assert before is not None
    assert after is not None
    assert (None, None) == (before.high, after.low)
    assert ([], {lost}) == (unled, pages)
    assert len(BUCKETS) > len(walked["totals"])


def test_an_interior_page_that_is_lost(archive: Archive) -> None:
    """Its children are found as orphans with grade SURE."""
    [root] = pages_of(archive, "totals", leaves=False)
    write(archive, root, bytes(4096))
    walked, unled, pages = read(archive)
    assert ([None], {root}) == (walked["totals"], pages)
    assert [(bucket,) for bucket in BUCKETS] == sorted(found.row[:1] for name, found in unled if name == "totals")
    assert {SURE} == {found.grade for _, found in unled}


def test_a_page_that_is_not_whole(archive: Archive) -> None:
    """All of its rows are traces."""
    leaf = pages_of(archive, "data", leaves=True)[1]
    write(archive, leaf, b"\0", at=8)
    walked, unled, _ = read(archive)
    traces = {found.row for name, found in unled if name == "data" and found.grade == TRACE}
    rows = {found.row for found in walked["data"] if found}
    assert len(rows) < len(BUCKETS) * 5 == len({row[:2] for row in traces | rows})


def test_the_first_page_is_lost(archive: Archive) -> None:
    """Trees are found at the roots of tally's DDL, and orphans are traces, as they may be free."""
    write(archive, 1, bytes(4096))
    [root] = pages_of_lost(archive)
    write(archive, root, bytes(4096))
    walked, unled, pages = read(archive)
    assert {1, root} == pages
    assert len(BUCKETS) * 5 == len([found for found in walked["data"] if found])
    assert {TRACE} == {found.grade for _, found in unled}


def pages_of_lost(_archive: Archive) -> list[int]:
    """Return the root of `data_by_name` in a file without its first page."""
    return [SHAPES["data_by_name"].root]


def test_a_page_of_another_tree(archive: Archive) -> None:
    """A pointer into another tree is not followed."""
    [root] = pages_of(archive, "data", leaves=False)
    other = pages_of(archive, "data_by_name", leaves=True)[3]
    with archive.path.open("rb") as file:
        right = Pages(file).page(root)
    assert right is not None
    write(archive, root, other.to_bytes(4), at=8)
    walked, unled, _ = read(archive)
    assert walked["data"][-1] is None
    assert len(BUCKETS) * 5 == len([found for found in walked["data_by_name"] if found])
    assert unled


def test_a_free_page_in_a_tree(archive: Archive) -> None:
    """If a tree has a page of the free list, neither is trusted."""
    archive.edit(retention=1)
    archive.commit({}, now=T + 3600 + 2500)
    with archive.path.open("rb") as file:
        free, is_known = Pages(file).free()
        trunk = int.from_bytes(Pages(file).content(1)[32:36])
    assert is_known
    assert len(free) > 2
    used = pages_of(archive, "data", leaves=True)[-1]
    write(archive, trunk, used.to_bytes(4), at=8)
    walked, unled, _ = read(archive)
    assert walked["data"][-1] is None
    assert {TRACE} == {found.grade for _, found in unled}
