"""The OpenAPI document: valid, complete, and true."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cramjam
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from tally.alerts.memory import Memory
from tally.api.message import Request
from tally.api.openapi import FAILURES, document
from tally.api.route import KNOWN, Route
from tally.api.routes import ROUTES as ALL_ROUTES
from tally.api.schemas import PARAMETER_SCHEMAS, PROPERTIES
from tally.engine import Archive
from tally.engine.asking.question import AGGREGATES, is_aggregate
from tally.engine.definition import Definition
from tally.engine.views import View, Views
from tests.api.asking import NOW, Got, answered, ask, rows, service
from tests.api.cases import CASES, Case, bearer, fill, tear
from tests.lines.messages import series
from tests.lines.test_otlp import request

# Pages are for browsers.
ROUTES = tuple(route for route in ALL_ROUTES if not route.is_page)
DOCUMENT = document(ALL_ROUTES, root="", guarded=True)
NEW_VIEW: dict[str, Any] = {"name": "a", "address": "?top=8"}


def one_gauge(name: str) -> bytes:
    """Return a message of OpenTelemetry with a gauge."""
    return bytes(request({"name": name, "gauge": {"data_points": [{"as_int": 1}]}}).SerializeToString())


BODIES = {
    "NewArchive": {"slug": "new"},
    "ArchiveChanges": {"retention": 48},
    "Renaming": {"glob": "requests.*", "template": "web.*"},
    "Lines": b"a 1",
    "NewSilence": {"rule": "slow", "for": "2h", "why": "moving"},
    "Points": b"a b=1",
    "WriteRequest": bytes(cramjam.snappy.compress_raw(series({"__name__": "a"}, [(1, 5)]))),
    "NewView": NEW_VIEW,
    "ExportMetricsServiceRequest": one_gauge("a"),
    "NewEvent": {"title": "deployed", "tags": "deploy"},
    "InfluxQuery": b"",
    "Form": b"target=daily.*.*.*.avg",
}
# Other bodies with samples.
OTHERS = {
    "WriteRequest": bytes(cramjam.snappy.compress_raw(series({"__name__": "b"}, [(1, 5)]))),
    "ExportMetricsServiceRequest": one_gauge("b"),
}

VIEW = View.create(NEW_VIEW).id

# Queries and bodies that lead to a status of a route, where the usual ones do not.
SPECIAL: dict[tuple[str, str, int], tuple[str, Any]] = {
    **{("names", "DELETE", status): ("?q=*", b"") for status in (200, 404, 500)},
    ("silences", "DELETE", 204): ("?id=1", b""),
    ("views", "DELETE", 204): (f"?id={VIEW}", b""),
    ("influx-query", "POST", 200): ("?q=CREATE+DATABASE+telegraf", b""),
    ("archives", "POST", 200): ("?dry_run=1", {"slug": "new", "from": "daily"}),
}


# What extras bring.
PACKAGES = ("pyarrow", "cramjam", "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")


def label(value: object) -> str:
    """Return how a test's parameter is shown."""
    return f"{value.method} {value.template}" if isinstance(value, Route) else str(value)


def operation(route: Route) -> Any:
    """Return what the document says about a route."""
    return DOCUMENT["paths"][route.template][route.method.lower()]


def test_the_document_is_valid() -> None:
    """The document is valid by the schema of OpenAPI 3.1."""
    validate(DOCUMENT)


def test_it_is_served_with_the_root_it_is_reached_under(filled: Path) -> None:
    """The served document is the one for these routes, and names the mount."""
    assert ask(service(filled), "/openapi.json").json == document(ALL_ROUTES, root="", guarded=False)
    reply = answered(service(filled), Request("GET", "/openapi.json", root="/monitor"))
    assert b'"servers":[{"url":"/monitor"}]' in b"".join(reply.chunks)


def test_every_route_is_described_once() -> None:
    """The document has the routes of the table except pages, each with a unique id."""
    described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert {(route.method, route.template) for route in ROUTES} == described
    assert len(ROUTES) == len({operation(route)["operationId"] for route in ROUTES})


