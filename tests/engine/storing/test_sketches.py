"""Sketches in archives, against the samples that they stand for."""

import math
import random
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tally.engine import Archive, Catalog
from tally.engine.definition import Definition
from tally.engine.files import ddl, schema
from tally.engine.storing import sealing
from tally.errors import ArchiveDamaged, InvalidDefinition, InvalidQuestion, NotAnArchive
from tests.engine.model import check_file

T = 1_700_000_000
Plain = tuple[str, float, int]


def make_samples(chance: random.Random, count: int, *, span: int = 3000) -> list[Plain]:
    """Return samples of a few names, some of them negative, zero or equal."""
    values = [lambda: chance.lognormvariate(0, 2), lambda: -chance.random(), lambda: 0.0, lambda: 5.0]
    return [
        (chance.choice("abc"), chance.choices(values, [8, 2, 1, 1])[0](), T + chance.randrange(span))
        for _ in range(count)
    ]


@pytest.fixture
def chance() -> random.Random:
    """The same randomness in each run."""
    return random.Random("sketches-1")


@pytest.fixture
def sealing_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal buckets after a few commits."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 20)


def create(directory: Path, **properties: Any) -> Archive:
    """Return a new archive with percentiles."""
    made = Catalog(directory, clock=lambda: T).create("daily", **{"resolution": 10, "retention": 0, **properties})
    return Archive(made.path, clock=lambda: T)


def fill(archive: Archive, samples: list[Plain], *, size: int = 40) -> None:
    """Commit samples in parts, some of them late, at times that let buckets be sealed."""
    for start in range(0, len(samples), size):
        archive.commit(rolled(samples[start : start + size]), now=T + 4000)


def rolled(samples: list[Plain]) -> Any:
    """Return the cells of samples."""
    from tally.engine.storing.cells import roll_up

    return roll_up(samples)[0]


def exact(values: Iterable[float], percentile: str) -> float:
    """Return the value of the nearest rank."""
    ascending = sorted(values)
    return ascending[max(1, math.ceil(Fraction(percentile) / 100 * len(ascending))) - 1]


def approximate(values: dict[Any, list[float]], percentile: str, error: float) -> dict[Any, Any]:
    """Return the exact percentile of each key's values, to compare with one that has a relative error."""
    return {key: pytest.approx(exact(each, percentile), rel=error) for key, each in values.items()}


def check(archive: Archive, samples: list[Plain], accuracy: int, resolution: int = 10) -> None:
    """Fail unless the archive's percentiles are those of the samples, by each source of answers."""
    error = accuracy / 100 * (1 + 1e-9)
    by_name, by_time = dict[str, list[float]](), dict[int, list[float]]()
    for name, value, second in samples:
        by_name.setdefault(name, []).append(value)
        by_time.setdefault(second // resolution * resolution, []).append(value)
    for percentile in ("0", "50", "99.9", "100"):
        aggregate = f"p{percentile}"
        names, times = archive.aggregate(aggregate, by="name"), archive.aggregate(aggregate)
        assert approximate(by_name, percentile, error) == names
        assert approximate(by_time, percentile, error) == times
    some = [value for name, value, second in samples if name == "a" and second >= T + 400]
    found = archive.aggregate("p50", by="name", q="a", since=T + 400)
    assert {"a": pytest.approx(exact(some, "50"), rel=error)} == found
    assert () == archive.check().damage
    check_file(archive)


@pytest.mark.usefixtures("sealing_early")
def test_answers_of_sealed_and_late_samples(tmp_path: Path, chance: random.Random) -> None:
    """Percentiles are right from totals, blocks, the index and the tail, with late samples."""
    archive, samples = create(tmp_path, percentiles=1), make_samples(chance, 2000)
    fill(archive, samples)
    contents = archive.check().contents
    assert contents is not None
    assert 0 < contents.unsealed < contents.rows, "all sources are read"
    check(archive, samples, 1)


@pytest.mark.usefixtures("sealing_early")
@pytest.mark.parametrize("accuracy", [2, 8])
def test_a_coarser_accuracy_is_that_of_collecting_coarser(tmp_path: Path, chance: random.Random, accuracy: int) -> None:
    """The sketches are bit for bit the same."""
    samples = make_samples(chance, 1000)
    fine, coarse = create(tmp_path / "fine", percentiles=1), create(tmp_path / "coarse", percentiles=accuracy)
    fill(fine, samples)
    fill(coarse, samples)
    fine.edit(percentiles=accuracy)
    assert read(coarse) == read(fine)
    check(fine, samples, accuracy)
    with pytest.raises(InvalidDefinition, match=f"percentiles 1 is finer than {accuracy}"):
        fine.edit(percentiles=1)


def read(archive: Archive) -> list[list[Any]]:
    """Return the rows of all tables of sketches."""
    with schema.OpenArchive(archive.path) as connection:
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in ddl.SKETCH_OBJECTS[:3]]


