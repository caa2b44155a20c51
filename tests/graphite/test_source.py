"""Reading series from archives."""

import threading
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking.matching import GLOBS_MAX
from tally.errors import InvalidQuestion, QueryTimeout, UnknownArchive
from tally.graphite.budget import Budget
from tally.graphite.source import Source, Window
from tests.graphite.made import NOW, START, WINDOW, catalog, names, source, values

SAMPLES = [("a", 1.0, START), ("a", 3.0, START + 1), ("a", 5.0, START + 20), ("b", 7.0, START + 10)]


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return an archive that keeps buckets forever."""
    found = Catalog(tmp_path, clock=lambda: NOW)
    found.create("daily", resolution=10, retention=0).record(SAMPLES)
    return found


@pytest.mark.parametrize(
    ("aggregate", "expected", "consolidation", "weights"),
    [
        ("count", [2, None, 1], "sum", None),
        ("sum", [4.0, None, 5.0], "sum", None),
        ("avg", [2.0, None, 5.0], "average", [2, 0, 1]),
        ("min", [1.0, None, 5.0], "min", None),
        ("max", [3.0, None, 5.0], "max", None),
    ],
)
def test_each_aggregate_is_a_series(
    aggregate: str, expected: list[float | None], consolidation: str, weights: list[float] | None, made: Catalog
) -> None:
    """A series has the values of its aggregate in every bucket, and the matching consolidation."""
    (found,) = source(made).read(f"daily.a.{aggregate}", Window(START - 1, START + 20, NOW))
    assert (f"daily.a.{aggregate}", START, 10, expected) == (found.name, found.start, found.step, found.values)
    assert (consolidation, weights) == (found.consolidation, found.weights)


def test_series_are_sorted_by_path_with_or_without_data(made: Catalog) -> None:
    """A matching metric is returned even if it has no value in the window."""
    found = source(made).read("daily.*.{sum,avg}", Window(START + 9, START + 19, NOW))
    assert ["daily.a.avg", "daily.a.sum", "daily.b.avg", "daily.b.sum"] == names(found)
    assert [[None], [None], [7.0], [7.0]] == values(found)
    assert {"daily.*.{sum,avg}"} == {each.expression for each in found}


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (START - 1, START, (START, 1)),
        (START, START + 10, (START + 10, 1)),
        (START - 1, START + 9.9, (START, 1)),
        (START + 1, START + 2, (START + 10, 1)),
        (START - 10_000, START, (START, 1)),
        (START, NOW + 10_000, (START + 10, 10)),
    ],
)
def test_a_range_begins_after_its_start(start: float, end: float, expected: tuple[int, int], made: Catalog) -> None:
    """As in Graphite, a range excludes its start, includes its end, and has at least one bucket."""
    (found,) = source(made).read("daily.a.sum", Window(start, end, NOW))
    assert expected == (found.start, len(found.values))


def test_a_range_outside_the_data(made: Catalog) -> None:
    """A range before the first bucket or after the current time returns no series."""
    assert [] == source(made).read("daily.a.sum", Window(START - 500, START - 400, NOW))
    assert [] == source(made).read("daily.a.sum", Window(NOW + 10, NOW + 500, NOW))


def test_a_range_ends_at_the_retention(tmp_path: Path) -> None:
    """Buckets older than the retention are not read."""
    made = Catalog(tmp_path, clock=lambda: NOW)
    made.create("daily", resolution=10, retention=1).record([("a", 1.0, NOW - 10)])
    (found,) = source(made).read("daily.a.sum", Window(0, NOW, NOW))
    assert (NOW - 3600 + 10, 360, 1.0) == (found.start, len(found.values), found.values[-2])


@pytest.mark.parametrize(("now", "expected"), [(START + 19, [1.0, None]), (START + 20, [1.0, 2.0])])
def test_a_bucket_has_no_value_until_it_is_over(tmp_path: Path, now: float, expected: list[float | None]) -> None:
    """As in Graphite, the last point of a live chart is null until its bucket is over."""
    made = catalog(tmp_path, daily={"a": [1.0, 2.0]})
    (found,) = source(made).read("daily.a.sum", Window(START - 1, START + 10, now))
    assert expected == list(found.values)


def test_more_names_than_one_question_may_have(tmp_path: Path) -> None:
    """Many names are read with several questions."""
    asked = {f"n{number:03}": [float(number)] for number in range(2 * GLOBS_MAX + 1)}
    found = source(catalog(tmp_path, daily=asked)).read("daily.*.sum", Window(START - 1, START, NOW))
    assert list(asked.values()) == values(found)


def test_names_that_look_like_globs(tmp_path: Path) -> None:
    """A name with special characters is read like any other."""
    made = catalog(tmp_path, daily={"a*": [1.0], "ab": [2.0], "[x]": [3.0]})
    assert [[1.0]] == values(source(made).read(r"daily.a\*.sum", Window(START - 1, START, NOW)))
    assert [[3.0], [1.0], [2.0]] == values(source(made).read("daily.*.sum", Window(START - 1, START, NOW)))


def test_series_are_cached(made: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pattern in the same window is read once, but counts against the budget each time."""
    budget = Budget(60)
    reading = Source(made, budget)
    first = reading.read("daily.a.sum", WINDOW)
    monkeypatch.setattr(Archive, "ask", None)
    assert first is reading.read("daily.a.sum", WINDOW)
    budget.spend(1, 1_000_000 - 20)
    with pytest.raises(InvalidQuestion, match="values"):
        reading.read("daily.a.sum", WINDOW)


