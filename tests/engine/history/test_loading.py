"""Loading: whatever a file has and however it is sorted, the archive has what committing the same cells would give."""

import random
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog
from tally.engine.history import queries
from tally.engine.history.loading import STEPS, Loaded
from tally.engine.history.staging import staged
from tally.engine.storing import expiry, sealing
from tally.engine.storing.commit import Rules
from tally.engine.storing.merging import Cells, merge
from tally.errors import ArchiveUnavailable
from tests.engine.model import check_file, sealing_in_steps

T = 1_000_000
HOUR_S = 3600
Row = tuple[int, str, int, float, float, float]

eighths = st.integers(-800, 800).map(lambda value: value / 8)
names = st.sampled_from(["a", "a.b", "b.é", "𝄞", "c"])


@st.composite
def cell_rows(draw: st.DrawFn) -> list[Row]:
    """Return rows of cells, some of the same name and bucket, in any order."""
    rows = []
    for _ in range(draw(st.integers(0, 30))):
        values = draw(st.lists(eighths, min_size=1, max_size=3))
        cell = (len(values), sum(values), min(values), max(values))
        rows.append((draw(st.integers(T, T + 2 * HOUR_S)), draw(names), *cell))
    return rows


def as_cells(rows: Iterable[Row]) -> Cells:
    """Return rows as cells in buckets of one second."""
    cells: Cells = {}
    for time, name, *cell in rows:
        merge(cells, {time: {name: (*cell, None)}}, 1, sketched=True)  # type: ignore[dict-item]
    return cells


def load(archive: Archive, rows: list[Row], rules: Rules, *, dry_run: bool = False) -> Loaded:
    """Load rows into an archive."""
    with staged(archive.path.parent, latest=T * 10) as staging:
        staging.add([value for row in rows for value in row])
        staging.finish()
        return archive.load(staging.path, rules, dry_run=dry_run)


@settings(max_examples=80, deadline=None)
@given(
    before=cell_rows(),
    rows=cell_rows(),
    properties=st.fixed_dictionaries(
        {
            "resolution": st.integers(1, 12),
            "retention": st.sampled_from([0, 1]),
            "pattern": st.sampled_from(["*", "a*", "nothing"]),
            "percentiles": st.sampled_from([0, 4]),
        }
    ),
    max_names=st.sampled_from([0, 2, 3]),
    seal_rows=st.integers(1, 40),
)
def test_loading_is_committing(
    before: list[Row], rows: list[Row], properties: dict[str, Any], max_names: int, seal_rows: int
) -> None:
    """The cells, the counts of what was not stored, and all that is kept beside the cells are the same."""
    rules = Rules(T + 2 * HOUR_S, max_names)
    steps, hiding = patch.multiple(sealing, **sealing_in_steps(seal_rows)), patch.object(expiry, "FEW_ROWS", 1)
    with tempfile.TemporaryDirectory() as directory, steps, hiding:
        one, other = (Catalog(directory).create(slug, **properties) for slug in ("one", "other"))
        for archive in (one, other):
            archive.merge(as_cells(before), rules)
        matching = [row for row in rows if properties["pattern"] == "*" or row[1].startswith("a")]
        matching = [] if properties["pattern"] == "nothing" else matching
        outcome = one.merge(as_cells(matching), rules)
        loaded = load(other, rows, rules)
        assert outcome == loaded.outcome
        assert sum(row[2] for row in rows) - sum(row[2] for row in matching) == loaded.unmatched
        assert one.values() == other.values()
        if properties["percentiles"]:
            assert one.values("p50") == other.values("p50")
            assert one.aggregate("p50", by="name") == other.aggregate("p50", by="name")
            assert one.timedata("p50") == other.timedata("p50")
        assert one.names() == other.names()
        check_file(other)
        assert () == other.check().damage


