"""Validates the parameters and the body of a request.

Graphite's routes read the query and a form in the body, and ignore unknown fields. Other routes reject unknown
parameters, unless their names begin with `_`.
"""

import gzip
import json
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any

from tally.api.message import MAX_BODY_BYTES, Request
from tally.api.problems import Problem
from tally.api.route import KNOWN, Route
from tally.engine.asking.question import Question
from tally.errors import InvalidDefinition, InvalidQuestion
from tally.graphite.request import Fields, grouped

FORM = "application/x-www-form-urlencoded"
CODINGS = ("", "identity", "gzip", "x-gzip")
# The types that HTTP clients send if the user gives none: the last is the default of `curl --data-binary`.
UNSPECIFIED = ("", "application/octet-stream", FORM)


def read(route: Route, request: Request, path: Mapping[str, str], now: float) -> Any:
    """Return the parameters: a Question for a data route, Fields for Graphite's routes, values by name for others.

    The query of a page is not validated; the page reads it in the browser.

    :raises InvalidQuestion: if there are too many, or one is malformed, unknown or repeated.
    :raises UnknownAggregate: if the path names an aggregate that does not exist.
    :raises Problem: 413 if a form is too long.
    """
    if route.subject is not None:
        kind, by = route.subject
        return Question.parse(kind, request.fields(), aggregate=path.get("aggregate"), by=by, now=now)
    if route.graphite is not None:
        return _read_fields(request)
    return {} if route.is_page else _read_known(route, request, now)


def _read_fields(request: Request) -> Fields:
    check_size(request.body, MAX_BODY_BYTES, "ask in several requests")
    media_type = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if request.body and media_type != FORM:
        raise InvalidQuestion(f"the body is {media_type!r:.100}: send a form, {FORM}")
    form = Request(request.method, request.path, request.body.decode("latin-1"))
    return grouped((*request.fields(), *form.fields()))


def _read_known(route: Route, request: Request, now: float) -> dict[str, tuple[Any, ...]]:
    values: dict[str, tuple[Any, ...]] = dict.fromkeys(route.takes, ())
    for name, text in request.fields():
        if name.startswith("_") or name in route.ignores:
            continue
        if name not in values:
            *others, last = values or ("no parameters",)
            takes = f"{', '.join(others)} and {last}" if others else last
            raise InvalidQuestion(f"parameter {name!r:.100} has no meaning here: {route.template} takes {takes}")
        if values[name] and not KNOWN[name].is_repeated:
            raise InvalidQuestion(f"parameter {name!r} is given twice: give it once")
        values[name] += (KNOWN[name].parse(name, text, now),)
    return values


def check_lines(request: Request) -> None:
    """Check the `Content-Type` of a body with lines.

    :raises Problem: 415 unless it is text, or in UNSPECIFIED.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given in UNSPECIFIED or given.startswith("text/"):
        return
    text = (
        f"the body is {given!r:.100}: send lines NAME VALUE [TIMESTAMP] as text/plain, for example by "
        "curl -H 'Content-Type: text/plain' --data-binary @FILE"
    )
    raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, headers=(("Accept", "text/plain"),))


def read_body(request: Request, max_bytes: int) -> bytes:
    """Return the body, decompressed according to `Content-Encoding`.

    :raises Problem: 413 if it is longer than `max_bytes`, compressed or not; 415 if the encoding is not supported; 400
        if it is not valid gzip.
    """
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in CODINGS:
        text = f"the body is encoded as {coding!r:.100}: send it uncompressed, or by gzip"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, headers=(("Accept-Encoding", "gzip"),))
    body = request.body
    if coding.endswith("gzip") and len(body) <= max_bytes:
        body = _decompress(body, max_bytes)
    check_size(body, max_bytes, "send it in parts")
    return body


def read_object(request: Request, example: str) -> dict[str, Any]:
    """Return the JSON object in the body. An error shows the `example`.

    :raises Problem: 413 if it is too long.
    :raises InvalidDefinition: if it is not an object.
    """
    check_size(request.body, MAX_BODY_BYTES, "send the fields and nothing else")
    body = _parse_json(request.body, example)
    if not isinstance(body, dict):
        raise InvalidDefinition(f"the body is not a JSON object: send for example {example}")
    return body


def _parse_json(body: bytes, example: str) -> Any:
    try:
        value = json.loads(body.decode())
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # Refuses NaN and lone surrogates.
    except (ValueError, RecursionError) as error:
        text = f"the body is not JSON in UTF-8 ({error}): send for example {example}"
        raise InvalidDefinition(text) from None
    return value


def check_size(body: bytes, max_bytes: int, advice: str) -> None:
    """Check the size of a body.

    :raises Problem: 413 if it is longer than `max_bytes`.
    """
    if len(body) > max_bytes:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {max_bytes} bytes: {advice}")


def _decompress(body: bytes, max_bytes: int) -> bytes:
    """Return at most `max_bytes` + 1 decompressed bytes."""
    try:
        with gzip.open(BytesIO(body)) as file:
            return file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not valid gzip: {error}") from None
