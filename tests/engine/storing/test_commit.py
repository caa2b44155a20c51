"""Commits: cells are merged, and samples that are too old or have too many names are counted."""

import pytest

from tally.engine import Outcome
from tally.engine.storing import sealing
from tests.engine.model import check_file, recomputed, rolled_up, row_count
from tests.engine.storing.filling import Create, fill

HOUR_S = 3600
NOW = 1_000_000_800


def test_merge(create: Create) -> None:
    """Cells of the same bucket and name merge exactly, within a commit and with stored rows."""
    archive = create()
    samples = [("a", 0.25, 1000), ("a", 4.5, 1009), ("b", -1.0, 1005), ("a", -0.5, 1010)]
    archive.commit(rolled_up(samples), now=1010)
    more = [("a", -8.0, 1001), ("a", 16.0, 1002), ("c", 0.125, 1010)]
    assert Outcome(stored=3) == archive.commit(rolled_up(more), now=1010)
    assert recomputed(samples + more, 10) == archive.values()
    check_file(archive)


def test_weighted_samples(create: Create) -> None:
    """Fractional counts are stored unchanged, and rounding loses no samples."""
    archive = create()
    cell = (3.5, 7.0, 2.0, 2.0)
    assert Outcome(stored=7) == archive.commit({1000: {"a": cell}, 1010: {"a": cell}}, now=1010)
    assert {1000: 3.5, 1010: 3.5} == archive.aggregate("count")
    assert {1000: 2.0, 1010: 2.0} == archive.aggregate("avg")
    check_file(archive)


def test_an_empty_commit(create: Create) -> None:
    """It does not change the file unless something expires."""
    archive = create(retention=1)
    assert Outcome() == archive.commit({}, now=1000)
    assert {} == archive.values()
    fill(archive, range(100, 200, 10))
    before = archive.path.read_bytes()
    assert Outcome() == archive.commit({}, now=3600 + 109)
    assert before == archive.path.read_bytes()
    assert Outcome() == archive.commit({}, now=3600 + 110)
    assert before != archive.path.read_bytes()
    check_file(archive)


def test_expired_samples(create: Create) -> None:
    """Samples before the first kept bucket are counted and not stored, and neither are their names."""
    archive = create(retention=1)
    cutoff = NOW - HOUR_S
    samples = [("old", 1.0, cutoff - 1), ("old", 1.0, cutoff - 10), ("old", 1.0, 0), ("new", 1.0, cutoff)]
    assert Outcome(stored=1, expired=3) == archive.commit(rolled_up(samples), now=NOW + 9.9)
    assert {"new": [cutoff]} == {name: list(buckets) for name, buckets in archive.values().items()}
    check_file(archive)


@pytest.mark.parametrize(
    ("max_names", "names", "refused"),
    [
        (0, ["a", "b", "c", "d"], 0),
        (4, ["a", "b", "c", "d"], 0),
        (3, ["a", "b", "c"], 2),
        (2, ["b", "c"], 3),
        (1, ["b", "c"], 3),
    ],
)
def test_max_names(create: Create, max_names: int, names: list[str], refused: int) -> None:
    """New names beyond the limit are counted and not stored; known names are stored."""
    archive = create()
    archive.commit(rolled_up([("b", 1.0, 0), ("c", 1.0, 0)]), now=10)
    samples = [("d", 1.0, 10), ("d", 1.0, 20), ("a", 1.0, 10), ("b", 1.0, 10), ("c", 1.0, 20)]
    outcome = archive.commit(rolled_up(samples), now=20, max_names=max_names)
    assert Outcome(stored=5 - refused, cardinality=refused) == outcome
    assert names == archive.names()
    check_file(archive)


def test_late_samples(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """A late sample is merged into its bucket, sealed or not, with a known or a new name."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 4)
    archive = create()
    samples = [("a", 1.0, second) for second in range(100, 170, 10)]
    archive.commit(rolled_up(samples[:5]), now=150)
    archive.commit(rolled_up(samples[5:]), now=170)
    assert (5, 2) == (row_count(archive, "sealed"), row_count(archive, "NOT sealed"))
    late = [(name, -2.0, second) for name in ("a", "b") for second in (95, 105, 149, 150, 165)]
    assert Outcome(stored=10) == archive.commit(rolled_up(late), now=169)
    assert recomputed(samples + late, 10) == archive.values()
    assert (9, 4) == (row_count(archive, "sealed"), row_count(archive, "NOT sealed"))
    check_file(archive)
