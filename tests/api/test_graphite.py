"""Graphite's routes as Grafana and others ask them."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tally.api.message import MAX_BODY_BYTES, Request
from tally.api.parameters import FORM
from tally.api.routes import ROUTES
from tally.engine import Catalog
from tally.graphite.functions import FUNCTIONS
from tests.api.asking import Got, answered, ask, begun, service
from tests.api.cases import bearer, fill, tear

NOW = 1_700_000_030.0
TARGET = "daily.requests.get.*.sum"
RANGE = {"from": "1699999999", "until": "1700000019", "format": "json"}
ABOUT = {
    "target": "daily.requests.get.about.sum",
    "tags": {"name": "daily.requests.get.about.sum"},
    "datapoints": [[None, 1700000000], [1.5, 1700000010]],
}
INDEX = {
    "target": "daily.requests.get.index.sum",
    "tags": {"name": "daily.requests.get.index.sum"},
    "datapoints": [[1.0, 1700000000], [0.5, 1700000010]],
}
GRAPHITE = [route for route in ROUTES if route.graphite is not None]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the contract's example."""
    found = tmp_path_factory.mktemp("graphite")
    fill(found)
    (found / "foreign.db").unlink()
    return found


def get(directory: Path, path: str, fields: Any = (), **settings: Any) -> Got:
    """Return the answer to fields in the query."""
    return ask(service(directory, now=NOW, **settings), f"{path}?{urlencode(fields)}")


def post(directory: Path, path: str, fields: Any = (), media_type: str = FORM, **settings: Any) -> Got:
    """Return the answer to fields in a form."""
    body = urlencode(fields).encode()
    headers = {"Content-Type": media_type} if media_type else {}
    return ask(service(directory, now=NOW, **settings), path, method="POST", headers=headers, body=body)


def test_series_are_rendered(directory: Path) -> None:
    """GET and POST, with and without a slash at the end, have the same answer."""
    fields = {**RANGE, "target": TARGET, "maxDataPoints": "100"}
    for got in (get(directory, "/render", fields), get(directory, "/render/", fields),
                post(directory, "/render", fields), post(directory, "/render/", fields)):  # fmt: skip
        assert (200, "application/json", [ABOUT, INDEX]) == (got.status, got.headers["content-type"], got.json)
        assert str(len(got.body)) == got.headers["content-length"]


def test_what_grafana_s_backend_asks(directory: Path) -> None:
    """The backend of Grafana sends a form with whole seconds and a width for one target."""
    fields = {"format": "json", "from": "1699999999", "maxDataPoints": "1", "target": TARGET, "until": "1700000019"}
    got = post(directory, "/render", fields)
    assert [[[1.5, 1700000000]]] * 2 == [each["datapoints"] for each in got.json]


def test_what_grafana_s_browser_asks(directory: Path) -> None:
    """A query may have relative times, several targets, and unknown parameters."""
    fields = [("target", "aliasByNode(" + TARGET + ", 3)"), ("target", "constantLine(5)"), ("from", "-1min"),
              ("until", "now"), ("format", "json"), ("maxDataPoints", "1024"), ("cacheTimeout", "60")]  # fmt: skip
    got = post(directory, "/render", fields, media_type=f"{FORM}; charset=UTF-8")
    assert ["about", "index", "5.0"] == [each["target"] for each in got.json]


def test_a_form_and_a_query_count_together(directory: Path) -> None:
    """Times are parsed as by Graphite. The last value of a repeated parameter counts."""
    asked = service(directory, now=NOW)
    body = urlencode({"target": TARGET, "from": "1699999999"}).encode()
    got = ask(asked, "/render?from=-1h&until=1700000019", method="POST", body=body)
    assert [ABOUT, INDEX] == got.json


def test_series_in_csv(directory: Path) -> None:
    """As Graphite writes it."""
    got = get(directory, "/render", {**RANGE, "target": "daily.requests.get.index.sum", "format": "csv"})
    name = "daily.requests.get.index.sum"
    expected = f"{name},2023-11-14 22:13:20,1.0\r\n{name},2023-11-14 22:13:30,0.5\r\n"
    assert ("text/csv; charset=utf-8", expected) == (got.headers["content-type"], got.body.decode())


