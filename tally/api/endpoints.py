"""What each route answers: questions to the engine, and the management of archives."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from tally.api.message import MAX_BODY_BYTES, Reply, empty, streamed, whole
from tally.api.openapi import document
from tally.api.problems import Problem
from tally.api.route import Call, flag
from tally.engine.archive import Archive
from tally.engine.question import AGGREGATES, Question
from tally.errors import InvalidDefinition, TallyError, UnknownAggregate, UnknownArchive

ORDERS = {"bytime": "time", "byname": "name"}
PROPERTIES = ("name", "description", "pattern", "resolution", "retention", "enabled")


def values(call: Call) -> Reply:
    """Aggregates by name and time."""
    return _ask(call, "values")


def aggregate(call: Call) -> Reply:
    """Aggregates over names, or over time."""
    return _ask(call, "aggregate")


def timedata(call: Call) -> Reply:
    """Every bucket of a range."""
    return _ask(call, "timedata")


def _ask(call: Call, kind: str) -> Reply:
    asked, by = _aggregate(call), ORDERS[_order(call)]
    archive = call.catalog[call.path["slug"]]
    question = Question.parse(kind, call.fields, aggregate=asked, by=by, now=call.now)
    answer = archive.ask(question, timeout_s=call.settings.query_timeout)
    return streamed(answer, answer.media_type)


def _aggregate(call: Call) -> str | None:
    part = call.path.get("part", call.path.get("aggregate"))
    if part is None or ("part" in call.path and "order" not in call.path and part in ORDERS):
        return None
    if part not in AGGREGATES:
        also = " or bytime or byname" if "part" in call.path and "order" not in call.path else ""
        raise UnknownAggregate(f"{part!r} is not an aggregate; ask for {', '.join(AGGREGATES)}{also}")
    return part


def _order(call: Call) -> str:
    part = call.path.get("part")
    order = call.path.get("order", part if part in ORDERS else "bytime")
    if order not in ORDERS:
        raise Problem(HTTPStatus.NOT_FOUND, f"{order!r} does not follow an aggregate; ask for bytime or byname")
    return order


def names(call: Call) -> Reply:
    """The metric names."""
    fields = call.plain("q")
    pretty = flag("pretty", fields["pretty"])
    return whole(call.catalog[call.path["slug"]].names(fields["q"]), pretty=pretty)


def patterns(call: Call) -> Reply:
    """Globs worth offering."""
    pretty = call.pretty()
    return whole(call.catalog[call.path["slug"]].patterns(), pretty=pretty)


def archives(call: Call) -> Reply:
    """All archives; a file that cannot be read stands there with its error, so that nothing is silently missing."""
    pretty = call.pretty()
    listed = (_listed(call, archive) for archive in call.catalog.archives())
    return whole([each for each in listed if each is not None], pretty=pretty)


def archive(call: Call) -> Reply:
    """One archive."""
    pretty = call.pretty()
    return whole(_described(call, call.catalog[call.path["slug"]]), pretty=pretty)


def create(call: Call) -> Reply:
    """Make an archive."""
    pretty = call.pretty()
    body = _body(call, ("slug", *PROPERTIES))
    if "slug" not in body:
        raise InvalidDefinition("slug is missing; give the new archive's file name without .db")
    made = _described(call, call.catalog.create(body.pop("slug"), **body))
    location = (("Location", _url(call, "archives", made["slug"])),)
    return whole(made, status=201, pretty=pretty, headers=location)


def edit(call: Call) -> Reply:
    """Change an archive."""
    pretty = call.pretty()
    body = _body(call, PROPERTIES)
    edited = call.catalog[call.path["slug"]]
    edited.edit(**body)
    return whole(_described(call, edited), pretty=pretty)


def delete(call: Call) -> Reply:
    """Delete an archive and its data."""
    call.pretty()
    call.catalog.delete(call.path["slug"])
    return empty(204)


def healthz(call: Call) -> Reply:
    """That the server answers."""
    return whole({"status": "ok"}, pretty=call.pretty())


def openapi(call: Call) -> Reply:
    """This API as an OpenAPI document."""
    pretty = call.pretty()
    return whole(document(call.routes, root=call.request.root), pretty=pretty)


def _listed(call: Call, listed: Archive) -> dict[str, Any] | None:
    try:
        return _described(call, listed)
    except UnknownArchive:
        return None  # It was deleted since the directory was read.
    except TallyError as error:
        return {"slug": listed.slug, "error": str(error)}


def _described(call: Call, described: Archive) -> dict[str, Any]:
    summary = described.summary()
    definition = summary.definition
    return {
        "slug": described.slug,
        **{name: getattr(definition, name) for name in PROPERTIES},
        "first": summary.first,
        "last": summary.last,
        "bytes": summary.bytes,
        "values_url": _url(call, "values", described.slug),
        "aggregate_url": _url(call, "aggregate", described.slug),
    }


def _url(call: Call, what: str, slug: str) -> str:
    return quote(f"{call.request.root}/{what}/{slug}/")


def _body(call: Call, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The request's JSON object.

    :raises Problem: 413 when it is too long.
    :raises InvalidDefinition: when it is not an object of the properties in `allowed`.
    """
    if len(call.request.body) > MAX_BODY_BYTES:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have at most {MAX_BODY_BYTES} bytes")
    body = _json(call.request.body)
    if not isinstance(body, dict):
        raise InvalidDefinition('the body is not a JSON object; send for example {"retention": 48}')
    for name in body:
        if name not in allowed:
            raise InvalidDefinition(f"{name!r} cannot be set here; one can set {', '.join(allowed)}")
    return body


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body.decode())
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidDefinition(f"the body is not JSON in UTF-8: {error}") from None
    return value
