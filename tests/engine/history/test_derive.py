"""Derives archives with coarser buckets or fewer names."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog, Derived
from tally.engine.history import source
from tally.engine.storing import sealing
from tally.errors import ArchiveExists, InvalidDefinition, UnknownArchive
from tests.engine.history.sketched import collected, read_sketches
from tests.engine.model import Plain, check_file, confirm_clock, recomputed, rolled_up, sealing_in_steps

T = 1_700_000_000
HOUR_S = 3600
MEMORY = Path("/dev/shm")
SAMPLES: list[Plain] = [("a.x", 1.0, T), ("a.y", 2.0, T + 5), ("b", 4.0, T + 10), ("a.x", 8.0, T + 70)]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a catalog with the archive `fine` of four samples."""
    made = Catalog(tmp_path, clock=lambda: T + 100)
    made.create("fine", resolution=10, retention=0, description="by hand").record(SAMPLES)
    return made


@pytest.fixture
def sketching(tmp_path: Path) -> Catalog:
    """Return a catalog whose archive `fine` keeps percentiles."""
    made = Catalog(tmp_path, clock=lambda: T + 100)
    made.create("fine", resolution=10, retention=0, percentiles=1).record(SAMPLES)
    return made


def test_a_coarser_archive(catalog: Catalog) -> None:
    """It has the same samples in coarser buckets, and its properties are the source's unless they are given."""
    assert Derived(names=3, cells=4, samples=4) == catalog.derive("coarse", "fine", resolution=60)
    coarse = catalog["coarse"]
    assert recomputed(SAMPLES, 60) == coarse.values()
    assert ("*", 60, 0, "", "coarse") == (
        coarse.definition().pattern,
        coarse.definition().resolution,
        coarse.definition().retention,
        coarse.definition().description,
        coarse.definition().name,
    )
    check_file(coarse)
    assert recomputed(SAMPLES, 10) == catalog["fine"].values()


def test_a_narrower_archive(catalog: Catalog) -> None:
    """Only names that match the pattern are copied, and buckets that are not past the retention."""
    clocked = Catalog(catalog.directory, clock=lambda: T + 70 + HOUR_S)
    assert Derived(1, 1, 1) == clocked.derive("pages", "fine", pattern="a.*", retention=1, description="pages")
    assert {"a.x": {T + 70: 8.0}} == clocked["pages"].values("sum")
    check_file(clocked["pages"])


def test_nothing_expires_by_a_doubted_clock(catalog: Catalog) -> None:
    """A new archive takes over the doubt of the source."""
    catalog["fine"].edit(retention=1)
    late = T + 100 * HOUR_S
    assert catalog["fine"].commit({}, now=late).is_doubted
    Catalog(catalog.directory, clock=lambda: late).derive("coarse", "fine", resolution=60)
    assert 4 == sum(catalog["coarse"].aggregate("count").values())
    assert catalog["coarse"].commit({}, now=late).is_doubted
    confirm_clock(catalog["coarse"], late)
    catalog["coarse"].commit({}, now=late)
    assert {} == catalog["coarse"].values()


def test_a_dry_run_keeps_nothing(catalog: Catalog) -> None:
    """It returns the same content, and leaves no file."""
    before = sorted(catalog.directory.iterdir())
    assert Derived(3, 4, 4) == catalog.derive("coarse", "fine", resolution=60, dry_run=True)
    assert before == sorted(catalog.directory.iterdir())


def test_an_empty_archive(catalog: Catalog) -> None:
    """It can be derived from, too."""
    catalog["fine"].remove("*")
    assert Derived(0, 0, 0) == catalog.derive("coarse", "fine", resolution=60)
    check_file(catalog["coarse"])


def test_invalid_derivations(catalog: Catalog) -> None:
    """They are errors that name what is wrong, and leave no file."""
    before = sorted(catalog.directory.iterdir())
    with pytest.raises(InvalidDefinition, match="resolution 15 is not a multiple of 10"):
        catalog.derive("coarse", "fine", resolution=15)
    with pytest.raises(InvalidDefinition, match="slug 'A' is not valid"):
        catalog.derive("A", "fine")
    with pytest.raises(ArchiveExists, match="'fine' exists"):
        catalog.derive("fine", "fine")
    with pytest.raises(UnknownArchive, match="'none'"):
        catalog.derive("coarse", "none")
    assert before == sorted(catalog.directory.iterdir())


