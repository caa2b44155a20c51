"""The API as an OpenAPI 3.1 document, made from the table of routes, the engine's parameters and the failures here."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from tally.api import alerts, events, graphite
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
from tally.api.route import Route, Subject
from tally.api.samples import KEY, MAX_LINES, REASONS
from tally.engine.asking.parquet import MEDIA_TYPE
from tally.engine.asking.question import AGGREGATES, BINS, BINS_MAX, BINS_MIN, RELATIVE, WHOLE_MAX
from tally.engine.definition import AUTO, RESOLUTION_MAX_S, RETENTION_MAX_H, SLUG, TEXT_MAX
from tally.engine.sketch import LEVELS

Schema = dict[str, Any]

API_VERSION = "2.0"
DESCRIPTION = (
    "Times are in unix seconds; the time of a bucket is its first second. Every route for GET also answers HEAD. A "
    f"query has at most {MAX_FIELDS} parameters; parameters whose names begin with an underscore are ignored. Answers "
    "are streamed. If an error occurs while one is sent, the connection is closed without the last chunk."
)
LINES = "Lines"


class Failure(NamedTuple):
    """A status beside a route's own: what it means, and on which routes it happens."""

    status: int
    meaning: str
    happens: Callable[[Route], bool]


_UNAVAILABLE = Failure(503, "the query took too long, too many requests run, or a file cannot be used",
                       lambda route: not route.is_open)  # fmt: skip
_WRONG = Failure(
    400, "the body is malformed, or a parameter is malformed, unknown or has no meaning here", lambda _: True
)
FAILURES = (
    Failure(304, "the answer has not changed since the one with the given ETag", lambda route: bool(route.subject)),
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
            lambda route: route.body == LINES),
    Failure(421, "the host name is not allowed", lambda route: not route.is_open),
    Failure(422, "the Idempotency-Key was used for other samples before", lambda route: route.body == LINES),
    Failure(431, f"the address and headers are longer than {HEAD_MAX_BYTES // 1024} KiB", lambda _: True),
    Failure(500, "the file is damaged, or is not an archive",
            lambda route: bool(route.placeholders) or route.is_question),
    Failure(501, "the server lacks the package that writes the format",
            lambda route: route.subject is not None and route.subject.kind != "histogram"),
    _UNAVAILABLE,
)  # fmt: skip

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "integer", "minimum": 0}
_MOMENT: Schema = {"anyOf": [{"type": "number", "minimum": 0, "maximum": WHOLE_MAX}, {"const": "now"},
                             {"type": "string", "pattern": f"^{RELATIVE.pattern}$"},
                             {"type": "string", "format": "date-time"}]}  # fmt: skip
_WHOLE: Schema = {"type": "integer", "minimum": 1, "maximum": WHOLE_MAX}
_SLUG: Schema = {"type": "string", "pattern": f"^{SLUG.pattern}$"}
_AUTO = f"`{AUTO}` is the archive that fits the query best; the header Content-Location names it"
_PRINTABLE: Schema = {"type": "string", "maxLength": TEXT_MAX}

PARAMETER_SCHEMAS: dict[str, Schema] = {
    "q": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 1024}},
    "where": {"type": "array", "items": {"type": "string", "minLength": 2}},
    "group": {"type": "string", "examples": ["node:1", "tag:env"]},
    **dict.fromkeys(("since", "until"), _MOMENT),
    **dict.fromkeys(("low", "high"), _NUMBER),
    **dict.fromkeys(("step", "moving", "limit"), _WHOLE),
    "percentiles": {**_TEXT, "pattern": r"^[0-9.]+(,[0-9.]+)*$"},
    "bins": {"type": "integer", "minimum": BINS_MIN, "maximum": BINS_MAX, "default": BINS},
    "fill": {"enum": ["null", "0", "previous"], "default": "null"},
    "format": {"enum": ["json", "rows", "csv", "parquet"], "default": "json"},
    "pretty": {**_FLAG, "default": False},
    "dry_run": {**_FLAG, "default": False},
    **events.PARAMETERS,
}
PROPERTIES: dict[str, Schema] = {
    "name": {**_PRINTABLE, "description": "displayed name; default: the slug"},
    "description": {**_PRINTABLE, "description": "displayed description", "default": ""},
    "pattern": {**_PRINTABLE, "minLength": 1, "description": "glob that selects the kept metric names", "default": "*"},
    "resolution": {"type": "integer", "minimum": 1, "maximum": RESOLUTION_MAX_S, "default": 5,
                   "description": "seconds in a bucket; it can only change to a multiple, which merges stored buckets"},
    "retention": {"type": "integer", "minimum": 0, "maximum": RETENTION_MAX_H, "default": 24,
                  "description": "hours that buckets are kept; 0 keeps them for ever"},
    "enabled": {**_FLAG, "description": "whether new samples are stored", "default": True},
    "percentiles": {"enum": [0, *LEVELS], "default": 0,
                    "description": "accuracy of percentiles in percent; 0: none"},
}  # fmt: skip