def test_the_budget_is_checked_before_reading(made: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for too many series raises an error before it reads any."""
    monkeypatch.setattr(Archive, "ask", None)
    budget = Budget(60)
    budget.spend(1, 1_000_000 - 9)
    with pytest.raises(InvalidQuestion, match="values"):
        Source(made, budget).read("daily.a.sum", WINDOW)


def test_an_archive_that_is_deleted_meanwhile(made: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that is deleted after its names were read has no series."""

    def gone(_self: Archive) -> None:
        raise UnknownArchive("gone")

    monkeypatch.setattr(Archive, "definition", gone)
    assert [] == source(made).read("daily.a.sum", WINDOW)


def test_a_stopped_request_reads_no_further(made: Catalog) -> None:
    """Reading ends when another thread stops the request."""
    budget = Budget(60)
    stopping = threading.Thread(target=budget.stop)
    stopping.start()
    stopping.join()
    with pytest.raises(QueryTimeout):
        Source(made, budget).read("daily.a.sum", WINDOW)


def test_windows_are_shifted_and_extended() -> None:
    """The new window has the same `now`, and only a shift changes the time by which `auto` is chosen."""
    window = Window(100, 200, 1000)
    assert (Window(40, 140, 1000), Window(40, 200, 1000, 100)) == (window.shift(-60), window.extend(60))
    assert (Window(-20, 140, 1000, 40), Window(199, 200, 1000, 100)) == (
        window.extend(60).shift(-60),
        window.last_second(),
    )
    assert (110, 180) == (window.first(10), window.first(60) + 60)
    assert [100, 100, 100, 40] == [
        each.since for each in (window, window.extend(60), window.last_second(), window.extend(60).shift(-60))
    ]


def test_auto_is_the_archive_that_keeps_the_start(tmp_path: Path) -> None:
    """The path stays, and the values are those of the finest archive that keeps the window."""
    found = Catalog(tmp_path, clock=lambda: NOW)
    for slug, resolution, retention in (("daily", 10, 1), ("yearly", 60, 0)):
        found.create(slug, resolution=resolution, retention=retention).record(
            [("a", 1.0, NOW - 90), ("a", 2.0, NOW - 80)]
        )
    kept = (NOW - 3600) // 10 * 10

    for start, step, expected in ((kept, 10, [1.0, 2.0]), (kept - 1, 60, [3.0])):
        (each,) = source(found).read("auto.a.sum", Window(start, NOW, NOW))
        assert ("auto.a.sum", step) == (each.name, each.step)
        assert expected == [value for value in each.values if value is not None]
        assert "auto.a.sum" == each.tags["name"]
    assert ["daily.a.sum", "yearly.a.sum"] == names(source(found).read("*.a.sum", Window(kept, NOW, NOW)))
    assert [] == source(Catalog(tmp_path / "empty")).read("auto.a.sum", WINDOW)
