"""The body of a request: what type it says that it has, and its bytes as they were before they were compressed."""

import gzip
import zlib
from http import HTTPStatus
from io import BytesIO

from tally.api.message import Request
from tally.api.problems import Problem

CODINGS = ("", "identity", "gzip", "x-gzip")
# What HTTP clients say of bytes whose type nobody gave, beside nothing: the last one is curl's --data-binary.
UNSPECIFIED = ("", "application/octet-stream", "application/x-www-form-urlencoded")


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
