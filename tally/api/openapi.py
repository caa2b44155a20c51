"""The API as an OpenAPI 3.1 document, made from the table of routes, the engine's parameters and the failures here."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tally.api import influx, otlp
from tally.api.message import (
    BODY_S,
    HEAD_MAX_BYTES,
    JSON,
    MAX_BODY_BYTES,
    MAX_FIELDS,
    MAX_SAMPLES_BYTES,
    MAX_URL_CHARACTERS,
    PROBLEM,
)
from tally.api.parameters import FORM, UNSPECIFIED
from tally.api.prometheus import PROTOBUF
from tally.api.route import Route, Subject
from tally.api.samples import KEY, MAX_LINES
from tally.api.schemas import (
    AGGREGATE,
    ARCHIVE_SLUG,
    AUTO_MEANING,
    PARAMETER_SCHEMAS,
    PERCENTILES,
    SCHEMAS,
    TIME,
)
from tally.api.shapes import COUNT, NUMBER, TEXT, Schema, array_of, map_of, object_of, reference
from tally.engine.asking.parquet import MEDIA_TYPE
from tally.engine.asking.question import AGGREGATES

API_VERSION = "2.0"
DESCRIPTION = (
    "Times are in unix seconds; the time of a bucket is its first second. Every route for GET also answers HEAD. A "
    f"query has at most {MAX_FIELDS} parameters; parameters whose names begin with an underscore are ignored. Answers "
    "are streamed. If an error occurs while one is sent, the connection is closed without the last chunk."
)
# The bodies with samples.
SAMPLES = ("Lines", "Points", "WriteRequest", otlp.BODY)
# Those that packages of extras read.
PACKAGED = ("WriteRequest", otlp.BODY)
_BINARY = {PROTOBUF: {"schema": {"type": "string", "format": "binary"}}}


class Failure(NamedTuple):
    """A status beside a route's own: what it means, and on which routes it happens."""

    status: int
    meaning: str
    happens: Callable[[Route], bool]


def _needs_cluster(route: Route) -> bool:
    """Return whether only a cluster answers the queries of a route. It sends no ETag and has no damaged files."""
    return route.subject is not None and route.subject.by == "source"


_UNAVAILABLE = Failure(503, "the query took too long, too many requests run, or a file cannot be used",
                       lambda route: not route.is_open)  # fmt: skip
_WRONG = Failure(
    400, "the body is malformed, or a parameter is malformed, unknown or has no meaning here", lambda _: True
)
FAILURES = (
    Failure(304, "the answer has not changed since the one with the given ETag",
            lambda route: bool(route.subject) and not _needs_cluster(route)),
    Failure(308, "the path lacks its last slash", lambda route: route.template.endswith("/")),
    _WRONG,
    Failure(401, "the token is missing or wrong", lambda route: not route.is_open),
    Failure(403, "the API is read-only, or the token does not allow writing", lambda route: route.needs_write_token),
    Failure(404, "there is no such archive or aggregate", lambda route: bool({*route.placeholders} - {"tag"})),
    Failure(405, "the path does not support the method", lambda _: True),
    Failure(408, f"the body did not arrive within {BODY_S:g} seconds", lambda route: bool(route.body)),
    Failure(409, "an archive with this slug exists", lambda route: route.status == 201),
    Failure(413, f"the body is longer than {MAX_BODY_BYTES} bytes, or has more than {MAX_LINES} lines or "
            f"{MAX_SAMPLES_BYTES} bytes of samples", lambda route: bool(route.body)),
    Failure(414, f"the path and query are longer than {MAX_URL_CHARACTERS} characters", lambda _: True),
    Failure(415, "the body is not text (`Accept` lists the accepted types), or is compressed by other means than gzip",
            lambda route: route.body in SAMPLES),
    Failure(421, "the host name is not allowed", lambda route: not route.is_open),
    Failure(422, "the Idempotency-Key was used for other samples before", lambda route: route.body in SAMPLES),
    Failure(431, f"the address and headers are longer than {HEAD_MAX_BYTES // 1024} KiB", lambda _: True),
    Failure(500, "the file is damaged, or is not an archive",
            lambda route: (bool(route.placeholders) or route.is_question) and not _needs_cluster(route)),
    Failure(501, "the server lacks the package that reads or writes the format",
            lambda route: route.body in PACKAGED if route.subject is None else route.subject.kind != "histogram"),
    _UNAVAILABLE,
)  # fmt: skip
_TAG = {"schema": TEXT, "description": "for If-None-Match in a repeated request"}
_OF_LINES = {"Lines": "`name value [timestamp]`, StatsD or DogStatsD", "Points": "InfluxDB's line protocol"}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "identifies the body: if it is sent again with the same key, it is stored once",
    "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
}
_ENCODING: dict[str, Any] = {
    "name": "Content-Encoding",
    "in": "header",
    "description": "compression of the body",
    "schema": {"enum": ["gzip", "identity"]},
}
_SNAPPY = {**_ENCODING, "schema": {"const": "snappy"}}
_HEADERS = {
    304: {"ETag": _TAG},
    201: {"Location": {"schema": TEXT, "description": "path of the new archive"}},
    308: {"Location": {"schema": TEXT, "description": "the path with a last slash, and the query"}},
    401: {"WWW-Authenticate": {"schema": TEXT, "description": "Basic and Bearer"}},
    503: {"Retry-After": {"schema": COUNT, "description": "seconds to wait, if too many requests run"}},
    415: {"Accept-Encoding": {"schema": TEXT, "description": "accepted compressions, if the compression is wrong"}},
    405: {"Allow": {"schema": TEXT, "description": "supported methods"}},
}
_SECURITY = {"bearer": {"type": "http", "scheme": "bearer"},
             "basic": {"type": "http", "scheme": "basic", "description": "the password is the token"}}  # fmt: skip


