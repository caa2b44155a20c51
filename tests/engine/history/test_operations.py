"""The operations of an archive that change its history."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog, Question
from tally.engine.files import damage_marks
from tally.errors import ArchiveDamaged, UnknownArchive

T = 1_700_000_000
OPERATIONS: list[Callable[[Archive], object]] = [
    lambda archive: Catalog(archive.path.parent).derive("new", archive.slug),
    lambda archive: archive.remove("a"),
    lambda archive: archive.rename("a", "b"),
    lambda archive: archive.merge_files([archive.path.with_name("other.db")]),
]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a catalog with two archives of a sample each."""
    made = Catalog(tmp_path)
    for slug in ("daily", "other"):
        made.create(slug, resolution=10, retention=0).record([("a", 1.0, T)])
    return made


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_damaged_archive_is_not_changed(catalog: Catalog, operation: Callable[[Archive], object]) -> None:
    """An archive that is marked as damaged is not written to."""
    damage_marks.mark(catalog["daily"].path, "for a test")
    with pytest.raises(ArchiveDamaged, match="for a test"):
        operation(catalog["daily"])
    assert {"a": {T: 1.0}} == catalog["daily"].values("sum")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_missing_archive_is_an_error(catalog: Catalog, operation: Callable[[Archive], object]) -> None:
    """It is not created."""
    with pytest.raises(UnknownArchive):
        operation(Archive(catalog.directory / "none.db"))
    assert not (catalog.directory / "none.db").exists()


@pytest.mark.parametrize("operation", OPERATIONS[1:])
def test_a_change_is_a_new_version(catalog: Catalog, operation: Callable[[Archive], object]) -> None:
    """So answers get another tag."""
    daily = catalog["daily"]
    with daily.ask(_question()) as before:
        tag = before.tag
    operation(daily)
    with daily.ask(_question()) as after:
        assert tag != after.tag


def _question() -> Question:
    return Question("values")
