"""The body of a request, as it was before it was compressed."""

import gzip
import zlib
from http import HTTPStatus
from io import BytesIO

from tally.api.message import Request
from tally.api.problems import Problem

CODINGS = ("", "identity", "gzip", "x-gzip")


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
