"""The parameters of a request: those that its route takes, and no others."""

import gzip
import tracemalloc
from typing import Any

import pytest

from tally.api.message import MAX_BODY_BYTES, Request
from tally.api.parameters import FORM, check_lines, read, read_body
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
        ("", {"q": (), "where": (), "source": (), "pretty": ()}),
        ("q=a.*&q=b&pretty", {"q": ("a.*", "b"), "where": (), "source": (), "pretty": (True,)}),
        ("_=1&_x=1&_x=2", {"q": (), "where": (), "source": (), "pretty": ()}),
    ],
)
def test_a_route_takes_the_parameters_of_its_row(query: str, expected: dict[str, Any]) -> None:
    """Values are returned by name. Names that begin with an underscore are ignored."""
    assert expected == read(row("/names/{slug}/"), Request("GET", "/names/daily/", query), {}, NOW)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("since=1", "has no meaning here: /names/{slug}/ takes q, where, source and pretty"),
        ("pretty&pretty", "is given twice"),
    ],
)
def test_other_parameters_are_refused(query: str, message: str) -> None:
    """A parameter of other routes, and one that is given twice, are errors."""
    with pytest.raises(InvalidQuestion, match=message):
        read(row("/names/{slug}/"), Request("GET", "/names/daily/", query), {}, NOW)


def test_a_data_route_takes_a_question() -> None:
    """The aggregate comes from the path, and the order from the route."""
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
    """JSON instead of a form is an error, not an empty form."""
    request = Request("POST", "/render", "", {"content-type": "application/json"}, b"{}")
    with pytest.raises(InvalidQuestion, match="send a form"):
        read(row("/render", "POST"), request, {}, NOW)


def test_pages_read_their_query_themselves() -> None:
    """Pages accept any query string."""
    assert {} == read(row("/"), Request("GET", "/", "since=nonsense&x=1"), {}, NOW)


TEXT = b"requests.get.index 0.25\n" * 100
GZIPPED = gzip.compress(TEXT, mtime=0)  # Without the time, which would make another name of each test at each run.
LIMIT = len(TEXT)


def decoded(body: bytes, coding: str | None, limit: int = LIMIT) -> bytes:
    """Return what is read of a body."""
    headers = {} if coding is None else {"content-encoding": coding}
    return read_body(Request("POST", "/", headers=headers, body=body), limit)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (TEXT, None),
        (TEXT, ""),
        (TEXT, "identity"),
        (GZIPPED, "gzip"),
        (GZIPPED, " GZIP "),
        (GZIPPED, "x-gzip"),
        (gzip.compress(TEXT[:120], mtime=0) + gzip.compress(TEXT[120:], mtime=0), "gzip"),
    ],
)
def test_a_body_is_read_as_it_was_before(body: bytes, coding: str | None) -> None:
    """A plain body and a gzipped one, in one member or several, are read alike."""
    assert TEXT == decoded(body, coding)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (TEXT, "gzip"),
        (GZIPPED[:-1], "end"),
        (GZIPPED[:20], "end"),
        (GZIPPED[:-8] + bytes(8), "CRC"),
        (GZIPPED[:10] + b"\xff" * 40, "invalid"),
        (GZIPPED + b"more", "gzip"),
    ],
)
def test_what_is_not_gzip_as_a_whole_is_refused(body: bytes, says: str) -> None:
    """A truncated, damaged or foreign body is rejected as a whole."""
    with pytest.raises(Problem, match=says) as raised:
        decoded(body, "gzip")
    assert 400 == raised.value.status


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, gzip", "é"])
def test_other_codings_are_refused(coding: str) -> None:
    """The error names the supported encodings."""
    with pytest.raises(Problem) as raised:
        decoded(TEXT, coding)
    assert (415, (("Accept-Encoding", "gzip"),)) == (raised.value.status, raised.value.headers)


@pytest.mark.parametrize(("body", "coding"), [(TEXT, None), (GZIPPED, "gzip")])
def test_the_size_is_bounded(body: bytes, coding: str | None) -> None:
    """The limit applies to the decompressed body."""
    assert TEXT == decoded(body, coding, LIMIT)
    with pytest.raises(Problem, match=f"longer than {LIMIT - 1} bytes") as raised:
        decoded(body, coding, LIMIT - 1)
    assert 413 == raised.value.status


def test_a_bomb_is_not_inflated() -> None:
    """Decompression stops as soon as a body exceeds the limit."""
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="longer"):
            decoded(bomb, "gzip", 1_000_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 1_000_000 < peak_bytes < 5_000_000


def test_more_than_may_be_is_not_even_inflated() -> None:
    """A body that was cut at the limit is reported as too long, not as damaged."""
    with pytest.raises(Problem, match="longer"):
        decoded(bytes(11), "gzip", 10)


@pytest.mark.parametrize(
    ("given", "is_right"), [(" Text/Plain ;x", True), ("", True), ("text", False), ("application/x-ndjson", False)]
)
def test_the_type_of_lines(given: str, is_right: bool) -> None:
    """Any text type is accepted, with any parameters, and so is a missing type."""
    request = Request("POST", "/", headers={"content-type": given})
    if is_right:
        check_lines(request)
        return
    with pytest.raises(Problem, match=f"{given}.*text/plain") as raised:
        check_lines(request)
    assert (415, (("Accept", "text/plain"),)) == (raised.value.status, raised.value.headers)