@pytest.mark.usefixtures("sealing_early")
def test_a_coarser_resolution_merges_sketches(tmp_path: Path, chance: random.Random) -> None:
    """The percentiles are those of the coarser buckets."""
    archive, samples = create(tmp_path, percentiles=1), make_samples(chance, 1500)
    fill(archive, samples)
    archive.edit(resolution=300)
    check(archive, samples, 1, resolution=300)


@pytest.mark.usefixtures("sealing_early")
def test_removal_and_expiry(tmp_path: Path, chance: random.Random) -> None:
    """The sketches of removed and of expired cells are deleted, and others are right."""
    archive, samples = create(tmp_path, percentiles=1), make_samples(chance, 1500, span=7000)
    fill(archive, samples)
    archive.remove("b", since=T + 1000, until=T + 2000)
    archive.remove("c")
    left = [each for each in samples if each[0] != "c" and not (each[0] == "b" and T + 1000 <= each[2] < T + 2010)]
    check(archive, left, 1)
    archive.edit(retention=1)
    archive.commit({}, now=T + 5000)
    check(archive, [each for each in left if each[2] >= T + 1400], 1)


def test_turned_on_later(tmp_path: Path) -> None:
    """Buckets with samples from before have no percentile: absent, and null in a series. Later ones have."""
    archive = create(tmp_path)
    with pytest.raises(InvalidQuestion, match="keeps no percentiles: turn them on"):
        archive.aggregate("p95")
    assert 1 == version(archive)
    archive.record([("a", 1, T), ("a", 1, T), ("b", 2, T + 10)])
    archive.edit(percentiles=1)
    assert 2 == version(archive)
    archive.record([("a", 3, T), ("a", 4, T + 10), ("a", 5, T + 20), ("new", 6, T)])
    assert {T + 20: 5} == archive.aggregate("p50")
    assert [[T, None], [T + 10, None], [T + 20, 5]] == archive.timedata("p50")
    assert {"a": {T + 10: 4, T + 20: 5}, "new": {T: 6}} == archive.values("p50")
    assert {"new": 6} == archive.aggregate("p50", by="name"), "a has samples from before"
    assert {T + 20: 5, T: None} == {
        second: each.get("p50") for second, each in archive.aggregate(percentiles="50", q="[an]*", step=20).items()
    }
    assert {"new": {T: {"p50", *FIVE}}} == {
        name: {second: set(each) for second, each in row.items()}
        for name, row in archive.values(percentiles="50", q="new").items()
    }
    assert () == archive.check().damage


FIVE = ("count", "sum", "avg", "min", "max")


def version(archive: Archive) -> int:
    """Return the version of the format of an archive's file."""
    with schema.OpenArchive(archive.path) as connection:
        return int(connection.pragma("user_version"))


