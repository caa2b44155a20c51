"""tally compared with graphite-web 1.1.10 on the same series: equal, except for the differences in docs/graphite.md."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tally.engine import Catalog
from tally.engine.asking.question import AGGREGATES
from tally.engine.history.whisper_file import parse_name
from tests.api.asking import ask, service
from tests.cli.command import filled, invoke
from tests.clients import graphite_web
from tests.engine.history import test_whisper_file
from tests.processes import LIMIT_S, launched

pytestmark = pytest.mark.skipif(
    "GRAPHITE_PYTHON" not in os.environ, reason="`nox -s graphite` runs it, with a Python that has graphite-web"
)

# A range of ten minutes that is over for both, and begins with no multiple of a minute.
NOW = time.time()
END = int(NOW) // 60 * 60 - 590
START = END - 600
# By name the values of the samples of each bucket from START on.
SAMPLES: dict[str, list[list[float]]] = {
    "requests.get.index": [[float(i % 7), i / 4] if i % 5 else [] for i in range(1, 61)],
    "requests.get.about": [[float(i * i % 50)] * (i % 4) for i in range(1, 61)],
    "requests.post.index": [[10.0 - i % 3] for i in range(1, 61)],
    "counter": [[float(i * 3 % 100)] for i in range(1, 61)],
    "rare": [[float(i)] if i in (3, 4, 30, 57) else [] for i in range(1, 61)],
    "zero": [[0.0] if i % 2 else [] for i in range(1, 61)],
    "negative": [[-float(i)] for i in range(1, 61)],
}


class Both(NamedTuple):
    """Sends the same requests to tally and graphite-web. `tree` is the directory of graphite-web's whisper files."""

    tally: Callable[[str], Any]
    graphite: Callable[[str], Any]
    tree: Path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Start a graphite-web with the series of an archive."""
    data, root = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("graphite")
    archive = Catalog(data).create("daily", resolution=graphite_web.STEP_S, retention=24)
    archive.record(
        (name, value, START + index * 10)
        for name, buckets in SAMPLES.items()
        for index, values in enumerate(buckets, 1)
        for value in values
    )
    series = {
        f"daily.{name}.{aggregate}": list(points.items())
        for aggregate in AGGREGATES
        for name, points in archive.values(aggregate).items()
    }
    (root / "series.json").write_text(json.dumps(series))
    asked = service(data, now=NOW)
    with launched([os.environ["GRAPHITE_PYTHON"], graphite_web.__file__, str(root)], {}) as running:
        url = running.url

        def graphite(target: str) -> Any:
            with urlopen(url + target, timeout=LIMIT_S) as answer:
                return json.load(answer)

        yield Both(lambda target: ask(asked, target).json, graphite, root / "whisper")


def render(*targets: str, **more: object) -> str:
    """Return the URL of a request for targets."""
    fields = [("target", target) for target in targets]
    return f"/render?{urlencode([*fields, ('from', START), ('until', END), ('format', 'json'), *more.items()])}"


def comparable(answer: Any) -> Any:
    """Return names and points of series, with numbers rounded to twelve digits."""
    return [
        (
            series["target"],
            [(value if value is None else float(f"{value:.12g}"), at) for value, at in series["datapoints"]],
        )
        for series in answer
    ]


COUNT, SUM, AVG = "daily.requests.*.*.count", "daily.requests.*.*.sum", "daily.requests.*.*.avg"
ONE, RARE, COUNTER = "daily.requests.get.index.sum", "daily.rare.sum", "daily.counter.max"
SAME = (
    *(f"daily.requests.get.index.{aggregate}" for aggregate in AGGREGATES),
    "daily.requests.*.*.{avg,sum}", "daily.requests.{get,post}.in*.m??", "daily.[c-r]*.max", "daily.[!c-r]*.max",
    "daily.none.sum", "daily.requests", "daily.requests.get.index.*",
    "constantLine(5)", "constantLine(0.25)", "constantLine(-1)",
    f"alias({COUNT},'x')", f"aliasByNode({COUNT},2,3)", f"aliasByNode({COUNT},-1,0)", f"aliasByNode({COUNT},9)",
    f"aliasByNode(scale({COUNT},2),3)", f"aliasByNode(sumSeries({COUNT}),1)", f"aliasByMetric({COUNT})",
    f"aliasByMetric(scale({COUNT},2))", rf"aliasSub({COUNT},'^.*\.(\w+)\.count$','\1!')",
    rf'aliasSub({COUNT}, "(^.*$)", "\1 A")', f"substr({COUNT},2)", f"substr({COUNT},1,-1)", f"substr({COUNT})",
    f"substr(scale({COUNT},2),1,3)",
    *(f"{name}Series({COUNT})" for name in ("sum", "average", "min", "max", "diff")),
    *(f"{name}Series({RARE},{ONE},{SUM})" for name in ("sum", "average", "min", "max", "diff")),
    f"sumSeries({RARE},daily.none.sum)", "sumSeries(daily.none.sum)",
    f"groupByNode({COUNT},2)", f"groupByNode({COUNT},2,'sum')", f"groupByNode({COUNT},3,'sumSeries')",
    f"groupByNode({COUNT},-1,'max')", f"groupByNode(scale({COUNT},2),3,'median')", f"groupByNode({COUNT},2,'stddev')",
    f"groupByNode({COUNT},2,'range')", f"groupByNode({COUNT},2,'multiply')", f"groupByNode({COUNT},2,'last')",
    f"groupByNode({COUNT},2,'count')", f"groupByNode({COUNT},2,'diff')",
    f"scale({SUM},2)", f"scale({SUM},0.001)", f"scale({SUM},1e9)", f"offset({SUM},-1.5)",
    "absolute(daily.negative.sum)",
    f"perSecond({COUNTER})", f"perSecond({COUNTER},100)", f"perSecond({COUNTER},99,1)", f"derivative({RARE})",
    f"derivative({COUNTER})", f"nonNegativeDerivative({COUNTER})", f"nonNegativeDerivative({COUNTER},99)",
    f"nonNegativeDerivative({COUNTER},minValue=3)", f"integral({RARE})",
    f"integral({SUM})", f"keepLastValue({RARE})", f"keepLastValue({RARE},3)", f"keepLastValue({ONE},1)",
    f"keepLastValue({RARE},inf)", f"transformNull({RARE})", f"transformNull({RARE},-1.5)",
    f"consolidateBy({SUM},'max')", f"consolidateBy({SUM},'avg')",
    f"summarize({SUM},'1min')", f"summarize({SUM},'1min','max')", f"summarize({SUM},'50s','avg',true)",
    f"summarize({COUNT},'1h')", f"summarize({RARE},'2min','last')", f"summarize({ONE},'70s','count')",
    f"summarize({ONE},'1min','median',alignToFrom=true)", f"summarize({ONE},'10s')",
    f"movingAverage({SUM},5)", f"movingAverage({SUM},'1min')", f"movingAverage({SUM},1)", f"movingAverage({RARE},3)",
    f"movingAverage(scale({SUM},2),'30s')", f"movingSum({SUM},5)", f"movingSum({RARE},'1min')",
    f"movingSum(sumSeries({COUNT}),10)",
    f"asPercent({COUNT})", f"asPercent({COUNT},50)", f"asPercent({COUNT},0.5)", f"asPercent({COUNT},{ONE})",
    f"asPercent({COUNT},{SUM})", f"asPercent({COUNT},sumSeries({COUNT}))", f"asPercent({COUNT},daily.zero.sum)",
    f"divideSeries({SUM},{ONE})", f"divideSeries({SUM},daily.zero.sum)", f"divideSeries({SUM},daily.none.sum)",
    f"divideSeries(sumSeries({SUM}),sumSeries({COUNT}))", f"diffSeries({ONE},{RARE})",
    f"timeShift({SUM},'1min')", f"timeShift({SUM},'-1min')", f"timeShift({SUM},'+1min')", f"timeShift({SUM},'15s')",
    f"timeShift(scale({SUM},2),'5min')", f"timeShift({SUM},'1min',false)",
    f"highestMax({SUM},2)", f"highestMax({SUM},9)", f"highestAverage({SUM},2)", f"highestCurrent({SUM},1)",
    "highestMax(daily.*.max,3)", f"sortByMaxima({SUM})", "sortByMaxima(daily.*.max)", f"limit({SUM},2)",
    f"exclude({SUM},'about')", f"grep({SUM},'get')", f"grep({SUM},'^daily.*index')", f"removeBelowValue({SUM},5)",
    f"removeAboveValue({SUM},5)", f"removeAboveValue({SUM},0.5)",
    f"aliasByNode(highestMax(summarize(scale({SUM},10),'1min'),2),3)",
    f"alias(movingAverage(keepLastValue({RARE}),3),'it''s')".replace("''", " "),
)  # fmt: skip
# What differs and why, in the words of docs/graphite.md.
DIFFERENT = (
    (render(SUM, maxDataPoints=10), "Consolidation follows the aggregate"),
    (render(AVG, maxDataPoints=10), "Consolidation follows the aggregate"),
    (render(ONE, maxDataPoints=1), "Consolidation follows the aggregate"),
    (render(f"summarize({AVG},'1min','avg')"), "weight averages"),
    (render(f"sumSeries({SUM},summarize({SUM},'30s'))"), "Series with different steps"),
    (render(f"timeShift({SUM},'85500s')"), "that an archive still keeps"),
)


def sortable(answer: Any) -> Any:
    """Return an answer in which nodes of the same text, whose order varies in graphite-web, are one."""
    if "metrics" not in answer:
        return answer
    return sorted(answer["metrics"], key=lambda each: (each["name"], each.get("path", "")))


@pytest.mark.parametrize("target", SAME)
def test_series_are_alike(target: str, both: Both) -> None:
    """Names, times and values equal those of graphite-web."""
    asked = render(target)
    assert comparable(both.graphite(asked)) == comparable(both.tally(asked))


@pytest.mark.parametrize(("asked", "reason"), DIFFERENT, ids=[reason for _, reason in DIFFERENT])
def test_differences_are_those_that_are_listed(asked: str, reason: str, both: Both) -> None:
    """The differences that the page lists exist."""
    page = (Path(__file__).parents[2] / "docs" / "graphite.md").read_text(encoding="utf-8")
    assert reason in page.partition("## Differences")[2].replace("\n  ", " ")
    assert comparable(both.graphite(asked)) != comparable(both.tally(asked))


def test_where_graphite_fails(both: Both) -> None:
    """graphite-web fails at a gap in a counter with bounds; tally has no value after the gap."""
    asked = render(f"nonNegativeDerivative({RARE},50)")
    with pytest.raises(HTTPError, match="500"):
        both.graphite(asked)
    (found,) = both.tally(asked)
    assert [START + 40] == [at for value, at in found["datapoints"] if value is not None]


@pytest.mark.parametrize(
    "query",
    ["*", "daily.*", "daily.requests.*", "daily.requests.get.*", "daily.requests.get.index.*", "daily.requests.*.*",
     "daily.{rare,zero}.s*", "daily.r*", "none.*", "daily.requests.get.index.sum", "daily.req"],
)  # fmt: skip
def test_the_tree_is_alike(query: str, both: Both) -> None:
    """find, completer and expand return the same as graphite-web."""
    for path in ("/metrics/find?", "/metrics/find?format=completer&", "/metrics/find?wildcards=1&", "/metrics/expand?",
                 f"/metrics/find?from={END}&until=now&", "/metrics/find?from=1&until=2&", "/metrics/find?from=-1&",
                 f"/metrics/expand?from={END + 600}&", f"/metrics/find?from=-1min&now={START}&tz=Asia/Tokyo&",
                 "/metrics/expand?leavesOnly=1&", "/metrics/expand?groupByExpr=1&"):  # fmt: skip
        asked = path + urlencode({"query": query})
        assert sortable(both.graphite(asked)) == sortable(both.tally(asked)), asked
    asked = "/metrics/find?" + urlencode({"query": query, "format": "json"})
    theirs, ours = both.graphite(asked), both.tally(asked)
    assert [each["path"] for each in theirs] == [each["path"] for each in ours]
    # The ranges are those of files there, and those of archives here.
    assert [each.keys() for each in theirs] == [each.keys() for each in ours]


@pytest.mark.parametrize("field", ["from", "until", "now"])
def test_malformed_times_are_refused_alike(field: str, both: Both) -> None:
    """find checks the times of its range."""
    asked = "/metrics/find?" + urlencode({"query": "*", field: "soon"})
    with pytest.raises(HTTPError, match="400"):
        both.graphite(asked)
    assert 400 == both.tally(asked)["status"]


def test_the_index_is_alike(both: Both) -> None:
    """The index contains each metric."""
    assert sorted(both.graphite("/metrics/index.json")) == sorted(both.tally("/metrics/index.json"))


def test_functions_are_told_alike(both: Both) -> None:
    """Each function has Graphite's name, group and first parameter, and no other parameters."""
    theirs, ours = both.graphite("/functions"), both.tally("/functions")
    for name, function in ours.items():
        assert theirs[name].keys() == function.keys()
        assert theirs[name]["group"] == function["group"]
        assert {each["name"] for each in function["params"]} <= {each["name"] for each in theirs[name]["params"]}
        assert theirs[name]["params"][0]["name"] == function["params"][0]["name"]