@pytest.mark.parametrize("route", ROUTES, ids=label)
def test_every_parameter_is_described(route: Route) -> None:
    """A route has the parameters that it accepts, with the engine's descriptions."""
    described = {each["name"]: each["description"] for each in operation(route)["parameters"] if each["in"] == "query"}
    assert route.meanings == described
    assert route.placeholders == tuple(each["name"] for each in operation(route)["parameters"] if each["in"] == "path")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("q", [["a.*"], ["a", "b"]], [[""], ["a" * 1025]]),
        ("since", [0, 1.5, 2**53, "now", "-90s", "-2w", "2023-11-14T22:13:21Z"], [-1, 2**53 + 2, "-1y", "-1.5h"]),
        ("until", [0, "-15min"], ["-1month"]),
        ("low", [0.5, -1], []),
        ("high", [0.5, -1], []),
        ("step", [1, 2**53], [0, 2**53 + 1]),
        ("moving", [1, 2**53], [0, 2**53 + 1]),
        ("limit", [1, 2**53], [0, 2**53 + 1]),
        ("fill", ["null", "0", "previous"], ["1"]),
        ("format", ["json", "rows", "csv", "parquet"], ["xml"]),
        ("pretty", [True, False], []),
    ],
)
def test_schemas_of_parameters_judge_as_the_engine_does(name: str, good: list[Any], bad: list[Any]) -> None:
    """The schema of a parameter accepts exactly what the engine accepts."""
    validator = OAS31Validator(PARAMETER_SCHEMAS[name], format_checker=OAS31Validator.FORMAT_CHECKER)
    for value in good:
        assert validator.is_valid(value)
        for text in value if isinstance(value, list) else [str(value).lower() if value is True else str(value)]:
            KNOWN[name].parse(name, text, NOW)
    for value in bad:
        if name not in ("since", "until"):
            assert not validator.is_valid(value)
        for text in value if isinstance(value, list) else [str(value)]:
            with pytest.raises(ValueError, match=name):
                KNOWN[name].parse(name, text, NOW)


def test_schemas_are_complete() -> None:
    """Every parameter and property has a schema with the engine's default."""
    assert KNOWN.keys() == PARAMETER_SCHEMAS.keys()
    new = Definition.create("new")
    assert {field for field in Definition.__dataclass_fields__ if field != "slug"} == PROPERTIES.keys()
    defaults = {name: schema["default"] for name, schema in PROPERTIES.items() if "default" in schema}
    assert {name: getattr(new, name) for name in PROPERTIES if name != "name"} == defaults


def schema(route: Route, status: int, media_type: str) -> Any:
    """Return the schema of an answer, within the document, so that its references are found."""
    answer = operation(route)["responses"][str(status)]
    if "$ref" in answer:
        answer = DOCUMENT["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return {**answer["content"][media_type]["schema"], "components": DOCUMENT["components"]}


def matching(case: Case) -> Route:
    """Return the route that answers a case."""
    return next(row for row, _ in rows(case.target.partition("?")[0]) if case.method in row.methods)


@pytest.mark.parametrize("case", [case for case in CASES if case.status == 200], ids=str)
def test_answers_are_as_their_schemas_say(case: Case, filled: Path) -> None:
    """Each answer in the table of cases conforms to the schema of its route."""
    got = ask(service(filled), case.target)
    route, media_type = matching(case), got.headers["content-type"].partition(";")[0]
    value = got.json if media_type == "application/json" else got.body.decode()
    OAS31Validator(schema(route, 200, media_type)).validate(value)


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("/values/daily/", {"a": {"x": {"count": 1}}}),
        ("/values/daily/avg/", {"a": {"soon": 1}}),
        ("/aggregate/daily/", {"1700000000": 1}),
        ("/timedata/daily/avg/", [[1700000000]]),
        ("/names/daily/", [1]),
        ("/archives/", [{"slug": "a"}]),
    ],
)
def test_schemas_refuse_what_is_no_answer(target: str, value: Any) -> None:
    """The schemas reject answers of another shape."""
    assert not OAS31Validator(schema(matching(Case(target)), 200, "application/json")).is_valid(value)


