"""Collects the rows of a damaged file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.recovery.evidence import Evidence, Name
from tally.engine.recovery.pages import Pages
from tally.engine.recovery.proof import Candidate, Total
from tally.engine.recovery.trees import Trees
from tally.engine.storing import sealing
from tally.engine.storing.merging import Cells

T = 1_700_000_000


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with two names in each of 600 buckets, so that totals need several pages."""
    made = Catalog(tmp_path).create("x", resolution=10, retention=0)
    found: Cells = {
        bucket: {"name.a": (1, 1.5, 1.5, 1.5, None), "name.b": (2, 3.0, 1.0, 2.0, None)}
        for bucket in range(T, T + 6000, 10)
    }
    with patch.object(sealing, "SEAL_ROWS", 1):
        made.commit(found, now=T + 5990)
    return made


@contextmanager
def gathered(archive: Archive) -> Iterator[Evidence]:
    """Give the evidence of a file."""
    connection = apsw.Connection("")
    with archive.path.open("rb") as file:
        trees = Trees(Pages(file))
        list(trees.walk("meta"))
        evidence = Evidence(trees, connection, resolution=10, block_buckets=3)
        evidence.gather(lambda: None)
        yield evidence
    connection.close()


def change(archive: Archive, old: bytes, new: bytes, *, place: int) -> None:
    """Replace one of several occurrences of some bytes."""
    content = archive.path.read_bytes()
    parts = content.split(old)
    archive.path.write_bytes(old.join(parts[:place]) + new + old.join(parts[place:]))


def test_buckets(archive: Archive) -> None:
    """Each bucket has its total and each cell once, although sealed cells are in both trees."""
    with gathered(archive) as evidence:
        buckets = list(evidence.buckets())
        assert (T, Total(3, 4.5, 1.0, 2.0), [1, 2]) == (*buckets[0][:2], [cell.id for cell in buckets[0].candidates])
        assert [True, True] == [cell.is_twofold for cell in buckets[0].candidates]
        assert [False, False] == [cell.is_twofold for cell in buckets[-1].candidates]
        assert (600, T + 5990, []) == (len(buckets), evidence.sealed_before(), evidence.gaps)


@pytest.mark.parametrize(
    ("new", "place", "expected"),
    [
        (b"name.a", 1, Name("name.a", True)),
        (b"name.c", 1, None),
        (b"name a", 1, Name("name.a", True)),
        (b"n\0me a", 1, Name("name.a", False)),
        (b"name\xffa", 2, Name("name.a", True)),
        (b"name.b", 1, None),
    ],
)
def test_names(archive: Archive, new: bytes, place: int, expected: Name | None) -> None:
    """A name that differs in its second place is not known, unless that one is invalid and differs in one byte."""
    change(archive, b"name.a", new, place=place)
    with gathered(archive) as evidence:
        assert expected == evidence.names().get(1)
        assert evidence.names().get(2) in (Name("name.b", True), None)


def test_gaps(archive: Archive) -> None:
    """If a page of totals is lost, the buckets before and after it are returned."""
    connection = apsw.Connection(str(archive.path))
    select = "SELECT pageno FROM dbstat WHERE name = 'totals' AND pagetype = 'leaf' ORDER BY path"
    pages: list[int] = [page for (page,) in connection.execute(select)]
    connection.close()
    content = bytearray(archive.path.read_bytes())
    content[(pages[1] - 1) * 4096 : pages[1] * 4096] = bytes(4096)
    archive.path.write_bytes(content)
    with gathered(archive) as evidence:
        lacking = [bucket.second for bucket in evidence.buckets() if bucket.total is None]
        assert [(lacking[0] - 10, lacking[-1] + 10)] == evidence.gaps
        assert list(range(lacking[0], lacking[-1] + 10, 10)) == lacking


@pytest.mark.parametrize(
    ("low", "high", "bucket", "samples", "holds"),
    [
        (-1, 2, T + 5990, 1, True),
        (-1, 3, T + 5990, 1, False),
        (None, 2, T + 5990, 1, False),
        (None, None, T, 1, True),
        (None, None, T + 5990, 1, False),
    ],
)
def test_is_only_name(
    archive: Archive, low: int | None, high: int | None, bucket: int, samples: int, holds: bool
) -> None:
    """Another name is excluded if none fits between the keys, or if the name's block adds up."""
    with gathered(archive) as evidence:
        cell = Candidate(1, samples, 1.5, 1.5, 1.5, 1, None, low, high)
        assert holds == evidence.is_only_name(bucket, cell)
