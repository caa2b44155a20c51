"""The parameters of a request, validated as its route wants them.

A data route takes those of its question. Graphite's routes take the fields of the query and of a form in the body, and
ignore those that they do not know. Any other route refuses what it does not know, except names that begin with `_`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tally.api.message import MAX_BODY_BYTES, Request
from tally.api.problems import Problem
from tally.api.route import Route
from tally.engine.asking.question import PARAMETERS, Question
from tally.errors import InvalidQuestion
from tally.graphite.request import Fields, grouped

FORM = "application/x-www-form-urlencoded"


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
