"""The request and the reply as every web framework can give and take them, and tally's JSON."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from tally.errors import InvalidQuestion

MAX_FIELDS = 100
MAX_BODY_BYTES = 64 * 1024
JSON = "application/json"
PROBLEM = "application/problem+json"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """What was asked: `path` is decoded and without `root`, `query` is raw, names in `headers` are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    root: str = ""

    def fields(self) -> list[tuple[str, str]]:
        """The query's fields in their order.

        :raises InvalidQuestion: when there are over 100, or one is not UTF-8.
        """
        parts = [part for part in self.query.encode("latin-1").split(b"&", MAX_FIELDS + 1) if part]
        if len(parts) > MAX_FIELDS:
            raise InvalidQuestion(f"the query has more than {MAX_FIELDS} fields; ask in several requests")
        return [_field(part) for part in parts]


def _field(part: bytes) -> tuple[str, str]:
    name, _, value = part.replace(b"+", b" ").partition(b"=")
    try:
        return unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        text = part.decode("ascii", "backslashreplace")
        raise InvalidQuestion(f"{text} in the query is not UTF-8; send percent-encoded UTF-8") from None


@dataclass(frozen=True)
class Reply:
    """What is answered: a tuple of chunks is whole, any other iterable is a query that runs as it is read."""

    status: int
    headers: Headers
    chunks: Iterable[bytes]

    @property
    def whole(self) -> bool:
        """Whether the body is complete, so that nothing can go wrong while it is sent."""
        return isinstance(self.chunks, tuple)

    def close(self) -> None:
        """Stop the query behind the chunks, if there is one, from any thread and any number of times."""
        close = getattr(self.chunks, "close", None)
        if close is not None:
            close()


def encode(value: Any, *, pretty: bool) -> bytes:
    """Tally's JSON in UTF-8: compact, or indented by 2."""
    separators = None if pretty else (",", ":")
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, indent=2 if pretty else None, separators=separators
    )
    return text.encode("utf-8", "backslashreplace")


def streamed(chunks: Iterable[bytes], media_type: str) -> Reply:
    """A reply of chunks that are made while it is sent."""
    return Reply(200, (("Content-Type", media_type), *_common()), chunks)


def whole(
    value: Any, *, status: int = 200, pretty: bool = False, media_type: str = JSON, headers: Headers = ()
) -> Reply:
    """A reply whose body is `value` as JSON."""
    body = encode(value, pretty=pretty)
    length = ("Content-Length", str(len(body)))
    return Reply(status, (("Content-Type", media_type), length, *_common(), *headers), (body,))


def empty(status: int, headers: Headers = ()) -> Reply:
    """A reply without a body."""
    length = () if status == 204 else (("Content-Length", "0"),)
    return Reply(status, (*length, *_common(), *headers), ())


def _common() -> Headers:
    return (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