def test_turned_off(tmp_path: Path, chance: random.Random) -> None:
    """The file has format 1 again, which earlier versions of tally read, and no sketches."""
    archive = create(tmp_path, percentiles=4)
    fill(archive, make_samples(chance, 200))
    archive.edit(percentiles=0)
    assert 1 == version(archive)
    with schema.OpenArchive(archive.path) as connection:
        assert set(ddl.OBJECTS) < {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        assert not {*ddl.SKETCH_OBJECTS} & {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert () == archive.check().damage


def test_cells_without_a_sketch(tmp_path: Path) -> None:
    """A cell of several samples whose sketch is unknown takes the percentile from its bucket, name and total."""
    archive = create(tmp_path, percentiles=1)
    archive.record([("a", 1, T), ("a", 2, T), ("b", 3, T), ("a", 7, T + 10)])
    archive.commit({T: {"a": (2, 9, 4, 5)}, T + 10: {"b": (2, 8, 4, 4)}}, now=T)
    assert {T + 10: pytest.approx(4, rel=0.01)} == archive.aggregate("p50")
    assert {"b": 4} == archive.aggregate("p50", by="name")
    archive.commit({T + 20: {"a": (2, 3.0, 1.0, 2.0, {65536: 1, 65571: 1})}}, now=T)
    assert pytest.approx(2, rel=0.01) == archive.aggregate("p99")[T + 20]
    assert () == archive.check().damage


@pytest.mark.parametrize("percentiles", [3, 16, -1, True, 1.5, "1", None])
def test_an_accuracy_that_is_none(percentiles: object) -> None:
    """There are four, and 0 for none."""
    with pytest.raises(InvalidDefinition, match=r"percentiles .* is not valid: use 1, 2, 4 or 8 \(percent\), or 0"):
        Definition.create("daily", percentiles=percentiles)


def test_a_file_of_a_newer_format(tmp_path: Path) -> None:
    """It is refused with a sentence."""
    archive = create(tmp_path, percentiles=1)
    with schema.OpenArchive(archive.path, write=True) as connection:
        connection.pragma("user_version", 3)
    with pytest.raises(NotAnArchive, match="has format 3; this version of tally reads formats 1 and 2"):
        archive.names()


@pytest.mark.parametrize(
    ("statement", "damage"),
    [
        ("UPDATE data_sketches SET bins = '[65536,9]'", "sketches do not match the counts of their cells"),
        ("DELETE FROM totals_sketches", "sketches of totals do not match their rows"),
        ("UPDATE data_sketches SET bins = 'x'", "sketch 'x' is not valid"),
        ("INSERT INTO data_sketches VALUES (0, 1, '[65536,1]')", "sketches have no cell"),
        ("DROP TABLE blocks_sketches", "there is no blocks_sketches"),
    ],
)
def test_check_finds_damage(tmp_path: Path, statement: str, damage: str) -> None:
    """Sketches that do not belong to the cells are found by `tally check`."""
    archive = create(tmp_path, percentiles=1)
    archive.record([("a", 1, T), ("a", 2, T), ("b", 3, T)])
    with schema.OpenArchive(archive.path, write=True) as connection:
        connection.execute(statement).fetchall()
    assert any(damage in text for text in archive.check().damage)


def test_a_question_finds_damage(tmp_path: Path) -> None:
    """A sketch that cannot be read is damage of the file."""
    archive = create(tmp_path, percentiles=1)
    archive.record([("a", 1, T), ("a", 2, T), ("b", 3, T)])
    with schema.OpenArchive(archive.path, write=True) as connection:
        connection.execute("UPDATE data_sketches SET bins = 'x'")
    with pytest.raises(ArchiveDamaged):
        archive.aggregate("p50", by="name")
    with pytest.raises(ArchiveDamaged):
        archive.values("p50")


def test_refused_names_leave_no_sketch(tmp_path: Path) -> None:
    """A bucket whose names all exceed the limit gets no total."""
    archive = create(tmp_path, percentiles=1)
    archive.record([("a", 1, T)])
    assert 1 == archive.commit({T + 10: {"b": (1, 2, 2, 2)}}, now=T, max_names=1).cardinality
    assert () == archive.check().damage


def test_the_view_of_bins(tmp_path: Path) -> None:
    """Plain SQL reads bins and counts."""
    archive = create(tmp_path, percentiles=1)
    archive.record([("a", 1, T), ("a", 2, T), ("a", 2, T), ("b", -1, T)])
    with schema.OpenArchive(archive.path) as connection:
        found = connection.execute("SELECT * FROM bins ORDER BY name, bin").fetchall()
    assert [(T, "a", 65536, 1), (T, "a", 65571, 2), (T, "b", -65536, 1)] == found


def test_histogram(tmp_path: Path) -> None:
    """It counts the samples of each bin by time, over names and coarser buckets."""
    archive = create(tmp_path, percentiles=1)
    archive.record([("a", 1, T), ("a", 2, T), ("b", 2, T + 10), ("b", 0, T + 10)])
    assert [1, 1] == [count for _, _, count in archive.histogram()[T]]
    (merged,) = archive.histogram(step=20).values()
    assert [1, 1, 2] == [count for _, _, count in merged]
    assert [[0, 0, 1]] == merged[:1]
    assert {T} == archive.histogram(q="a").keys()
    with pytest.raises(InvalidQuestion, match="'limit' has no meaning here"):
        archive.histogram(limit=1)
