"""Queries of requests, replies, and JSON, whole or in chunks."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tally.api.message import BATCH_ITEMS, CHUNK_BYTES, MAX_FIELDS, Reply, Request, array, empty, encode, whole
from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tests.api.asking import ask, begun, service


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", []),
        ("&&", []),
        ("a", [("a", "")]),
        ("a=", [("a", "")]),
        ("=a", [("", "a")]),
        ("a=b=c", [("a", "b=c")]),
        ("b=2&a=1&b=3", [("b", "2"), ("a", "1"), ("b", "3")]),
        ("a+b=c+d%2Be", [("a b", "c d+e")]),
        ("q=caf%C3%A9%20%26", [("q", "café &")]),
        ("q=caf\u00c3\u00a9", [("q", "café")]),
        ("q=100%&r=%zz", [("q", "100%"), ("r", "%zz")]),
        ("a;b=1", [("a;b", "1")]),
    ],
)
def test_fields_of_a_query(query: str, expected: list[tuple[str, str]]) -> None:
    """Fields are decoded and keep their order, including repeated ones."""
    assert expected == Request("GET", "/", query).fields()


@pytest.mark.parametrize("query", ["q=%FF", "%FF=1", "q=\u00ff", "q=%ED%A0%80", "ok=1&" + "q=%80" * 1000])
def test_a_field_that_is_no_text_is_refused(query: str) -> None:
    """A field that is not UTF-8 is an error, which quotes it in ASCII."""
    with pytest.raises(InvalidQuestion, match="is not UTF-8: send percent-encoded UTF-8") as caught:
        Request("GET", "/", query).fields()
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 200


def test_the_number_of_fields_is_bounded() -> None:
    """MAX_FIELDS fields are accepted, but not one more."""
    assert MAX_FIELDS == len(Request("GET", "/", "&".join(["q=a"] * MAX_FIELDS)).fields())
    with pytest.raises(InvalidQuestion, match=f"more than {MAX_FIELDS} fields"):
        Request("GET", "/", "&".join(["q=a"] * (MAX_FIELDS + 1))).fields()


@pytest.mark.parametrize(
    ("pretty", "expected"),
    [
        (False, '{"a":[1,null,0.1],"é":"\\u0000"}'),
        (True, '{\n  "a": [\n    1,\n    null,\n    0.1\n  ],\n  "é": "\\u0000"\n}'),
    ],
)
def test_json_is_compact_or_indented(pretty: bool, expected: str) -> None:
    """JSON is UTF-8, without spaces or indented by two."""
    assert expected.encode() == encode({"a": [1, None, 0.1], "é": "\0"}, pretty=pretty)


def test_json_is_never_broken_by_its_text() -> None:
    """A lone surrogate is escaped. A value that JSON does not have is a bug."""
    assert b'"\\ud800"' == encode("\ud800", pretty=False)
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(float("nan"), pretty=False)


def test_replies() -> None:
    """A whole reply has its length and media type. An empty one has no body, and with 204 no length."""
    reply = whole([1], status=201, media_type="text/x", headers=(("Location", "/"),))
    assert (201, (b"[1]",)) == (reply.status, reply.chunks)
    assert {("Content-Type", "text/x"), ("Content-Length", "3"), ("Location", "/")} <= set(reply.headers)
    assert ("Content-Length", "0") in empty(308).headers
    assert "Content-Length" not in dict(empty(204).headers)
    assert [True, True, False] == [each.is_whole for each in (reply, empty(204), Reply(200, (), iter([b"a"])))]
    reply.close()


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, BATCH_ITEMS, BATCH_ITEMS + 1, 5 * BATCH_ITEMS])
def test_an_array_is_what_it_would_be_as_a_whole(count: int, pretty: bool) -> None:
    """An array may have any number of items of any kind."""
    items = [{"text": f'"\u00e9\n{number}', "leaf": number, "in": [1, {}]} for number in range(count)]
    assert encode(items, pretty=pretty) == b"".join(array(items, pretty=pretty))


def test_chunks_are_large_and_made_as_they_are_taken() -> None:
    """Only the items of the next chunk are read."""
    taken: list[int] = []

    def items() -> Iterator[str]:
        for number in range(100 * BATCH_ITEMS):
            taken.append(number)
            yield "x" * 30

    chunks = array(items())
    assert CHUNK_BYTES <= len(next(chunks)) < 2 * CHUNK_BYTES
    assert len(taken) == 2 * BATCH_ITEMS


MANY = 40_000
LISTINGS = (
    "/names/many/",
    "/patterns/many/",
    "/metrics/index.json",
    "/metrics/find?query=many.*",
    "/metrics/find?query=many.&format=completer",
    "/metrics/expand?query=many.*",
    "/metrics/expand?query=many.*&groupByExpr=1",
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with an archive of MANY names."""
    directory = tmp_path_factory.mktemp("many")
    Catalog(directory).create("many", retention=0).record((f"host{n % 50}.{n}", 1, 100) for n in range(MANY))
    return directory


@pytest.mark.parametrize("target", LISTINGS)
def test_many_names_need_no_memory(target: str, many: Path) -> None:
    """The answer is made while it is sent, and needs less memory than the names."""
    asked = service(many)
    path, _, query = target.partition("?")
    request = Request("GET", path, query)
    for _ in range(2):  # What is made once for all requests does not count.
        tracemalloc.start()
        reply = begun(asked, request)
        size = sum(map(len, reply.chunks))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (200, True) == (reply.status, size > 3)
    assert most < 3 * 2**20


@pytest.mark.parametrize("target", LISTINGS)
def test_every_listing_ends_with_the_time_of_a_question(target: str, many: Path) -> None:
    """A timeout before the first byte is answered by a status."""
    got = ask(service(many, query_timeout=1e-4), target)
    assert (503, True) == (got.status, "TALLY_QUERY_TIMEOUT" in got.json["detail"])
