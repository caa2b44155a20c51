"""What each route answers: questions to the engine, and the management of archives."""

import json
from collections.abc import Collection
from dataclasses import asdict
from http import HTTPStatus
from itertools import chain
from typing import Any
from urllib.parse import quote

from tally.api.message import (
    COMMON_HEADERS,
    KEPT_HEADERS,
    MAX_BODY_BYTES,
    Reply,
    array,
    content_length,
    empty,
    streamed,
    whole,
)
from tally.api.openapi import PROPERTIES, document
from tally.api.problems import Problem
from tally.api.route import Call
from tally.engine.archive import Archive
from tally.engine.asking.names import patterns as offered
from tally.errors import InvalidDefinition, TallyError, UnknownArchive


def ask(call: Call) -> Reply:
    """Answer a question about an archive's data."""
    limits = {"timeout_s": call.settings.query_timeout, "max_future_s": call.settings.max_future}
    answer = _archive(call).ask(call.parameters, **limits)
    tag = f'"{answer.tag}"'
    if call.request.has(tag):
        answer.close()
        return Reply(304, (("ETag", tag), *KEPT_HEADERS), ())
    headers = (("Content-Type", answer.media_type), ("ETag", tag), *KEPT_HEADERS)
    return Reply(200, headers, answer, answer.close)


def names(call: Call) -> Reply:
    """Answer the metric names."""
    found = _archive(call).read_names(call.parameters["q"], timeout_s=call.settings.query_timeout)
    return streamed(array(chain.from_iterable(found.batches()), pretty=call.is_pretty), found.close)


def patterns(call: Call) -> Reply:
    """Answer globs worth offering."""
    names = _archive(call).read_names(timeout_s=call.settings.query_timeout)
    found = offered(chain.from_iterable(names.batches()))
    return streamed(array(found, pretty=call.is_pretty), names.close)


def archives(call: Call) -> Reply:
    """Answer all archives; a file that cannot be read stands there with its error, so that none is silently missing."""
    listed = [_listed(call, archive) for archive in call.catalog.archives()]
    return whole([each for each in listed if each is not None], pretty=call.is_pretty)


def archive(call: Call) -> Reply:
    """Answer one archive."""
    return whole(_described(call, _archive(call)), pretty=call.is_pretty)


def create(call: Call) -> Reply:
    """Create an archive."""
    body = _body(call, ("slug", *PROPERTIES))
    if "slug" not in body:
        raise InvalidDefinition("slug is missing: give the new archive's file name without .db")
    created = call.catalog.create(body.pop("slug"), **body)
    location = ("Location", _url(call, "archives", created))
    return whole(_described(call, created), status=201, pretty=call.is_pretty, headers=(location,))


def edit(call: Call) -> Reply:
    """Change an archive."""
    body = _body(call, PROPERTIES)
    edited = _archive(call)
    edited.edit(**body)
    return whole(_described(call, edited), pretty=call.is_pretty)


def delete(call: Call) -> Reply:
    """Delete an archive with all that it holds."""
    call.catalog.delete(call.path["slug"])
    return empty(204)


def backup(call: Call) -> Reply:
    """Answer an archive's file: a copy that is made while it is sent."""
    archive = _archive(call)
    download = archive.download()
    named = ("Content-Disposition", f'attachment; filename="{archive.path.name}"')
    headers = (("Content-Type", call.route.media_type), named, *COMMON_HEADERS)
    return Reply(200, headers, download, download.close, is_long=True)


def healthz(call: Call) -> Reply:
    """Answer that the server does."""
    return whole({"status": "ok"}, pretty=call.is_pretty)


def metrics(call: Call) -> Reply:
    """Answer the metrics, as text in which `pretty` changes nothing."""
    body = call.metrics.text(call.catalog, call.books.read(call.now))
    return Reply(200, (("Content-Type", call.route.media_type), content_length(body), *COMMON_HEADERS), (body,))


def openapi(call: Call) -> Reply:
    """Answer this API as an OpenAPI document."""
    described = document(call.routes, root=call.request.root, guarded=bool(call.settings.read_token))
    return whole(described, pretty=call.is_pretty)


def _archive(call: Call) -> Archive:
    return call.catalog[call.path["slug"]]


def _listed(call: Call, listed: Archive) -> dict[str, Any] | None:
    try:
        return _described(call, listed)
    except UnknownArchive:
        return None  # It was deleted since the directory was read.
    except TallyError as error:
        return {"slug": listed.slug, "error": call.public(str(error))}


def _described(call: Call, described: Archive) -> dict[str, Any]:
    summary = described.summary()
    return {
        **asdict(summary.definition),
        "values_url": _url(call, "values", described),
        "aggregate_url": _url(call, "aggregate", described),
        "first": summary.first,
        "last": summary.last,
        "bytes": summary.bytes,
        **({"damaged": damage} if (damage := described.damage()) else {}),
    }


def _url(call: Call, what: str, archive: Archive) -> str:
    return quote(f"{call.request.root}/{what}/{archive.slug}/")


def _body(call: Call, allowed: Collection[str]) -> dict[str, Any]:
    """Return the request's JSON object.

    :raises Problem: 413 when it is longer than MAX_BODY_BYTES.
    :raises InvalidDefinition: when it is not an object of the properties in `allowed`.
    """
    if len(call.request.body) > MAX_BODY_BYTES:
        text = f"the body is longer than {MAX_BODY_BYTES} bytes: send an archive's properties and nothing else"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    body = _json(call.request.body)
    if not isinstance(body, dict):
        raise InvalidDefinition('the body is not a JSON object: send for example {"retention": 48}')
    for name in body:
        if name not in allowed:
            raise InvalidDefinition(f"{name!r:.100} cannot be set here: use {', '.join(allowed)}")
    return body


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body.decode())
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # What JSON and UTF-8 do not have is refused.
    except (ValueError, RecursionError) as error:
        text = f'the body is not JSON in UTF-8 ({error}): send for example {{"retention": 48}}'
        raise InvalidDefinition(text) from None
    return value