def _reference(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema, *, keys: str = "") -> Schema:
    names = {"propertyNames": {"pattern": "^[0-9]+$"}} if keys == "time" else {}
    return {"type": "object", **names, "additionalProperties": values}


def _object(properties: dict[str, Schema], *, required: Iterable[str] | None = None) -> Schema:
    needed = list(properties if required is None else required)
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


_COUNT: Schema = {"type": "integer", "minimum": 0}
_STATUS: dict[str, Schema] = {
    "collectors": {**_COUNT, "description": "number of running collectors"},
    "updated": {"type": ["number", "null"], "description": "end of the last flush; null without a collector"},
    "flushes": {
        **_map(_reference("schemas", "Flush")),
        "description": "the last flush of each collector that should be running",
    },
    "window": {"type": ["integer", "null"], "description": "period that the losses cover, in seconds"},
    "lines": {**_map(_COUNT), "description": "rejected lines by reason"},
    "empty": {**_COUNT, "description": "lines without a measurement since the start; they are no loss"},
    "datagrams": {**_map(_COUNT), "description": "lost datagrams by reason"},
    "connections": {**_map(_COUNT), "description": "refused TCP and unix connections by reason"},
    "samples": {**_map(_map(_COUNT)), "description": "samples that were not stored, by archive and outcome"},
    "pending": {**_COUNT, "description": "samples that wait for the next flush"},
    "waiting": {"type": ["number", "null"], "description": "age of the oldest unstored sample in seconds"},
    "errors": {**_map(_TEXT), "description": "errors of archives that cannot be written, by slug"},
    "faults": {**_array(_reference("schemas", "Fault")), "description": "current problems"},
}
_AGGREGATES: dict[str, Schema] = dict.fromkeys(AGGREGATES, _NUMBER)
# A name such as p95, and the pattern of such keys.
_PERCENTILE = r"^p(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)$"
_AGGREGATE: Schema = {"anyOf": [{"enum": list(AGGREGATES)}, {**_TEXT, "pattern": _PERCENTILE}]}
_PERCENTILES: Schema = {"patternProperties": {_PERCENTILE: {"type": ["number", "null"]}}}
_ARCHIVE: dict[str, Schema] = {
    "slug": {**_SLUG, "description": "name of the file without .db"},
    **PROPERTIES,
    "values_url": _TEXT,
    "aggregate_url": _TEXT,
    "first": {"type": ["integer", "null"], "description": "first stored bucket; null without data"},
    "last": {"type": ["integer", "null"], "description": "last stored bucket; null without data"},
    "bytes": {"type": "integer", "minimum": 0, "description": "size of the file"},
    "damaged": {**_TEXT, "description": "damage that was found; absent if none was"},
}
_FROM: Schema = {
    **_SLUG,
    "description": "the archive to fill it from; its pattern, resolution, retention and percentiles are the defaults",
}
_CHANGED: dict[str, Schema] = {"names": _COUNT, "cells": {**_COUNT, "description": "a cell is one name in one bucket"},
                               "samples": _COUNT}  # fmt: skip