def test_the_tree_is_found(directory: Path) -> None:
    """Nodes are found by GET, and by POST with a form, as Grafana sends it. Flags are 0 and 1."""
    fields = {"query": "daily.requests.*"}
    expected = [{"text": "get", "id": "daily.requests.get", "allowChildren": 1, "expandable": 1, "leaf": 0}]
    assert expected == get(directory, "/metrics/find", fields).json == post(directory, "/metrics/find/", fields).json
    completed = get(directory, "/metrics/find", {"query": "daily.re", "format": "completer"}).json
    assert {"metrics": [{"path": "daily.requests.", "name": "requests", "is_leaf": "0"}]} == completed
    assert "*" == get(directory, "/metrics/find", {"query": "daily.*.*.*", "wildcards": "1"}).json[0]["text"]


def test_patterns_are_expanded(directory: Path) -> None:
    """The paths are listed together, or for each pattern."""
    fields = [("query", "daily.requests.get.*"), ("query", "daily.requests.get.index.sum")]
    about, index = "daily.requests.get.about", "daily.requests.get.index"
    assert {"results": [about, index, f"{index}.sum"]} == get(directory, "/metrics/expand", fields).json
    leaves = get(directory, "/metrics/expand", [*fields, ("leavesOnly", "1"), ("groupByExpr", "1")]).json
    assert {"results": {"daily.requests.get.*": [], f"{index}.sum": [f"{index}.sum"]}} == leaves


def test_all_paths(directory: Path) -> None:
    """Each name has five metrics."""
    got = get(directory, "/metrics/index.json").json
    assert (10, "daily.requests.get.about.avg") == (len(got), got[0])


def test_functions_are_told(directory: Path) -> None:
    """Functions are listed by name or by group."""
    by_name = get(directory, "/functions").json
    listed = [name for name, function in FUNCTIONS.items() if function.listed]
    assert listed == list(by_name)
    grouped = get(directory, "/functions", {"grouped": "1"}).json
    assert {*listed} == {name for group in grouped.values() for name in group}
    assert by_name["alias"] == grouped["Alias"]["alias"]


def test_what_grafana_asks_before_all_else(directory: Path) -> None:
    """Grafana understands the version. There are no tags but the names, and no events."""
    got = get(directory, "/version")
    assert (b"1.1.10", "text/plain; charset=utf-8") == (got.body, got.headers["content-type"])
    asked = {"from": "-1h", "until": "now", "tag": "a", "limit": "100"}
    assert [{"tag": "name"}] == get(directory, "/tags", asked).json
    assert ["aggregate", "archive", "name"] == get(directory, "/tags/autoComplete/tags", asked).json
    for path in ("/tags/autoComplete/values", "/events/get_data"):
        assert [] == get(directory, path, asked).json


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("/render", {"target": "nonsense(a.b.c)"}, "/functions"),
        ("/render", {"target": "f("}, "target"),
        ("/render", {"from": "soon"}, "from"),
        ("/render", {"format": "png"}, "draws no images"),
        ("/metrics/find", {}, "query is missing"),
        ("/metrics/find", {"query": "{a"}, "brace"),
        ("/metrics/find", {"query": "a", "format": "pickle"}, "any code"),
        ("/metrics/find", {"query": "a", "wildcards": "yes"}, "wildcards"),
        ("/metrics/expand", {"query": ""}, "query is missing"),
        ("/functions", {"grouped": "2"}, "grouped"),
        ("/render", {"format": "pickle"}, "any code"),
        ("/render", {"format": "xml"}, "json or csv"),
        ("/render", {"tz": "Mars/Base"}, "not a time zone"),
        ("/render", {"jsonp": "alert(1)"}, "name of a function"),
        ("/metrics/find", {"query": "a", "format": "xml"}, "treejson or completer"),
        ("/metrics/find", {"query": "a", "format": "nodelist", "position": "x"}, "position"),
        ("/metrics/find", {"query": "a", "from": "soon"}, "from"),
        ("/metrics/find", {"query": "a", "until": "soon"}, "until"),
        ("/metrics/find", {"query": "a", "now": "soon"}, "now"),
        ("/metrics/find", {"query": "a", "tz": "Mars/Base"}, "not a time zone"),
        ("/tags/findSeries", {}, "expr is missing"),
        ("/tags/findSeries", {"expr": "env"}, "env"),
        ("/tags/autoComplete/values", {"expr": "env=a"}, "tag is missing"),
        ("/tags/autoComplete/tags", {"limit": "-1"}, "limit"),
        ("/tags", {"filter": "("}, "regular expression"),
    ],
)
def test_what_is_wrong_is_told(path: str, fields: dict[str, str], says: str, directory: Path) -> None:
    """As a problem, like everywhere else."""
    got = get(directory, path, fields)
    assert (400, "application/problem+json") == (got.status, got.headers["content-type"])
    assert says in got.json["detail"]
    assert got.json["detail"] == got.json["message"]


