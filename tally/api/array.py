"""Long JSON, made a part at a time, in the same bytes as if it were made as a whole."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from tally.api.message import COMMON_HEADERS, JSON, Reply, encode

CHUNK_BYTES = 65_536
BATCH_ITEMS = 1000


def array(items: Iterable[Any], *, pretty: bool = False) -> Iterator[bytes]:
    """Yield an array of items as chunks of CHUNK_BYTES or more, but for the last."""
    rest = iter(items)
    opening, before, closing = (b"[\n", b",\n", b"\n]") if pretty else (b"[", b",", b"]")
    buffer = bytearray()
    is_begun = False
    while batch := list(islice(rest, BATCH_ITEMS)):
        buffer += before if is_begun else opening
        buffer += encode(batch, pretty=pretty)[len(opening) : -len(closing)]
        is_begun = True
        if len(buffer) >= CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer) + (closing if is_begun else b"[]")


def members(named: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield an object whose members are made a part at a time."""
    before = b"{"
    for name, parts in named:
        yield before + encode(name, pretty=False) + b":"
        yield from parts
        before = b","
    yield b"}"


def streamed(chunks: Iterable[bytes], close: Callable[[], None]) -> Reply:
    """Return a reply with chunks of JSON; `close` stops what makes them."""
    return Reply(200, (("Content-Type", JSON), *COMMON_HEADERS), chunks, close)
