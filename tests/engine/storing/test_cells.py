"""Validates cells."""

import math
import tempfile
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog
from tally.engine.storing.cells import validate_cells
from tally.errors import InvalidSample
from tally.lines.plain import TIMESTAMP_END
from tests.engine.model import check_file

T = 1_700_000_000
CELL = (2, 1.5, 0.5, 1.0)
MEMORY = Path("/dev/shm")

GOOD: tuple[Any, ...] = (
    (1, 0, 0, 0),
    (1.5, 3.0, 2.0, 2.0),
    (1e100, 0.0, -1.0, 1.0),
    (1, 1e100, 1e100, 1e100),
    (1, -1e100, -1e100, -1e100),
    (2, 2 * (1 + 1e-10), 1, 1),
    (2, 1.0, 0.5, 1.0),
    (2, 2.0, 0.5, 1.0),
    [3, 3, 1, 1],
)
BAD: tuple[Any, ...] = (
    (0, 0.0, 0.0, 0.0),
    (0.99, 1.0, 1.0, 1.0),
    (-1, -1.0, 1.0, 1.0),
    (math.nan, 1.0, 1.0, 1.0),
    (math.inf, 1.0, 1.0, 1.0),
    (1.1e100, 0.0, -1.0, 1.0),
    (1, math.nan, 1.0, 1.0),
    (1, 1.0, math.nan, 1.0),
    (1, 1.0, 1.0, math.nan),
    (2, math.inf, 1.0, math.inf),
    (2, 3.0, 2.0, 1.0),
    (1, 1.1e100, 1.1e100, 1.1e100),
    (2, 2 * (1 + 1e-8), 1, 1),
    (2, 0.9, 0.5, 1.0),
    (2, 2.1, 0.5, 1.0),
    (1, 1.0, 1.0),
    (1, 1.0, 1.0, 1.0, 1.0),
    (1, "1", 1, 1),
    (None, 1, 1, 1),
    (1, 10**400, 1, 1),
    "1111",
    7,
)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an empty archive that keeps everything."""
    return Catalog(tmp_path).create("daily", resolution=10, retention=0)


@pytest.mark.parametrize("cell", GOOD, ids=repr)
def test_a_valid_cell(archive: Archive, cell: Any) -> None:
    """Its sum may have a rounding error."""
    archive.commit({T: {"a": cell}}, now=T)
    count, total, low, high = cell
    assert {"count": count, "sum": total, "min": low, "max": high} == {
        name: value for name, value in archive.values()["a"][T].items() if name != "avg"
    }
    check_file(archive)


@pytest.mark.parametrize("cell", BAD, ids=lambda cell: f"{cell!r:.40}")
def test_an_invalid_cell(archive: Archive, cell: Any) -> None:
    """The error shows the cell, and nothing is stored."""
    with pytest.raises(InvalidSample, match=r"cell .* of 'b' is not valid"):
        archive.commit({T: {"a": CELL, "b": cell}, T + 10: {"a": CELL}}, now=T)
    assert {} == archive.values()


@pytest.mark.parametrize("name", ["", "a\tb", "a b", "a\nb", "\x7f", "\ud800", "x" * 256, None, 7, b"a"])
def test_an_invalid_name(archive: Archive, name: Any) -> None:
    """A name that is invalid in a line is invalid in a cell."""
    with pytest.raises(InvalidSample, match=r"name .* is not valid"):
        archive.commit({T: {name: CELL}}, now=T)
    assert [] == archive.names()


@pytest.mark.parametrize(
    ("bucket", "is_right"),
    [(-1, False), (0, True), (TIMESTAMP_END - 10, True), (TIMESTAMP_END, False), (math.nan, False), ("1", False)],
)
def test_an_invalid_bucket(archive: Archive, bucket: Any, is_right: bool) -> None:
    """A bucket must be a valid timestamp."""
    if is_right:
        assert 2 == archive.commit({bucket: {"a": CELL}}, now=T).stored
        return
    with pytest.raises(InvalidSample, match=r"timestamp .* is not valid"):
        archive.commit({bucket: {"a": CELL}}, now=T)


@pytest.mark.parametrize("cells", [7, [T], {T: None}, {T: [("a", CELL)]}])
def test_wrong_types(archive: Archive, cells: Any) -> None:
    """The error shows the expected form."""
    with pytest.raises(InvalidSample, match=r"cells .* are not valid"):
        archive.commit(cells, now=T)


def test_numbers_of_any_type_are_accepted(archive: Archive) -> None:
    """They are converted as for samples, and equal buckets are merged."""
    cells = {
        np.int64(T): {"a": (np.int64(1), Decimal("0.5"), Fraction(1, 2), np.float32(0.5))},
        T + 0.5: {"a": (1, 1, 1, 1)},
    }
    assert 2 == archive.commit(cells, now=T).stored  # type: ignore[arg-type]
    assert {"a": {T: {"count": 2, "sum": 1.5, "avg": 0.75, "min": 0.5, "max": 1.0}}} == archive.values()


numbers = st.floats() | st.integers(-3, 3) | st.sampled_from([1e100, -1e100, 1e-300])
some_cells = st.dictionaries(
    st.integers(-1, 60) | st.just(TIMESTAMP_END),
    st.dictionaries(st.sampled_from(["a", "b", "a\tb"]), st.tuples(numbers, numbers, numbers, numbers), max_size=3),
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(some_cells, max_size=4))
def test_whatever_is_committed_can_be_restored(batches: list[Any]) -> None:
    """An archive with accepted cells is sound, and its copy can be restored."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        catalog = Catalog(directory)
        archive = catalog.create("daily", resolution=10, retention=0)
        for cells in batches:
            try:
                archive.commit(cells, now=T)
            except InvalidSample:
                continue
            assert validate_cells(cells) == cells
        assert () == archive.check().damage
        archive.backup(Path(directory) / "copy")
        assert archive.values() == catalog.restore(Path(directory) / "copy", "again").values()