def test_infinite_defaults_are_written_as_by_graphite(directory: Path) -> None:
    """Infinite values are numbers that every JSON parser reads as infinite."""
    body = get(directory, "/functions").body.decode()
    assert '"name":"limit","type":"intOrInf","default":1e9999' in body


def test_only_graphites_errors_have_a_message(directory: Path) -> None:
    """Other routes only have `detail`."""
    assert "message" not in get(directory, "/values/nothing/").json


def test_bodies_that_are_no_forms(directory: Path) -> None:
    """A body of another type, or one that is too long, is an error. Without a type it is a form."""
    assert (400, 400) == tuple(
        post(directory, "/render", {"target": TARGET}, kind).status for kind in ("application/json", "text/plain")
    )
    assert 200 == post(directory, "/render", {"target": TARGET}, "").status
    assert 413 == post(directory, "/render", {"target": "x" * MAX_BODY_BYTES}).status
    assert 400 == ask(service(directory), "/render", method="POST", body=b"target=%FF").status


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Only patterns that match a damaged archive are answered by an error."""
    fill(tmp_path)
    tear(Catalog(tmp_path).create("torn", resolution=10).path)
    fields = {**RANGE, "target": "*.requests.get.index.sum"}
    assert 500 == get(tmp_path, "/render", fields).status
    assert 200 == get(tmp_path, "/render", {**fields, "target": TARGET}).status
    assert [500, 500] == [get(tmp_path, path, {"query": "*.*"}).status for path in ("/metrics/find", "/metrics/expand")]
    assert 500 == get(tmp_path, "/metrics/index.json").status


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.graphite is not None],
    ids=lambda route: f"{route.method} {route.template}",
)
def test_access_is_as_everywhere(route: Any, directory: Path) -> None:
    """If a read token is set, the routes need it, or a write token."""
    asked = service(directory, now=NOW, read_token="r", write_token="w")
    target = f"{route.template.format(tag='name')}?query=daily.*&expr=name%3Da&tag=name"
    tokens: tuple[dict[str, str], ...] = ({}, bearer("x"), bearer("r"), bearer("w"))
    assert [401, 401, 200, 200] == [ask(asked, target, method=route.method, headers=sent).status for sent in tokens]
    assert 200 == ask(service(directory), target, method=route.method).status


def test_questions_are_counted(directory: Path) -> None:
    """Requests that query archives are counted by outcome. `/version` is not."""
    asked = service(directory, now=NOW)
    for target in (f"/render?target={TARGET}", "/render?target=f(", "/metrics/find?query=*", "/version"):
        ask(asked, target)
    text = ask(asked, "/metrics").body.decode()
    assert 'tally_queries_total{outcome="answered"} 2.0' in text
    assert 'tally_queries_total{outcome="wrong"} 1.0' in text


def test_a_reply_that_is_closed_reads_no_further(directory: Path) -> None:
    """If the client disconnects, its query is stopped."""
    reply = answered(service(directory, now=NOW), Request("GET", "/render", urlencode({"target": TARGET})))
    assert not reply.is_whole
    reply.close()
    assert b"" == b"".join(reply.chunks)


def test_long_answers_stream(tmp_path: Path) -> None:
    """A long answer is sent while it is made."""
    fill(tmp_path)
    (tmp_path / "foreign.db").unlink()
    asked = service(tmp_path, now=NOW)
    request = Request("POST", "/render", body=urlencode([("target", TARGET), ("from", "-20h")] * 40).encode())
    reply = begun(asked, request)
    chunks = list(reply.chunks)
    reply.close()
    assert 80 == len(json.loads(b"".join(chunks)))


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """Return a data directory with tagged names in two archives."""
    catalog = Catalog(tmp_path)
    names = ("load;env=prod;host=web1", "load;env=prod;host=web2", "load;env=dev", "plain")
    for slug in ("daily", "hourly"):
        catalog.create(slug, resolution=10, retention=0).record((name, 1.0, NOW - 20) for name in names)
    return tmp_path


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        ("/tags/findSeries", [("expr", "env=prod")], ["load;env=prod;host=web1", "load;env=prod;host=web2"]),
        ("/tags/findSeries", [("expr[]", "env=prod"), ("expr[]", "host=~.*2")], ["load;env=prod;host=web2"]),
        ("/tags/autoComplete/tags", [], ["aggregate", "archive", "env", "host", "name"]),
        ("/tags/autoComplete/tags", [("tagPrefix", "h")], ["host"]),
        ("/tags/autoComplete/tags", [("expr", "env=dev")], ["aggregate", "archive", "name"]),
        ("/tags/autoComplete/tags", [("limit", "2")], ["aggregate", "archive"]),
        ("/tags/autoComplete/values", [("tag", "host"), ("valuePrefix", "web")], ["web1", "web2"]),
        ("/tags/autoComplete/values", [("tag", "env"), ("expr", "host=web1")], ["prod"]),
        ("/tags/autoComplete/values", [("tag", "archive")], ["auto", "daily", "hourly"]),
        ("/tags/autoComplete/values", [("tag", "aggregate"), ("valuePrefix", "m")], ["max", "min"]),
    ],
)
def test_tags_are_searched(method: str, path: str, fields: Any, expected: list[str], tagged: Path) -> None:
    """Grafana's editor completes tags and values, by GET and POST."""
    if method == "GET":
        assert expected == get(tagged, path, fields).json
    else:
        assert expected == ask(service(tagged), path, method="POST", body=urlencode(fields).encode()).json