def provoke(route: Route, status: int, directory: Path) -> Got:
    """Return an answer of `status` from a route, with what leads to it."""
    slug = {404: "unknown", 500: "foreign"}.get(status, "daily")
    target = route.template.format(slug=slug, aggregate="avg", tag="name")
    query, body = SPECIAL.get((route.name, route.method, status), ("", BODIES.get(route.body, b"")))
    target, method, headers = target + query, route.method, bearer("w")
    tokens: dict[str, Any] = {} if status == 403 else {"read_token": "r", "write_token": "w"}
    if route.graphite is not None:
        target += f"?query={slug}.*&target={slug}.*.avg&expr=name!%3D&tag=name"
    if route.template == "/readyz" and status == 200:
        (directory / "foreign.db").unlink()
        tokens["host"] = ""
    if status == 304:
        tag = ask(service(directory, **tokens), target, headers=headers).headers["etag"]
        headers = {**headers, "If-None-Match": tag}
    elif status == 308:
        target = target.removesuffix("/")
    elif status == 400:
        target += "?nonsense=1" if route.graphite is None else "&%FF"
    elif status == 401:
        headers = bearer("wrong")
    elif status == 405:
        method = "BREW"
    elif status == 409:
        body = {"slug": "daily"}
    elif status == 413:
        body = b" " * (route.max_body_bytes + 1)
    elif status == 414:
        target += f"{'?' if route.graphite is None else '&'}_={'x' * 16_384}"
    elif status == 415:
        headers = {**headers, "Content-Encoding": "br"}
    elif status == 421:
        headers, tokens = {**headers, "Host": "evil.test"}, {"write_token": "w"}
    elif status == 422:
        headers = {**headers, "Idempotency-Key": "one"}
        ask(service(directory, **tokens), target, method=method, headers=headers, body=OTHERS.get(route.body, b"b 1"))
    elif status == 501 and route.subject is not None:
        target += "?format=parquet"
    missing = dict.fromkeys(PACKAGES if status == 501 else ())
    with patch.dict(sys.modules, missing) if missing else nullcontext():
        return ask(service(directory, **tokens), target, method=method, headers=headers, body=body)


OF_THE_APP = {"408", "431", "503"}
# What only a cluster answers has its test in `tests/cluster/test_answers.py`.
OF_A_CLUSTER = {"200", "404", "501"}


def left_out(route: Route) -> set[str]:
    """Return the statuses of a route that have their tests elsewhere."""
    return OF_THE_APP | OF_A_CLUSTER if route.subject and route.subject.by == "source" else OF_THE_APP


PROMISES = [
    (route, int(status))
    for route in ROUTES
    for status in operation(route)["responses"]
    if status not in left_out(route)
]


@pytest.mark.parametrize(("route", "status"), PROMISES, ids=label)
def test_every_status_happens(route: Route, status: int, tmp_path: Path) -> None:
    """Each status that the document names for a route can be had from it, with the content and headers it names.

    408 and 503 have their tests in `test_asgi`, where a body does not come and too many ask at once, and 431 in
    `tests/cli/test_server.py`, as only the server sees a head that is too long.
    """
    fill(tmp_path)
    if route.name == "histogram":
        Archive(tmp_path / "daily.db").edit(percentiles=1)
    if route.name == "silences":
        Memory(tmp_path).silence("slow", "moving", since=NOW, until=NOW + 1)
    if route.name == "views":
        Views(tmp_path).save(NEW_VIEW)
    if route.graphite is not None and status == 500:
        tear(tmp_path / "daily.db")
    got = provoke(route, status, tmp_path)
    assert status == got.status
    answer = operation(route)["responses"][str(status)]
    if "$ref" in answer:
        answer = DOCUMENT["components"]["responses"][str(status)]
    assert {name.lower() for name in answer.get("headers", {})} <= got.headers.keys()
    if "content" in answer:
        media_type = got.headers["content-type"]
        value = got.json if "json" in media_type else got.body.decode("latin-1")
        OAS31Validator(schema(route, status, media_type)).validate(value)
    else:
        assert b"" == got.body


def test_failures_are_told_once() -> None:
    """The table of failures has one row for each status, and every row is used."""
    statuses = [failure.status for failure in FAILURES]
    assert len(statuses) == len(set(statuses))
    assert set(statuses) | {200, 201, 204} == {status for _, status in PROMISES} | set(map(int, OF_THE_APP))


@pytest.mark.parametrize("guarded", [True, False])
def test_security_is_as_the_settings_are(guarded: bool) -> None:
    """Writing needs a token, reading only if one is set, `/healthz` never. Both schemes are listed."""
    paths = document(ROUTES, root="", guarded=guarded)["paths"]
    both: list[dict[str, list[str]]] = [{"bearer": []}, {"basic": []}]
    assert (both if guarded else []) == paths["/names/{slug}/"]["get"]["security"]
    assert both == paths["/archives/"]["post"]["security"]
    assert [] == paths["/healthz"]["get"]["security"]


def test_the_aggregates_are_those_of_the_engine() -> None:
    """The aggregate in a path is one of the engine's aggregates, or a percentile."""
    place = operation(matching(Case("/values/daily/avg/")))["parameters"][1]
    validator = OAS31Validator(place["schema"])
    texts = [*AGGREGATES, "p0", "p7.25", "p100", "p100.0", "median", "p", "p101", "p100.5", "p1.1234567"]
    assert list(map(is_aggregate, texts)) == list(map(validator.is_valid, texts))
