"""The parameters of a request, validated as its route wants them.

A data route takes those of its question. Graphite's routes take the fields of the query and of a form in the body, and
ignore those that they do not know. Any other route refuses what it does not know, except names that begin with `_`.
"""

import gzip
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any

from tally.api.message import MAX_BODY_BYTES, Request
from tally.api.problems import Problem
from tally.api.route import Route
from tally.engine.asking.question import PARAMETERS, Question
from tally.errors import InvalidQuestion
from tally.graphite.request import Fields, grouped

FORM = "application/x-www-form-urlencoded"
CODINGS = ("", "identity", "gzip", "x-gzip")
# What HTTP clients say of bytes whose type nobody gave, beside nothing: the last one is curl's --data-binary.
UNSPECIFIED = ("", "application/octet-stream", FORM)


def read(route: Route, request: Request, path: Mapping[str, str], now: float) -> Any:
    """Return the parameters: a Question for a data route, Fields for one of Graphite's, values by name for others.

    The dashboard's pages read their query themselves.

    :raises InvalidQuestion: when there are too many, or one is malformed, unknown or given twice.
    :raises UnknownAggregate: when the path names one that does not exist.
    :raises Problem: 413 when a form is too long.
    """
    if route.subject is not None:
        kind, by = route.subject
        return Question.parse(kind, request.fields(), aggregate=path.get("aggregate"), by=by, now=now)
    if route.graphite is not None:
        return _graphite(request)
    return {} if route.is_page else _strict(route, request, now)


def _graphite(request: Request) -> Fields:
    if len(request.body) > MAX_BODY_BYTES:
        text = f"the body is longer than {MAX_BODY_BYTES} bytes: ask in several requests"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    media_type = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if request.body and media_type != FORM:
        raise InvalidQuestion(f"the body is {media_type!r:.100}: send a form, {FORM}")
    form = Request(request.method, request.path, request.body.decode("latin-1"))
    return grouped((*request.fields(), *form.fields()))


def _strict(route: Route, request: Request, now: float) -> dict[str, tuple[Any, ...]]:
    values: dict[str, tuple[Any, ...]] = dict.fromkeys(route.takes, ())
    for name, text in request.fields():
        if name.startswith("_"):
            continue
        if name not in values:
            takes = f"{route.template} takes {' and '.join(values)}"
            raise InvalidQuestion(f"parameter {name!r:.100} has no meaning here: {takes}")
        if values[name] and name != "q":
            raise InvalidQuestion(f"parameter {name!r} is given twice: give it once")
        values[name] += (PARAMETERS[name].parse(name, text, now),)
    return values


def check_lines(request: Request) -> None:
    """Fail unless the body may be lines by its `Content-Type`: any text, or bytes of a type that nobody gave.

    :raises Problem: 415 when it is of another type, such as JSON.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given in UNSPECIFIED or given.startswith("text/"):
        return
    text = (
        f"the body is {given!r:.100}: send lines NAME VALUE [TIMESTAMP] as text/plain, for example by "
        "curl -H 'Content-Type: text/plain' --data-binary @FILE"
    )
    raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, headers=(("Accept", "text/plain"),))


def content(request: Request, max_bytes: int) -> bytes:
    """Return the body, inflated where its `Content-Encoding` says that it is compressed.

    :raises Problem: 413 when there are more than `max_bytes`, as sent or inflated; 415 when it is compressed by other
        means than gzip, and 400 when it is not what it says.
    """
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in CODINGS:
        text = f"the body is encoded as {coding!r:.100}: send it as it is, or by gzip"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, headers=(("Accept-Encoding", "gzip"),))
    body = request.body
    if coding.endswith("gzip") and len(body) <= max_bytes:
        body = _inflated(body, max_bytes)
    if len(body) > max_bytes:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {max_bytes} bytes: send it in parts"
        )
    return body


def _inflated(body: bytes, max_bytes: int) -> bytes:
    """Return what is compressed in `body`, as far as it is needed to see that it is too much."""
    try:
        with gzip.open(BytesIO(body)) as file:
            return file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not gzip as a whole: {error}") from None
