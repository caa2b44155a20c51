"""The endpoints of the dashboard's saved views."""

from typing import Any

from tally.api.message import Reply, empty, whole
from tally.api.parameters import read_object
from tally.api.route import Call
from tally.api.shapes import COUNT, TEXT, array_of, object_of, reference
from tally.engine.views import ADDRESS_MAX, NAME_MAX, Views
from tally.errors import InvalidQuestion

EXAMPLE = '{"name": "Checkout", "address": "archive/daily/?q=checkout"}'
_FIELDS: dict[str, Any] = {
    "name": {**TEXT, "minLength": 1, "maxLength": NAME_MAX},
    "address": {**TEXT, "maxLength": ADDRESS_MAX, "description": "relative to the dashboard's first page"},
}
SCHEMAS: dict[str, Any] = {
    "View": object_of({"id": COUNT, **_FIELDS}),
    "Views": array_of(reference("schemas", "View")),
    "NewView": object_of(_FIELDS),
}


def find(call: Call) -> Reply:
    """Answer all saved views."""
    return whole([view._asdict() for view in Views(call.settings.data_dir).find()], pretty=call.is_pretty)


def save(call: Call) -> Reply:
    """Save a view, and answer it with its id."""
    saved = Views(call.settings.data_dir).save(read_object(call.request, EXAMPLE))
    return whole(saved._asdict(), pretty=call.is_pretty)


def delete(call: Call) -> Reply:
    """Delete a view.

    :raises InvalidQuestion: when there is no such view.
    """
    number = next(iter(call.parameters["id"]), 0)
    if not Views(call.settings.data_dir).delete(number):
        raise InvalidQuestion(f"id {number} is not the number of a view: see /views/ for those that there are")
    return empty(204)
