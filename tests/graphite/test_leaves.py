"""The leaves of the tree."""

from pathlib import Path
from typing import Any

import pytest

from tally.engine import Archive, Catalog
from tally.graphite.budget import Budget
from tally.graphite.evaluation import evaluate
from tally.graphite.leaves import find_leaves, list_leaves
from tally.graphite.pattern import parse
from tally.graphite.source import Source, Window
from tally.graphite.template import parse_target
from tests.graphite.made import START, WINDOW, catalog, names, source, values

FIVE = ["avg", "count", "max", "min", "sum"]


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return an archive with percentiles, and one without."""
    made = catalog(tmp_path, plain={"a": [1.0]})
    ranked = made.create("ranked", resolution=10, retention=0, percentiles=1)
    ranked.record([("a", value, START + second) for second in (0, 10) for value in range(1, 11)])
    return made


@pytest.mark.parametrize(
    ("pattern", "plain", "ranked"),
    [
        ("*", FIVE, sorted([*FIVE, "p50", "p90", "p95", "p99"])),
        ("p*", [], ["p50", "p90", "p95", "p99"]),
        ("{avg,p95}", ["avg"], ["avg", "p95"]),
        ("p95", [], ["p95"]),
        ("p33", [], ["p33"]),
        ("p99_9", [], ["p99_9"]),
        ("p101", [], []),
        ("p9_", [], []),
        ("upper", ["upper"], ["upper"]),
        ("upp*", [], []),
        ("upper_90", [], ["upper_90"]),
        ("median", [], ["median"]),
        ("mean_90", [], []),
    ],
)
def test_what_a_pattern_finds(pattern: str, plain: list[str], ranked: list[str], made: Catalog) -> None:
    """Wildcards find what is listed. Other percentiles and StatsD's names are found by their whole name."""
    (node,) = parse(pattern)
    assert plain == list(find_leaves(node, made["plain"]))
    assert ranked == list(find_leaves(node, made["ranked"]))


def test_what_is_listed(made: Catalog) -> None:
    """Percentiles are listed if the archive keeps them."""
    assert FIVE == sorted(list_leaves(made["plain"]))
    assert {"p50", "p90", "p95", "p99"} == set(list_leaves(made["ranked"])) - set(FIVE)


@pytest.mark.parametrize(
    ("leaf", "value"),
    [("p50", 5), ("median", 5), ("upper_90", 9), ("p99_9", 10), ("p0", 1), ("upper", 10), ("mean", 5.5), ("avg", 5.5)],
)
def test_series_of_leaves(leaf: str, value: float, made: Catalog) -> None:
    """A series has the path that was asked for, and the values of its aggregate."""
    found = source(made).read(f"ranked.a.{leaf}", WINDOW)
    assert [f"ranked.a.{leaf}"] == names(found)
    assert [[pytest.approx(value, rel=0.01)] * 2] == [each[:2] for each in values(found)]
    assert ("max" if leaf not in ("upper", "mean", "avg") else found[0].consolidation) == found[0].consolidation


def test_auto_has_percentiles_if_an_archive_keeps_them(made: Catalog) -> None:
    """The archive that answers is one that keeps them, although another is as fine."""
    found = source(made).read("auto.a.p50", WINDOW)
    assert [[pytest.approx(5, rel=0.01)] * 2] == [each[:2] for each in values(found)]


def test_an_unknown_percentile_is_no_value(made: Catalog) -> None:
    """A bucket with samples from before percentiles were turned on has no value; an archive without them no series."""
    assert [] == source(made).read("plain.a.p50", WINDOW)
    made["plain"].edit(percentiles=1)
    made["plain"].record([("a", 3, START + 10)])
    assert [[None, 3]] == [each[:2] for each in values(source(made).read("plain.a.p50", WINDOW))]


@pytest.fixture(scope="module")
def skewed(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Return an archive with a bucket of large samples."""
    catalog = Catalog(tmp_path_factory.mktemp("skewed"), clock=lambda: START + 95.0)
    archive = catalog.create("skewed", resolution=10, retention=0, percentiles=1)
    archive.record(("a", 1000.0 if at == 80 else each, START + at) for at in range(0, 100, 10) for each in range(20))
    return archive


def consolidated(archive: Archive, target: str, points_max: int) -> list[list[float | None]]:
    """Return the values of the series of a target, at most so many each."""
    window = Window(START - 1, START + 95, START + 95.0)
    source = Source(Catalog(archive.path.parent), Budget(60))
    return values([each.fit(points_max) for each in evaluate(parse_target(target), source, window)])


@pytest.mark.parametrize("target", ["skewed.a.p50", "alias(skewed.*.median,'x')", "skewed.a.p*"])
@pytest.mark.parametrize(("points_max", "step"), [(4, 30), (2, 50)])
def test_percentiles_are_consolidated_by_the_sketch(skewed: Archive, target: str, points_max: int, step: int) -> None:
    """A value of a longer bucket is the percentile of all of its samples."""
    given: dict[str, Any] = {"step": step, "since": START - 60, "until": START + 90}
    wanted = ("p50", "p90", "p95", "p99") if "p*" in target else ("p50",)
    expected = [skewed.values(each, **given)["a"] for each in wanted]
    assert [list(each.values()) for each in expected] == consolidated(skewed, target, points_max)


def test_percentiles_of_a_whole_range(skewed: Archive) -> None:
    """The only value is the percentile of all samples."""
    expected = skewed.aggregate("p50", by="name", since=START, until=START + 90)["a"]
    assert [[expected]] == consolidated(skewed, "skewed.a.p50", 1)


@pytest.mark.parametrize("target", ["scale(skewed.a.p50,1)", "consolidateBy(skewed.a.p50,'max')"])
def test_what_functions_make_of_percentiles_is_consolidated_by_the_maximum(skewed: Archive, target: str) -> None:
    """Their samples are not known."""
    fine = consolidated(skewed, target, 100)[0]
    assert [[max(each for each in fine if each)]] == consolidated(skewed, target, 1)