def test_a_dry_run_counts_the_same_and_changes_nothing(tmp_path: Path) -> None:
    """The file stays as it is, byte for byte; then the same is stored for real."""
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=1, pattern="a*")
    archive.merge({T: {"a": (1, 1.0, 1.0, 1.0, None)}}, Rules(T))
    content = archive.path.read_bytes()
    rows: list[Row] = [(T, "a", 2, 3.0, 1.0, 2.0), (T, "b", 1, 1.0, 1.0, 1.0), (T - HOUR_S - 10, "a", 4, 4.0, 1.0, 1.0)]
    counted = load(archive, rows, Rules(T), dry_run=True)
    assert (2, 4, 1, 1) == (counted.outcome.stored, counted.outcome.expired, counted.unmatched, counted.cells)
    assert content == archive.path.read_bytes()
    assert counted == load(archive, rows, Rules(T))
    assert {"a": {T: {"count": 3, "sum": 4.0, "avg": 4 / 3, "min": 1.0, "max": 2.0}}} == archive.values()


@pytest.mark.parametrize("present", [0, 9, 11])
def test_many_cells_are_sealed_at_once(tmp_path: Path, present: int) -> None:
    """Only an archive with fewer rows gets a new index. Of the loaded rows only the open bucket is unsealed."""
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=0)
    archive.merge({T + 10 * n: {"z": (1, 1.0, 1.0, 1.0, None)} for n in range(present)}, Rules(T))
    with patch.object(sealing, "SEAL_ROWS", 10):
        load(archive, [(T + 10 * n, "a", 1, 1.0, 1.0, 1.0) for n in range(10)], Rules(T + 95))
    contents = archive.check().contents
    assert contents is not None
    assert (present + 10, 1 + (present > 9) + (present > 10)) == (contents.rows, contents.unsealed)
    check_file(archive)


@pytest.mark.parametrize("percentiles", [0, 1])
@pytest.mark.parametrize("buckets", [1, 200])
def test_cells_apart_are_stored_like_others(tmp_path: Path, buckets: int, percentiles: int) -> None:
    """Cells without others between them are sorted straight into the archive, which is the same to the last bit.

    The index is searched for the cells of a block if there are many.
    """
    chance = random.Random(1)
    values = [(n % buckets, f"name{n % 7}", chance.uniform(-1, 1)) for n in range(4 * buckets)]
    rows: list[Row] = [(T + bucket, name, 3, 3 * value, value, value) for bucket, name, value in values]
    one, other = (Catalog(tmp_path).create(slug, resolution=2, percentiles=percentiles) for slug in ("one", "other"))
    for archive in (one, other):
        archive.merge({T - 10: {"name1": (1, 1.0, 1.0, 1.0, None)}}, Rules(T))
    with patch.object(sealing, "SEAL_ROWS", 1):
        loaded = load(one, rows, Rules(T + buckets + 4))
        with patch.object(queries, "IS_REACHED", "SELECT 1"):
            assert loaded == load(other, rows, Rules(T + buckets + 4))
    assert read_tables(one) == read_tables(other)
    check_file(one)


def read_tables(archive: Archive) -> dict[str, list[Any]]:
    """Return the rows of an archive's tables, except `meta`."""
    with closing(apsw.Connection(str(archive.path))) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables if name != "meta"}


def test_an_error_rolls_back(tmp_path: Path) -> None:
    """Progress is told step by step; what it raises stops the import, and the archive is as before."""
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=0)
    archive.merge({T: {"a": (1, 1.0, 1.0, 1.0, None)}}, Rules(T))
    before = archive.values()
    told: list[str] = []

    def stop(step: str, number: int, of: int) -> None:
        told.append(step)
        assert (STEPS[number], len(STEPS)) == (step, of)
        if step == STEPS[-1]:
            raise KeyboardInterrupt

    with staged(tmp_path, latest=T * 2) as staging:
        staging.add([T, "b", 1, 1.0, 1.0, 1.0])
        staging.finish()
        with pytest.raises(KeyboardInterrupt):
            archive.load(staging.path, Rules(T), progress=stop)
    assert before == archive.values()
    assert [step for step in STEPS if step in told] == told
    check_file(archive)


def test_a_disabled_archive_takes_nothing(tmp_path: Path) -> None:
    """As for single samples."""
    archive = Catalog(tmp_path).create("daily", enabled=False)
    with pytest.raises(ArchiveUnavailable, match="is not enabled"):
        load(archive, [], Rules(T))