def document(routes: Sequence[Route], *, root: str, guarded: bool) -> dict[str, Any]:
    """Return the document for an API that is reached under `root`; `guarded` says whether reading needs a token."""
    paths: dict[str, Any] = {}
    for route in (each for each in routes if not each.is_page):
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, guarded=guarded)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tally", "version": API_VERSION, "description": DESCRIPTION},
        "servers": [{"url": root or "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {str(failure.status): _failure(failure) for failure in FAILURES},
            "securitySchemes": _SECURITY,
        },
    }


def _operation(route: Route, *, guarded: bool) -> dict[str, Any]:
    needs_token = route.needs_write_token or (guarded and not route.is_open)
    return {
        "operationId": "_".join([route.method.lower(), *re.findall(r"\w+", route.template)]),
        "summary": route.summary,
        "parameters": [
            *(_placeholder(route, name) for name in route.placeholders),
            *_parameters(route),
            *_headers(route),
        ],
        **({"requestBody": _body(route)} if route.body else {}),
        "responses": _responses(route),
        "security": [{scheme: []} for scheme in _SECURITY] if needs_token else [],
    }


def _placeholder(route: Route, name: str) -> dict[str, Any]:
    slug = {**ARCHIVE_SLUG, "description": AUTO_MEANING} if route.is_for_auto else ARCHIVE_SLUG
    schema = {"slug": slug, "tag": TEXT}.get(name, AGGREGATE)
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _body(route: Route) -> dict[str, Any]:
    if route.graphite is not None:
        fields = {name: meaning.schema | {"description": meaning.text} for name, meaning in route.graphite.items()}
        return {"content": {FORM: {"schema": {"type": "object", "properties": fields}}}}
    if route.body not in SAMPLES:
        media_type = FORM if route.body == influx.QUERY else JSON
        return {"required": media_type == JSON, "content": {media_type: {"schema": reference("schemas", route.body)}}}
    if route.body in PACKAGED:
        return {"required": True, "content": {**_BINARY, **(_json_of(otlp.BODY) if route.body == otlp.BODY else {})}}
    schema = {**TEXT, "description": f"at most {MAX_LINES} lines: {_OF_LINES[route.body]}"}
    types = ("text/plain", *filter(None, UNSPECIFIED))
    return {"required": True, "content": {each: {"schema": schema} for each in types}}


def _headers(route: Route) -> list[dict[str, Any]]:
    if route.body not in SAMPLES:
        return []
    return [_KEY, _SNAPPY if route.body == "WriteRequest" else _ENCODING]


def _parameters(route: Route) -> list[dict[str, Any]]:
    own = None if route.graphite is None else {name: each.schema for name, each in route.graphite.items()}
    return [_parameter(name, text, (own or PARAMETER_SCHEMAS)[name]) for name, text in route.meanings.items()]


def _parameter(name: str, meaning: str, schema: Schema) -> dict[str, Any]:
    described = {"name": name, "in": "query", "description": meaning, "schema": schema}
    return {**described, "allowEmptyValue": True} if name in ("pretty", "dry_run") else described


