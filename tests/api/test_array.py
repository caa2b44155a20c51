"""Long arrays are made a part at a time, and are the same bytes."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tally.api.array import BATCH_ITEMS, CHUNK_BYTES, array
from tally.api.message import Request, encode
from tally.engine import Catalog
from tests.api.asking import ask, begun, service


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, BATCH_ITEMS, BATCH_ITEMS + 1, 5 * BATCH_ITEMS])
def test_an_array_is_what_it_would_be_as_a_whole(count: int, pretty: bool) -> None:
    """Whatever the items are, and however many."""
    items = [{"text": f'"\u00e9\n{number}', "leaf": number, "in": [1, {}]} for number in range(count)]
    assert encode(items, pretty=pretty) == b"".join(array(items, pretty=pretty))


def test_chunks_are_large_and_made_as_they_are_taken() -> None:
    """No more items are taken than are needed for a chunk."""
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
    """What is sent of them is made while it is taken: less memory than the names themselves is needed."""
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
    """Where the time is over before the first byte it is told by the status."""
    got = ask(service(many, query_timeout=1e-4), target)
    assert (503, True) == (got.status, "TALLY_QUERY_TIMEOUT" in got.json["detail"])