_OUTCOME = _object({
    "stored": {**_COUNT, "description": "samples that were stored"},
    "expired": {**_COUNT, "description": "samples older than the retention"},
    "cardinality": {**_COUNT, "description": "samples of new names beyond the limit of names"},
    "spilled": {**_COUNT, "description": "samples that wait until the damaged archive is restored"},
}, required=["stored", "expired", "cardinality"])  # fmt: skip
_REJECTED = _object({
    "line": {"type": "integer", "minimum": 1, "description": "number of the line, from 1"},
    "reason": {"enum": list(REASONS)},
})  # fmt: skip
_STORED: dict[str, Schema] = {
    "accepted": {**_COUNT, "description": "lines that were accepted as samples"},
    "empty": {**_COUNT, "description": "lines without a measurement"},
    "rejected": {**_array(_REJECTED), "description": "rejected lines, in order"},
    "unmatched": {**_COUNT, "description": "samples whose names no archive keeps"},
    "archives": {
        **_map({"anyOf": [_OUTCOME, _object({"error": {**_TEXT, "description": "why it could not store samples"}})]}),
        "description": "outcomes of the samples, by slug",
    },
}
_PROBLEM: dict[str, Schema] = {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT}
_MESSAGE: Schema = {**_TEXT, "description": "copy of the detail for Grafana, on Graphite's routes only"}
_SCHEMAS: dict[str, Schema] = {
    "Aggregates": {**_object(_AGGREGATES), **_PERCENTILES},
    "Texts": _array(_TEXT),
    "Archive": _object(_ARCHIVE, required=[key for key in _ARCHIVE if key != "damaged"]),
    "Archives": _array({"anyOf": [_reference("schemas", "Archive"), _reference("schemas", "Unreadable")]}),
    "Unreadable": _object({"slug": _SLUG, "error": {**_TEXT, "description": "why it cannot be read"}}),
    "NewArchive": _object({"slug": _ARCHIVE["slug"], "from": _FROM, **PROPERTIES}, required=["slug"]),
    "ArchiveChanges": _object(PROPERTIES, required=[]),
    **dict.fromkeys(("Derived", "Removed"), _object(_CHANGED)),
    "Renamed": _object({**_CHANGED, "merged": {**_COUNT, "description": "how many names fewer there are"}}),
    "Renaming": _object({
        "glob": {**_TEXT, "minLength": 1, "description": "the names: each * and ? is captured"},
        "template": {**_TEXT, "description": "the new names: each * is what was captured at its place"},
    }),
    "Health": _object({"status": {"const": "ok"}}),
    "Readiness": _object({"status": {"enum": ["ready", "degraded", "not ready"]},
                          "checks": _map(_reference("schemas", "Check"))}),
    "Check": _object({"ok": _FLAG, "detail": _TEXT}),
    "Status": _object(_STATUS),
    "Units": _array(_object({"archive": {"anyOf": [_TEXT, {"type": "null"}]}, "glob": _TEXT, "unit": _TEXT})),
    "Flush": _object({
        "updated": {**_NUMBER, "description": "end of its last flush"},
        "ago": {**_NUMBER, "description": "seconds since then"},
        "silent": {**_FLAG, "description": "whether its next flush is overdue"},
        "waiting": {"type": ["number", "null"], "description": "age of its oldest unstored sample in seconds"},
        "stale": {**_NUMBER, "description": "age of this status in seconds"},
    }),
    "Fault": _object({
        "check": {**_TEXT, "description": "check of /readyz that fails"},
        "archive": {"type": ["string", "null"], "description": "slug of the affected archive"},
        "detail": {**_TEXT, "description": "description of the problem"},
    }),
    "Stored": _object(_STORED),
    **graphite.SCHEMAS,
    **events.SCHEMAS,
    **alerts.SCHEMAS,
    "Metrics": _TEXT,
    "File": {"description": "an SQLite database"},
    "Description": {"type": "object", "required": ["openapi", "info", "paths"]},
    "Problem": _object({**_PROBLEM, "message": _MESSAGE}, required=_PROBLEM),
    "Refused": _object({**_PROBLEM, **_STORED}),
}  # fmt: skip
_TAG = {"schema": _TEXT, "description": "for If-None-Match in a repeated request"}
_LINES: Schema = {
    "type": "string",
    "description": f"at most {MAX_LINES} lines: `name value [timestamp]`, StatsD or DogStatsD",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "identifies the body: if it is sent again with the same key, it is stored once",
    "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
}
_ENCODING = {
    "name": "Content-Encoding",
    "in": "header",
    "description": "compression of the body",
    "schema": {"enum": ["gzip", "identity"]},
}
_HEADERS = {
    304: {"ETag": _TAG},
    201: {"Location": {"schema": _TEXT, "description": "path of the new archive"}},
    308: {"Location": {"schema": _TEXT, "description": "the path with a last slash, and the query"}},
    401: {"WWW-Authenticate": {"schema": _TEXT, "description": "Basic and Bearer"}},
    503: {"Retry-After": {"schema": _COUNT, "description": "seconds to wait, if too many requests run"}},
    415: {"Accept-Encoding": {"schema": _TEXT, "description": "accepted compressions, if the compression is wrong"}},
    405: {"Allow": {"schema": _TEXT, "description": "supported methods"}},
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
            "schemas": _SCHEMAS,
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
    slug = {**_SLUG, "description": _AUTO} if route.is_for_auto else _SLUG
    schema = {"slug": slug, "tag": _TEXT}.get(name, _AGGREGATE)
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _body(route: Route) -> dict[str, Any]:
    if route.graphite is not None:
        fields = {name: meaning.schema | {"description": meaning.text} for name, meaning in route.graphite.items()}
        return {"content": {FORM: {"schema": {"type": "object", "properties": fields}}}}
    types = ("text/plain", *filter(None, UNSPECIFIED))
    content = {each: {"schema": _LINES} for each in types} if route.body == LINES else _json_of(route.body)
    return {"required": True, "content": content}


def _headers(route: Route) -> list[dict[str, Any]]:
    return [_KEY, _ENCODING] if route.body == LINES else []


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
    failures: dict[str, Any] = {status: _reference("responses", status) for status in statuses}
    if route.fails_as:
        failures["503"] = _failure(_UNAVAILABLE)
        failures["503"]["content"].update(_json_of(route.fails_as))
    if route.body == LINES:
        problems = [_reference("schemas", name) for name in ("Problem", "Refused")]
        failures["400"] = _failure(_WRONG._replace(meaning=f"{_WRONG.meaning}; or every line was rejected"))
        failures["400"]["content"] = {PROBLEM: {"schema": {"anyOf": problems}}}
    counted = {"200": {"description": "with dry_run: what the archive would have", "content": _json_of("Derived")}}
    return {str(route.status): own, **(counted if route.body == "NewArchive" else {}), **failures}


def _failure(failure: Failure) -> dict[str, Any]:
    described: dict[str, Any] = {"description": failure.meaning}
    if failure.status in _HEADERS:
        described["headers"] = _HEADERS[failure.status]
    if failure.status >= 400:
        described["content"] = {PROBLEM: {"schema": _reference("schemas", "Problem")}}
    return described


def _content(route: Route) -> dict[str, Any]:
    if route.schema == "Rendered":
        return {**_json_of(route.schema), "text/csv": {"schema": _TEXT}}
    return {route.media_type: {"schema": _reference("schemas", route.schema)}}


def _json_of(schema: str) -> dict[str, Any]:
    return {JSON: {"schema": _reference("schemas", schema)}}


def _data(route: Route, subject: Subject) -> dict[str, Any]:
    """Return the content of a data answer: JSON in the route's own shape or in rows, CSV, and Parquet."""
    if subject.kind == "histogram":
        edges = {"type": "array", "prefixItems": [_NUMBER] * 3, "minItems": 3, "maxItems": 3}
        return {JSON: {"schema": _map(_array(edges), keys="time")}}
    one = "aggregate" in route.placeholders
    cell = _NUMBER if one else _reference("schemas", "Aggregates")
    return {
        JSON: {"schema": {"anyOf": [_nested(subject, cell), _array(_row(subject, one=one))]}},
        "text/csv": {"schema": _TEXT},
        MEDIA_TYPE: {"schema": {"description": "a Parquet file"}},
    }


def _nested(subject: Subject, cell: Schema) -> Schema:
    if subject.kind == "timedata":
        pair = [_TIME, {"anyOf": [cell, {"type": "null"}]}]
        return _array({"type": "array", "prefixItems": pair, "minItems": 2, "maxItems": 2})
    if subject.kind == "aggregate":
        return _map(cell, keys=subject.by)
    outer, inner = ("name", "time") if subject.by == "time" else ("time", "name")
    return _map(_map(cell, keys=inner), keys=outer)


def _row(subject: Subject, *, one: bool) -> Schema:
    """Return the schema of a row: time, name, or both, and the aggregate asked for or all of them."""
    keys = {"time": _TIME, "name": _TEXT}
    if subject.kind != "values":
        del keys["time" if subject.by == "name" else "name"]
    value = {**_NUMBER, "type": ["number", "null"]} if subject.kind == "timedata" else _NUMBER
    values = dict.fromkeys(AGGREGATES, value)
    schema = {**_object({**keys, **values}, required=keys if one else None), **_PERCENTILES}
    return {**schema, "minProperties": len(keys) + 1} if one else schema