def test_tags_are_listed(tagged: Path) -> None:
    """All tags, and the values of one, with how many names have each."""
    assert [{"tag": "env"}, {"tag": "host"}, {"tag": "name"}] == get(tagged, "/tags").json
    assert [{"tag": "host"}] == get(tagged, "/tags", {"filter": "ho"}).json
    assert [{"tag": "env"}] == get(tagged, "/tags", {"limit": "1"}).json
    expected = [{"count": 1, "value": "dev"}, {"count": 2, "value": "prod"}]
    assert {"tag": "env", "values": expected} == get(tagged, "/tags/env").json
    assert {"tag": "env", "values": expected[1:]} == get(tagged, "/tags/env", {"filter": "pr"}).json
    assert {"tag": "none", "values": []} == get(tagged, "/tags/none").json


def test_nodes_in_other_formats(directory: Path) -> None:
    """Paths, and the nodes at a position."""
    fields = {"query": "daily.requests.get.*", "format": "json"}
    about, index = "daily.requests.get.about", "daily.requests.get.index"
    assert [about, index] == [each["path"] for each in get(directory, "/metrics/find", fields).json]
    assert [] == get(directory, "/metrics/find", {**fields, "leavesOnly": "1"}).json
    asked = {**fields, "format": "nodelist"}
    assert {"nodes": ["about", "index"]} == get(directory, "/metrics/find", asked).json
    assert {"nodes": ["requests"]} == get(directory, "/metrics/find", {**asked, "position": "1"}).json
    assert {"nodes": []} == get(directory, "/metrics/find", {**asked, "position": "9"}).json


