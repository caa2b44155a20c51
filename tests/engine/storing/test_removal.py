"""What is removed is gone, and nothing else."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog, Removed
from tally.engine.storing import commit
from tally.errors import InvalidQuestion, UnknownArchive
from tests.engine.model import Plain, check_file, recomputed, rolled_up

T = 1_700_000_000
MEMORY = Path("/dev/shm")
SAMPLES: list[Plain] = [("a.x", 1.0, T), ("a.y", 2.0, T + 5), ("b", 4.0, T + 10), ("a.x", 8.0, T + 20)]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive of four samples."""
    made = Catalog(tmp_path, clock=lambda: T + 60).create("daily", resolution=10, retention=0)
    made.record(SAMPLES)
    return made


def test_names_go_with_all_that_they_have(archive: Archive) -> None:
    """How much that was is told, and the others are as they were."""
    assert Removed(names=2, cells=3, samples=3) == archive.remove("a.*")
    assert ["b"] == archive.names()
    assert {T + 10: 4.0} == archive.aggregate("sum")
    check_file(archive)
    assert Removed(0, 0, 0) == archive.remove("a.*")


def test_a_range_goes(archive: Archive) -> None:
    """Both ends are included, and a name that has other buckets stays."""
    assert Removed(names=2, cells=2, samples=2) == archive.remove("*", since=T + 1, until="-40s")
    assert {"a.x": {T: 1.0}, "a.y": {T: 2.0}} == archive.values("sum")
    check_file(archive)


def test_a_dry_run_removes_nothing(archive: Archive) -> None:
    """It tells the same, and the file stays as it is."""
    before = archive.path.read_bytes()
    assert Removed(names=1, cells=1, samples=1) == archive.remove("a.x", since=T + 20, dry_run=True)
    assert before == archive.path.read_bytes()


def test_what_is_removed_may_come_again(archive: Archive) -> None:
    """Whoever has written it before gives the name an id anew."""
    archive.remove("*")
    assert {} == archive.values()
    archive.record(SAMPLES[:1])
    assert {"a.x": {T: 1.0}} == archive.values("sum")
    check_file(archive)


def test_what_cannot_be_removed(archive: Archive, tmp_path: Path) -> None:
    """A glob, a time or a parameter that is none is told, and an archive that is not there."""
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
def test_what_is_left_is_what_never_went(
    early: list[Plain], late: list[Plain], removed: list[tuple[str, int, int]], rows: int
) -> None:
    """Whatever is removed, sealed or not, answers equal a recomputation from the samples that are left."""
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as directory, patch.object(commit, "SEAL_ROWS", rows):
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