def points(answer: Any) -> dict[int, float]:
    """Return the values of the only series by time."""
    (series,) = answer
    return {at: value for value, at in series["datapoints"] if value is not None}


def test_an_imported_tree_has_the_same_values(both: Both, tmp_path: Path) -> None:
    """Every series that graphite-web answers from its files is in the archive that they were imported into."""
    data = filled(tmp_path, b"")
    assert 0 == invoke(data, "import", "--format", "whisper", str(both.tree)).exit_code
    archive = Catalog(data)["daily"]
    names = both.graphite("/metrics/index.json")
    assert len(names) == len(SAMPLES) * len(AGGREGATES)
    assert sorted(names) == archive.names()
    for name in names:
        found = archive.values("sum", q=name, since=START + 1, until=END)
        assert points(both.graphite(render(name))) == found.get(name, {}), name


@pytest.mark.parametrize("method", ["average", "sum", "max", "last"])
def test_fine_and_coarse_points_are_those_that_graphite_answers(both: Both, tmp_path: Path, method: str) -> None:
    """A range that the finest ring covers in its points, an earlier one in those of the next ring."""
    last = int(time.time()) // 60 * 60 - 60
    values = {at: float(at // 10 % 97) for at in range(last - 2400, last + 1, 10)}
    path = both.tree.parent / f"one-{method}" / "two.wsp"
    test_whisper_file.write(path, values, method=method, rings=[(10, 30), (60, 60)])
    (both.tree / f"{method}.wsp").symlink_to(path)
    data = filled(tmp_path, b"")
    assert 0 == invoke(data, "import", "--format", "whisper", str(path)).exit_code
    for since, until in ((last - 120, last), (last - 2100, last - 600)):
        asked = f"/render?{urlencode([('target', method), ('from', since), ('until', until), ('format', 'json')])}"
        found = Catalog(data)["daily"].values("sum", since=since + 1, until=until)["two"]
        assert len(found) == (12 if until == last else 25)
        assert points(both.graphite(asked)) == found
    (both.tree / f"{method}.wsp").unlink()


@pytest.mark.parametrize("name", ["disk.used;datacenter=dc1;rack=a.b", "a.b.c", "x"])
def test_paths_are_those_of_graphite(name: str) -> None:
    """The path by which graphite-web and carbon store a series is read as its name, tagged or not."""
    encode = "import sys; from graphite.tags.utils import TaggedSeries as T; print(T.encode(sys.argv[1], sep='/'))"
    command = [os.environ["GRAPHITE_PYTHON"], "-c", encode, name]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert name == parse_name(Path(f"{path}.wsp"))