@pytest.mark.parametrize("path", ["/render", "/metrics/find", "/metrics/expand", "/metrics/index.json"])
def test_jsonp(path: str, directory: Path) -> None:
    """JSON becomes the argument of a call, but not for pages of other sites."""
    fields = {"query": "daily.*", "target": "daily.requests.get.index.sum"}
    plain, called = (get(directory, path, {**fields, **more}) for more in ({}, {"jsonp": "page.show"}))
    assert b"page.show(" + plain.body + b")" == called.body
    assert "text/javascript; charset=utf-8" == called.headers["content-type"]
    target = f"{path}?{urlencode({**fields, 'jsonp': 'show'})}"
    for site, status in (("cross-site", 400), ("same-site", 200), ("none", 200)):
        assert status == ask(service(directory), target, headers={"Sec-Fetch-Site": site}).status


def test_a_leaf_tells_the_range_of_its_archive(directory: Path) -> None:
    """It begins with the first bucket of the archive, and ends with the end of the last one; below auto too."""
    asked = {"query": "daily.requests.get.index.{sum,avg}", "format": "json"}
    found = get(directory, "/metrics/find", asked).json
    interval = {"start": 1700000000, "end": 1700000020}
    assert [[interval], [interval]] == [each["intervals"] for each in found]
    (one,) = get(directory, "/metrics/find", {"query": "auto.requests.get.index.sum", "format": "json"}).json
    assert [interval] == one["intervals"]
    (one,) = get(directory, "/metrics/find", {"query": "stats.gauges.requests.get.index", "format": "json"}).json
    assert [interval] == one["intervals"]


@pytest.mark.parametrize("form", ["treejson", "completer", "json", "nodelist"])
@pytest.mark.parametrize("query", ["auto.*", "stats.gauges.*"])
def test_a_range_chooses_the_archive_of_auto(query: str, form: str, tmp_path: Path) -> None:
    """Nodes are those of the archive that answers the range in /render. -1 is no range, as in Graphite."""
    catalog = Catalog(tmp_path, clock=lambda: NOW)
    for slug, resolution, retention in (("recent", 5, 1), ("long", 10, 0)):
        catalog.create(slug, resolution=resolution, retention=retention).record([(slug, 1, NOW)])
    for start, name in (("-30min", "recent"), ("-2h", "long"), ("-1", "long"), ("", "long")):
        asked = {"query": query, "format": form, "from": start, "until": "-1"}
        assert name in (body := get(tmp_path, "/metrics/find", asked).body.decode())
        assert 1 == sum(each in body for each in ("recent", "long"))


def test_now_and_factor_of_a_request(directory: Path) -> None:
    """Relative times count from `now`, which ends the answer; too few values are none."""
    asked = {"target": "sumSeries(daily.requests.get.*.sum)", "from": "-20s", "now": "1700000019", "xFilesFactor": "1"}
    (found,) = get(directory, "/render", asked).json
    # The bucket that is open at that time has no value.
    assert [[None, 1700000000], [None, 1700000010]] == found["datapoints"]
    (found,) = get(directory, "/render", {**asked, "now": "1700000020", "xFilesFactor": "0.5"}).json
    assert [[2.0, 1700000010], [None, 1700000020]] == found["datapoints"]
    for field, value in (("now", "soon"), ("xFilesFactor", "2"), ("xFilesFactor", "nan"), ("xFilesFactor", "-0.1")):
        got = get(directory, "/render", {**asked, field: value})
        assert 400 == got.status
        assert field in got.json["detail"]


def test_files_that_are_no_archives_hide_no_others(tmp_path: Path) -> None:
    """What lists all archives leaves such a file out, and what names it is told that it is none."""
    fill(tmp_path)
    for path, fields in (
        ("/metrics/index.json", {}),
        ("/metrics/find", {"query": "*.requests"}),
        ("/metrics/find", {"query": "*.requests", "format": "json"}),
        ("/metrics/expand", {"query": "*.requests.*.*.sum"}),
        ("/render", {"target": "*.requests.*.*.sum", "from": "1699999999"}),
        ("/tags", {}),
        ("/tags/name", {}),
        ("/tags/findSeries", {"expr": "name=~req"}),
        ("/tags/autoComplete/tags", {}),
        ("/tags/autoComplete/values", {"tag": "name"}),
    ):
        got = get(tmp_path, path, fields)
        assert 200 == got.status, path
        assert got.json, path
    got = get(tmp_path, "/render", {"target": "foreign.a.sum", "from": "1699999999"})
    assert 500 == got.status
    assert "foreign" in got.json["detail"]