def test_progress_is_reported(catalog: Catalog) -> None:
    """It is called after each part with the seconds of history that are done, and all of them."""
    reports: list[tuple[float, float]] = []
    with patch.object(source, "CHUNK_CELLS", 1):
        catalog.derive("coarse", "fine", resolution=60, progress=lambda *report: reports.append(report))
    assert [(60, 120), (120, 120)] == reports


def _record(archive: Archive) -> None:
    archive.record([("c", 16.0, T + 100), ("a.x", 32.0, T + 1), ("b", 64.0, T + 60)])


def _remove(archive: Archive) -> None:
    archive.remove("b")
    archive.record([("c", 16.0, T + 100)])


def _reuse(archive: Archive) -> None:
    """Give the id of a name to another one, without a mark that history was rewritten."""
    with patch("tally.engine.storing.removal.mark_rewritten"):
        archive.remove("b")
    archive.record([("c", 16.0, T + 100), ("b", 1.0, T + 20)])


def _coarsen(archive: Archive) -> None:
    archive.edit(resolution=20)


def _sketch_coarser(archive: Archive) -> None:
    archive.edit(percentiles=4)
    archive.record([("a.x", 32.0, T + 1)])


@pytest.mark.parametrize("change", [_record, _remove, _reuse, _coarsen, _sketch_coarser])
def test_the_source_is_written_meanwhile(sketching: Catalog, change: Callable[[Archive], None]) -> None:
    """What was written until the new archive got its name is in it."""
    catalog, fine = sketching, sketching["fine"]
    changes = [change]

    def meanwhile(_done: float, _total: float) -> None:
        if changes:
            changes.pop()(fine)

    with patch.object(source, "CHUNK_CELLS", 1):
        catalog.derive("coarse", "fine", resolution=60, percentiles=4, progress=meanwhile)
    assert fine.values(step=60) == catalog["coarse"].values()
    check_file(catalog["coarse"])
    fine.edit(resolution=60, percentiles=4)
    assert read_sketches(fine) == read_sketches(catalog["coarse"])


samples = st.lists(
    st.tuples(st.sampled_from(["a", "a.b", "b"]), st.integers(-8, 8).map(lambda n: n / 8), st.integers(T, T + 900)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(
    samples,
    samples,
    st.sampled_from([10, 20, 60]),
    st.sampled_from(["*", "a*"]),
    st.integers(1, 12),
    st.sampled_from([0, 1, 4]),
)
def test_it_equals_an_archive_that_collected(
    early: list[Plain], late: list[Plain], resolution: int, pattern: str, rows: int, percentiles: int
) -> None:
    """Its content is that of an archive of the same definition with all samples, and later samples are added alike."""
    memory = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(dir=memory) as directory,
        patch.multiple(sealing, **sealing_in_steps(rows)),
        patch.object(source, "CHUNK_CELLS", rows),
    ):
        catalog = Catalog(directory, clock=lambda: T + 500)
        catalog.create("fine", resolution=10, retention=0, percentiles=1).commit(rolled_up(early), now=T + 300)
        catalog.derive("derived", "fine", resolution=resolution, pattern=pattern, percentiles=percentiles)
        check_file(catalog["derived"])
        kept = [each for each in early if pattern == "*" or each[0].startswith("a")]
        assert recomputed(kept, resolution) == catalog["derived"].values()
        catalog["derived"].commit(rolled_up(late), now=T + 900)
        check_file(catalog["derived"])
        assert recomputed(kept + late, resolution) == catalog["derived"].values()
        if percentiles:
            expected = collected(catalog, kept + late, like=catalog["derived"], now=T + 900)
            assert expected == read_sketches(catalog["derived"])


def test_percentiles_of_a_source_without_them(catalog: Catalog) -> None:
    """Only cells of equal samples have percentiles; they cannot be finer than the source's."""
    catalog["fine"].record([("a.y", 2.5, T + 5)])
    catalog.derive("coarse", "fine", resolution=60, percentiles=2)
    assert {"a.x": {T - 20: pytest.approx(1, rel=0.02), T + 40: pytest.approx(8, rel=0.02)}} == catalog[
        "coarse"
    ].values("p50", q="a.*")
    assert () == catalog["coarse"].check().damage
    with pytest.raises(InvalidDefinition, match="percentiles 1 is finer than 2"):
        catalog.derive("finer", "coarse", percentiles=1)
