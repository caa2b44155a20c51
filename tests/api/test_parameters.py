"""The parameters of a request: those that its route takes, and no others."""

from typing import Any

import pytest

from tally.api.message import MAX_BODY_BYTES, Request
from tally.api.parameters import FORM, read
from tally.api.problems import Problem
from tally.api.route import Route
from tally.api.routes import BY_PATH
from tally.engine.asking.question import Question
from tally.errors import InvalidQuestion, UnknownAggregate

NOW = 1_800_000_000.0


def row(template: str, method: str = "GET") -> Route:
    """Return a row of the table."""
    return next(each for each in BY_PATH[template] if method in each.methods)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"q": (), "pretty": ()}),
        ("q=a.*&q=b&pretty", {"q": ("a.*", "b"), "pretty": (True,)}),
        ("_=1&_x=1&_x=2", {"q": (), "pretty": ()}),
    ],
)
def test_a_route_takes_the_parameters_of_its_row(query: str, expected: dict[str, Any]) -> None:
    """Values come by name; names that begin with an underscore are ignored."""
    assert expected == read(row("/names/{slug}/"), Request("GET", "/names/daily/", query), {}, NOW)


@pytest.mark.parametrize(
    ("query", "message"),
    [("since=1", "has no meaning here: /names/{slug}/ takes q and pretty"), ("pretty&pretty", "is given twice")],
)
def test_other_parameters_are_refused(query: str, message: str) -> None:
    """A parameter of other routes, and one that is given twice, are errors."""
    with pytest.raises(InvalidQuestion, match=message):
        read(row("/names/{slug}/"), Request("GET", "/names/daily/", query), {}, NOW)


def test_a_data_route_takes_a_question() -> None:
    """Its aggregate comes from the path, and its order from the row."""
    asked = row("/aggregate/{slug}/{aggregate}/byname/")
    question = read(asked, Request("GET", "/", "limit=3"), {"slug": "daily", "aggregate": "avg"}, NOW)
    assert isinstance(question, Question)
    assert ("aggregate", "avg", "name", 3) == (question.kind, question.aggregate, question.by, question.limit)
    with pytest.raises(UnknownAggregate):
        read(asked, Request("GET", "/"), {"slug": "daily", "aggregate": "mode"}, NOW)


@pytest.mark.parametrize(("size_bytes", "is_taken"), [(MAX_BODY_BYTES, True), (MAX_BODY_BYTES + 1, False)])
def test_a_form_of_graphites_is_bounded(size_bytes: int, is_taken: bool) -> None:
    """The fields of the form come after those of the query, and others are ignored."""
    body = b"target=b&nonsense=1&x=".ljust(size_bytes, b"x")
    request = Request("POST", "/render", "target=a", {"content-type": FORM}, body)
    if is_taken:
        assert ["a", "b"] == read(row("/render", "POST"), request, {}, NOW)["target"]
    else:
        with pytest.raises(Problem, match="longer"):
            read(row("/render", "POST"), request, {}, NOW)


def test_a_body_that_is_no_form_is_refused() -> None:
    """JSON where a form is wanted is an error and not an empty form."""
    request = Request("POST", "/render", "", {"content-type": "application/json"}, b"{}")
    with pytest.raises(InvalidQuestion, match="send a form"):
        read(row("/render", "POST"), request, {}, NOW)


def test_pages_read_their_query_themselves() -> None:
    """A link to the dashboard may hold anything."""
    assert {} == read(row("/"), Request("GET", "/", "since=nonsense&x=1"), {}, NOW)
