"""Removes names and ranges of buckets."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog, Removed
from tally.engine.storing import sealing
from tally.errors import InvalidQuestion, UnknownArchive
from tests.engine.model import Plain, check_file, recomputed, rolled_up, sealing_in_steps

T = 1_700_000_000
MEMORY = Path("/dev/shm")
SAMPLES: list[Plain] = [("a.x", 1.0, T), ("a.y", 2.0, T + 5), ("b", 4.0, T + 10), ("a.x", 8.0, T + 20)]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive of four samples."""
    made = Catalog(tmp_path, clock=lambda: T + 60).create("daily", resolution=10, retention=0)
    made.record(SAMPLES)
    return made


def test_names_are_removed_with_their_data(archive: Archive) -> None:
    """The result counts what was removed, and other names are unchanged."""
    assert Removed(names=2, cells=3, samples=3) == archive.remove("a.*")
    assert ["b"] == archive.names()
    assert {T + 10: 4.0} == archive.aggregate("sum")
    check_file(archive)
    assert Removed(0, 0, 0) == archive.remove("a.*")


def test_a_range_is_removed(archive: Archive) -> None:
    """Both ends are included, and a name with other buckets is kept."""
    assert Removed(names=2, cells=2, samples=2) == archive.remove("*", since=T + 1, until="-40s")
    assert {"a.x": {T: 1.0}, "a.y": {T: 2.0}} == archive.values("sum")
    check_file(archive)


def test_a_dry_run_removes_nothing(archive: Archive) -> None:
    """It returns the same result, and the file does not change."""
    before = archive.path.read_bytes()
    assert Removed(names=1, cells=1, samples=1) == archive.remove("a.x", since=T + 20, dry_run=True)
    assert before == archive.path.read_bytes()


def test_a_removed_name_can_return(archive: Archive) -> None:
    """It gets a new id, even from a writer that cached the old one."""
    archive.remove("*")
    assert {} == archive.values()
    archive.record(SAMPLES[:1])
    assert {"a.x": {T: 1.0}} == archive.values("sum")
    check_file(archive)


def test_invalid_removals(archive: Archive, tmp_path: Path) -> None:
    """Invalid globs, times and parameters, and missing archives, are errors."""
    for bad in ({"q": ""}, {"q": "*", "since": "soon"}, {"q": "*", "low": 1}):
        with pytest.raises(InvalidQuestion):
            archive.remove(**bad)
    with pytest.raises(UnknownArchive):
        Archive(tmp_path / "none.db").remove("*")
    assert 4 == sum(archive.aggregate("count").values())


samples = st.lists(
    st.tuples(st.sampled_from(["a", "a.b", "b"]), st.integers(-8, 8).map(lambda n: n / 8), st.integers(T, T + 300)),
    max_size=30,
)
removals = st.lists(
    st.tuples(st.sampled_from(["*", "a", "a*", "b", "c"]), st.integers(T - 20, T + 320), st.integers(-20, 320)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(samples, samples, removals, st.integers(1, 12))
def test_the_rest_is_unchanged(
    early: list[Plain], late: list[Plain], removed: list[tuple[str, int, int]], rows: int
) -> None:
    """Answers equal a recomputation from the remaining samples, sealed or not."""
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as directory, patch.multiple(sealing, **sealing_in_steps(rows)):
        archive = Catalog(directory).create("daily", resolution=10, retention=0)
        archive.commit(rolled_up(early), now=T + 200)
        left = list(early)
        for glob, since, length in removed:
            archive.remove(glob, since=since, until=since + length)
            left = [each for each in left if not _goes(each, glob, since, since + length)]
            check_file(archive)
        archive.commit(rolled_up(late), now=T + 400)
        check_file(archive)
        assert recomputed(left + late, 10) == archive.values()


def _goes(sample: Plain, glob: str, since: int, until: int) -> bool:
    name, _, second = sample
    matches = glob == "*" or name == glob or (glob == "a*" and name.startswith("a"))
    return matches and since <= second // 10 * 10 <= until
