"""Requests and replies, independent of any web framework, and JSON bodies, whole or in chunks."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import unquote_to_bytes

from tally.errors import InvalidQuestion

MAX_FIELDS = 100
# The decoded path and the raw query together.
MAX_URL_CHARACTERS = 16 * 1024
# The request line and the headers together, limited by `tally serve`.
HEAD_MAX_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024
# A body with samples, both compressed and decompressed.
MAX_SAMPLES_BYTES = 4 * 2**20
# How long a body may take to arrive.
BODY_S = 10.0
CHUNK_BYTES = 65_536
BATCH_ITEMS = 1000
RETRY_AFTER = ("Retry-After", "1")
METHODS_WITH_BODY = ("POST", "PATCH")
JSON = "application/json"
PROBLEM = "application/problem+json"

Headers = tuple[tuple[str, str], ...]
_NO_SNIFF = ("X-Content-Type-Options", "nosniff")
COMMON_HEADERS: Headers = (("Cache-Control", "no-store"), _NO_SNIFF)
# Only the client itself may cache the answer, and it must revalidate it each time.
KEPT_HEADERS: Headers = (("Cache-Control", "private, no-cache"), _NO_SNIFF)


@dataclass(frozen=True)
class Request:
    """A request: `path` is decoded and without `root`, `query` is raw, names in `headers` are in lower case.

    Headers and query hold bytes as latin-1. A body that is too long may be truncated.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    root: str = ""

    def fields(self) -> list[tuple[str, str]]:
        """Return the fields of the query in order.

        :raises InvalidQuestion: if there are more than MAX_FIELDS, or one is not UTF-8.
        """
        parts = [part for part in self.query.encode("latin-1").split(b"&", MAX_FIELDS + 1) if part]
        if len(parts) > MAX_FIELDS:
            raise InvalidQuestion(f"the query has more than {MAX_FIELDS} fields: ask in several requests")
        return [_field(part) for part in parts]

    def has(self, tag: str) -> bool:
        """Return whether `If-None-Match` contains `tag` (RFC 9110, section 13.1.2)."""
        given = self.headers.get("if-none-match", "").split(",")
        return tag in [each.strip().removeprefix("W/") for each in given]


def _field(part: bytes) -> tuple[str, str]:
    name, _, value = part.replace(b"+", b" ").partition(b"=")
    try:
        return unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        text = part.decode("ascii", "backslashreplace")
        raise InvalidQuestion(f"{text:.100} in the query is not UTF-8: send percent-encoded UTF-8") from None


def _close_nothing() -> None:
    """Close a reply that has no query."""


@dataclass(frozen=True)
class Reply:
    """A reply. A tuple of `chunks` is complete; other `chunks` are made by a query while they are read.

    `close` stops that query; it may be called from any thread, and more than once. If `is_long`, the time limit applies
    to each chunk instead of the whole. `late_headers` returns headers that depend on what the query has read.
    """

    status: int
    headers: Headers
    chunks: Iterable[bytes]
    close: Callable[[], None] = _close_nothing
    is_long: bool = False
    late_headers: Callable[[], Headers] = tuple

    @property
    def is_whole(self) -> bool:
        """Whether the body is complete, so that no error can occur while it is sent."""
        return isinstance(self.chunks, tuple)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers in the form of ASGI."""
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]


def encode(value: Any, *, pretty: bool) -> bytes:
    """Return a value as JSON in UTF-8, compact or indented by 2."""
    indent, separators = (2, None) if pretty else (None, (",", ":"))
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    return text.encode("utf-8", "backslashreplace")


def whole(
    value: Any, *, status: int = 200, pretty: bool = False, media_type: str = JSON, headers: Headers = ()
) -> Reply:
    """Return a reply whose body is `value` as JSON."""
    return whole_bytes(encode(value, pretty=pretty), media_type, status=status, headers=headers)


def whole_bytes(body: bytes, media_type: str, *, status: int = 200, headers: Headers = ()) -> Reply:
    """Return a reply with a complete body."""
    return Reply(status, (("Content-Type", media_type), content_length(body), *COMMON_HEADERS, *headers), (body,))


def empty(status: int, headers: Headers = ()) -> Reply:
    """Return a reply without a body."""
    length = () if status == 204 else (content_length(b""),)
    return Reply(status, (*length, *COMMON_HEADERS, *headers), ())


def content_length(body: bytes) -> tuple[str, str]:
    """Return the header with the length of `body`."""
    return ("Content-Length", str(len(body)))


def join_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name; the values of a repeated name are joined by commas."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def array(items: Iterable[Any], *, pretty: bool = False) -> Iterator[bytes]:
    """Yield a JSON array in chunks of at least CHUNK_BYTES, except for the last."""
    rest = iter(items)
    opening, before, closing = (b"[\n", b",\n", b"\n]") if pretty else (b"[", b",", b"]")
    buffer = bytearray()
    is_started = False
    while batch := list(islice(rest, BATCH_ITEMS)):
        buffer += before if is_started else opening
        buffer += encode(batch, pretty=pretty)[len(opening) : -len(closing)]
        is_started = True
        if len(buffer) >= CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer) + (closing if is_started else b"[]")


def members(named: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield a JSON object whose values are given in chunks."""
    before = b"{"
    for name, parts in named:
        yield before + encode(name, pretty=False) + b":"
        yield from parts
        before = b","
    yield b"}"


def streamed(chunks: Iterable[bytes], close: Callable[[], None]) -> Reply:
    """Return a reply with chunks of JSON; `close` stops the query that makes them."""
    return Reply(200, (("Content-Type", JSON), *COMMON_HEADERS), chunks, close)