def _responses(route: Route) -> dict[str, Any]:
    content = _data(route, route.subject) if route.subject else _content(route) if route.schema else None
    own = {"description": route.summary, **({"content": content} if content else {})}
    if route.status in _HEADERS:
        own["headers"] = _HEADERS[route.status]
    statuses = [str(failure.status) for failure in FAILURES if failure.happens(route)]
    failures: dict[str, Any] = {status: reference("responses", status) for status in statuses}
    if route.fails_as:
        failures["503"] = _failure(_UNAVAILABLE)
        failures["503"]["content"].update(_json_of(route.fails_as))
    if route.body in SAMPLES:
        refused = "Refused" if route.body == "Lines" else "PartlyStored"
        problems = [reference("schemas", name) for name in ("Problem", refused)]
        failures["400"] = _failure(_WRONG._replace(meaning=f"{_WRONG.meaning}; or lines were rejected"))
        failures["400"]["content"] = {PROBLEM: {"schema": {"anyOf": problems}}}
    if route.body == otlp.BODY:
        for failure in FAILURES:
            if failure.status >= 400 and failure.happens(route):
                failures[str(failure.status)] = _failure(failure)
                failures[str(failure.status)]["content"] |= {**_BINARY, **_json_of("RpcStatus")}
    counted = {"200": {"description": "with dry_run: what the archive would have", "content": _json_of("Derived")}}
    return {str(route.status): own, **(counted if route.body == "NewArchive" else {}), **failures}


def _failure(failure: Failure) -> dict[str, Any]:
    described: dict[str, Any] = {"description": failure.meaning}
    if failure.status in _HEADERS:
        described["headers"] = _HEADERS[failure.status]
    if failure.status >= 400:
        described["content"] = {PROBLEM: {"schema": reference("schemas", "Problem")}}
    return described


def _content(route: Route) -> dict[str, Any]:
    if route.body == otlp.BODY:
        return {**_json_of(route.schema), **_BINARY}
    own = {route.media_type: {"schema": reference("schemas", route.schema)}}
    others = ["text/csv", "text/plain"] if route.schema == "Rendered" else []
    others += ["text/javascript"] if "jsonp" in (route.graphite or ()) else []
    return {**own, **{media_type: {"schema": TEXT} for media_type in others}}


def _json_of(schema: str) -> dict[str, Any]:
    return {JSON: {"schema": reference("schemas", schema)}}


def _data(route: Route, subject: Subject) -> dict[str, Any]:
    """Return the content of a data answer: JSON in the route's own shape or in rows, CSV, and Parquet."""
    if subject.kind == "histogram":
        edges = {"type": "array", "prefixItems": [NUMBER] * 3, "minItems": 3, "maxItems": 3}
        return {JSON: {"schema": map_of(array_of(edges), keys="time")}}
    one = "aggregate" in route.placeholders
    cell = NUMBER if one else reference("schemas", "Aggregates")
    return {
        JSON: {"schema": {"anyOf": [_nested(subject, cell), array_of(_row(subject, one=one))]}},
        "text/csv": {"schema": TEXT},
        MEDIA_TYPE: {"schema": {"description": "a Parquet file"}},
    }


def _nested(subject: Subject, cell: Schema) -> Schema:
    if subject.kind == "timedata":
        pair = [TIME, {"anyOf": [cell, {"type": "null"}]}]
        return array_of({"type": "array", "prefixItems": pair, "minItems": 2, "maxItems": 2})
    if subject.kind == "aggregate":
        return map_of(cell, keys=subject.by)
    outer, inner = ("name", "time") if subject.by == "time" else ("time", "name")
    return map_of(map_of(cell, keys=inner), keys=outer)


def _row(subject: Subject, *, one: bool) -> Schema:
    """Return the schema of a row: time, name, or both, and the aggregate asked for or all of them."""
    schemas = {"time": TIME, "name": TEXT, "source": TEXT}
    keys = {key: schemas[key] for key in (("time", "name") if subject.kind == "values" else (subject.by,))}
    value = {**NUMBER, "type": ["number", "null"]} if subject.kind == "timedata" else NUMBER
    values = dict.fromkeys(AGGREGATES, value)
    schema = {**object_of({**keys, **values}, required=keys if one else None), **PERCENTILES}
    return {**schema, "minProperties": len(keys) + 1} if one else schema
