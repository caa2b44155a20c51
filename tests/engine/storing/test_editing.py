"""Changes of the resolution."""

import pytest

from tally.engine.files import statements
from tally.engine.storing import sealing
from tally.errors import ArchiveUnavailable, InvalidDefinition
from tests.engine.model import check_file, recomputed, rolled_up, row_count
from tests.engine.storing.filling import Create, fill


@pytest.mark.parametrize("seal_rows", [1, 7, 20, 1000])
@pytest.mark.parametrize("resolution", [10, 20, 70, 10_000])
def test_coarser_resolution(create: Create, monkeypatch: pytest.MonkeyPatch, seal_rows: int, resolution: int) -> None:
    """Stored rows merge as if the archive had always had the coarser resolution."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", seal_rows)
    archive, expected = create(), create("expected", resolution=resolution)
    samples = [(f"n{second % 3}", (second % 7 - 3) / 8, second) for second in range(1000, 1300, 4)]
    for start in range(0, len(samples), 20):
        for each in (archive, expected):
            each.commit(rolled_up(samples[start : start + 20]), now=samples[start][2] + 80)
    archive.edit(resolution=resolution)
    check_file(archive)
    for each in (archive, expected):
        each.commit(rolled_up([("n0", 0.5, 1005), ("n0", 0.5, 1400)]), now=1400)
        check_file(each)
    assert recomputed([*samples, ("n0", 0.5, 1005), ("n0", 0.5, 1400)], resolution) == archive.values()
    assert expected.values() == archive.values()
    assert expected.names() == archive.names()


def test_coarser_resolution_leaves_the_open_bucket(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that was only partly sealed is not sealed, as it may be open."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 10)
    archive = create()
    fill(archive, range(0, 150, 10), now=150)
    assert 15 == row_count(archive, "sealed")
    archive.edit(resolution=100)
    assert (1, 1) == (row_count(archive, "sealed"), row_count(archive, "NOT sealed AND bucket = 100"))
    check_file(archive)


def test_other_resolution(create: Create) -> None:
    """A resolution that is not a multiple is rejected with the whole edit."""
    archive = create()
    fill(archive, range(100, 200, 10))
    before = archive.values(), archive.definition()
    for resolution in (15, 5, 1):
        with pytest.raises(InvalidDefinition):
            archive.edit(name="changed", resolution=resolution)
    assert before == (archive.values(), archive.definition())


def test_coarser_resolution_is_one_transaction(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted merge changes nothing."""
    archive = create()
    fill(archive, range(100, 200, 10))
    before = archive.values(), archive.definition()
    monkeypatch.setattr(statements, "COARSENED", "INSERT INTO gone VALUES (?)")
    with pytest.raises(ArchiveUnavailable):
        archive.edit(resolution=20)
    assert before == (archive.values(), archive.definition())
    check_file(archive)
