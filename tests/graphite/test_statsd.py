"""The paths of StatsD's Graphite backend."""

from pathlib import Path
from urllib.parse import urlencode

import pytest

from tally.engine import Catalog
from tally.graphite import tree
from tally.graphite.budget import Budget
from tests.api.asking import ask, service
from tests.graphite.made import NOW, START, WINDOW, catalog, names, source


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return an archive with a timer, a counter, a gauge and percentiles."""
    made = catalog(tmp_path)
    archive = made.create("daily", resolution=10, retention=0, percentiles=1)
    archive.record([("page.time", value, START) for value in (1.0, 2.0, 3.0, 4.0, 90.0)])
    archive.record([("page.views", 3.0, START), ("page.views", 4.0, START), ("users", 7.0, START)])
    return made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("stats.timers.page.time.count", 5),
        ("stats.timers.page.time.count_ps", 0.5),
        ("stats.timers.page.time.lower", 1),
        ("stats.timers.page.time.mean", 20),
        ("stats.timers.page.time.median", 3),
        ("stats.timers.page.time.sum", 100),
        ("stats.timers.page.time.upper", 90),
        ("stats.timers.page.time.upper_50", 3),
        ("stats.timers.page.time.upper_90", 90),
        ("stats.counters.page.views.count", 7),
        ("stats.counters.page.views.rate", 0.7),
        ("stats_counts.page.views", 7),
        ("stats.page.views", 0.7),
        ("stats.gauges.users", 7),
        ("stats.sets.users.count", 7),
    ],
)
def test_a_path_is_answered(path: str, value: float, made: Catalog) -> None:
    """The series has the path that was asked for, and the value that StatsD would have sent."""
    (found,) = source(made).read(path, WINDOW)
    assert (path, path, {"name": path}) == (found.name, found.expression, found.tags)
    assert pytest.approx(value, rel=0.01) == found.values[0]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("stats.timers.page.*.upper", ["stats.timers.page.time.upper", "stats.timers.page.views.upper"]),
        ("stats.timers.page.time.upper*", ["stats.timers.page.time.upper", "stats.timers.page.time.upper_90"]),
        ("stats.counters.page.{time,views}.rate", ["stats.counters.page.time.rate", "stats.counters.page.views.rate"]),
        ("stats.gauges.*", ["stats.gauges.users"]),
        ("stats.page.*", ["stats.page.time", "stats.page.views"]),
        ("stats.timers.page.time.mean_90", []),
        ("stats.timers.page.time.std", []),
        ("stats.timers.page.time", []),
        ("stats.timers", []),
        ("stats", []),
        ("stats_counts", []),
        ("stats.counters.page.views.upper", []),
    ],
)
def test_patterns(pattern: str, found: list[str], made: Catalog) -> None:
    """Wildcards find names, and the leaves that are listed; what needs more than the archives keep is not found."""
    assert found == names(source(made).read(pattern, WINDOW))


@pytest.mark.parametrize(
    ("pattern", "branches", "leaves"),
    [
        ("stats", ["stats"], []),
        ("stats.*", ["stats.counters", "stats.gauges", "stats.page", "stats.sets", "stats.timers"], ["stats.users"]),
        ("stats.timers.*", ["stats.timers.page", "stats.timers.users"], []),
        ("stats.timers.page.*", ["stats.timers.page.time", "stats.timers.page.views"], []),
        ("stats.counters.users.*", [], ["stats.counters.users.count", "stats.counters.users.rate"]),
        ("stats_counts.p*.v*", [], ["stats_counts.page.views"]),
        ("stats_counts.*", ["stats_counts.page"], ["stats_counts.users"]),
    ],
)
def test_the_tree(pattern: str, branches: list[str], leaves: list[str], made: Catalog) -> None:
    """The variables of dashboards find names and leaves."""
    found = tree.find(made, pattern, Budget(60))
    assert branches == [each.path for each in found if not each.is_leaf]
    assert leaves == [each.path for each in found if each.is_leaf]


def test_an_archive_goes_first(made: Catalog) -> None:
    """An archive with the slug `stats` hides the paths of StatsD; wildcards do not find these."""
    assert ["daily"] == [each.path for each in tree.find(made, "*", Budget(60))]
    made.create("stats", resolution=10, retention=0).record([("timers.x", 1.0, START)])
    assert [] == source(made).read("stats.timers.page.time.upper", WINDOW)
    assert ["stats.timers.x.sum"] == names(source(made).read("stats.timers.x.sum", WINDOW))


def test_without_archives(tmp_path: Path) -> None:
    """Without an archive there is no series."""
    assert [] == source(catalog(tmp_path)).read("stats.timers.page.time.upper", WINDOW)


def test_a_dashboard_of_statsd(made: Catalog, tmp_path: Path) -> None:
    """Targets as they are in such dashboards have values, over HTTP."""
    targets = (
        "alias(stats.timers.page.time.upper_90, 'slow')",
        "sumSeries(stats.counters.page.*.rate)",
        "aliasByNode(stats_counts.page.views, 2)",
    )
    fields = [("target", target) for target in targets] + [("from", START - 1), ("until", START + 20)]
    got = ask(service(tmp_path, now=NOW), f"/render?{urlencode(fields)}")
    assert ["slow", "sumSeries(stats.counters.page.*.rate)", "views"] == [each["target"] for each in got.json]
    assert all(each["datapoints"][0][0] for each in got.json)
    assert made.archives()
