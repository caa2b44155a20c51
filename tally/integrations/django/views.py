"""The API's answers as Django's responses: one view for WSGI, one for ASGI, and the same bytes from both.

What is asked goes to `tally.api.service`, and its reply comes back; nothing is judged here. An answer that streams is
read in the server's thread under WSGI and in worker threads under ASGI. When the client goes, the server closes the
response or cancels the view, and either stops the query.
"""

import threading
from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import lru_cache

import anyio
from anyio import to_thread
from django.core.handlers.asgi import ASGIRequest
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from tally.api.message import METHODS_WITH_BODY, Reply, Request
from tally.api.service import Service, Work
from tally.errors import QueryTimeout, TallyError
from tally.integrations.django.settings import current

_service = lru_cache(4)(Service)


@csrf_exempt
@non_atomic_requests
def answer(request: HttpRequest, path: str) -> HttpResponseBase:
    """Answer a request under WSGI."""
    service = _service(current())
    asked = _request(request, path, service)
    return _response(Work(service, asked).run(), service.settings.query_timeout, _Chunks)


@csrf_exempt
@non_atomic_requests
async def answer_async(request: HttpRequest, path: str) -> HttpResponseBase:
    """Answer a request under ASGI."""
    service = _service(current())
    asked = _request(request, path, service)
    work = Work(service, asked)
    try:
        reply = work.run() if service.is_open(asked) else await to_thread.run_sync(work.run, abandon_on_cancel=True)
    except CancelledError:
        # Not in one of the threads that may all be busy with what shall end.
        await to_thread.run_sync(work.close, limiter=anyio.CapacityLimiter(1))
        raise
    return _response(reply, service.settings.query_timeout, _AsyncChunks)


class _Chunks:
    """The chunks of a reply as WSGI takes them.

    A client that does not read on would hold the archive's file in a transaction, so the query ends with its time even
    when nobody asks for the next chunk. A long reply has its time anew for each chunk.
    """

    def __init__(self, reply: Reply, timeout_s: float) -> None:
        self._chunks = iter(reply.chunks)
        self._reply = reply
        self._timeout_s = timeout_s
        self._is_late = False
        self._timer = self._started()

    def _started(self) -> threading.Timer:
        timer = threading.Timer(self._timeout_s, self._expire)
        timer.daemon = True
        timer.start()
        return timer

    def _expire(self) -> None:
        self._is_late = True
        self._reply.close()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next chunk.

        :raises TallyError: when the answer cannot go on; the server then cuts the connection, so that nobody takes half
            an answer for a whole one.
        """
        try:
            chunk = next(self._chunks, None)
        except TallyError as error:
            # The server logs it with its traceback, in which SQLite's and ours would say nothing more.
            raise error.with_traceback(None) from None
        if chunk is None and self._is_late:
            raise QueryTimeout("the client took too long to read the answer")
        if chunk is None:
            raise StopIteration
        if self._reply.is_long:
            self._timer.cancel()
            self._timer = self._started()
        return chunk

    def close(self) -> None:
        """Stop the query."""
        self._timer.cancel()
        self._reply.close()


class _AsyncChunks:
    """The chunks of a reply as ASGI takes them, made in worker threads."""

    def __init__(self, reply: Reply, timeout_s: float) -> None:
        self._chunks = _Chunks(reply, timeout_s)
        self.close = self._chunks.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks; raises as `_Chunks`. A cancelled thread is left to itself: `close` ends its work."""
        while (chunk := await to_thread.run_sync(next, self._chunks, None, abandon_on_cancel=True)) is not None:
            yield chunk


def _request(request: HttpRequest, path: str, service: Service) -> Request:
    request.get_host()  # Whatever middleware the site has, its ALLOWED_HOSTS are checked.
    root = request.path.removesuffix(path).rstrip("/")
    query = request.META["QUERY_STRING"]
    if isinstance(request, ASGIRequest):
        query = query.encode().decode("latin-1")
    headers = {name.lower(): value for name, value in request.headers.items()}
    asked = Request(request.method or "", f"/{path}", query, headers, root=root)
    if asked.method not in METHODS_WITH_BODY:
        return asked
    return replace(asked, body=request.read(service.max_body_bytes(asked) + 1))


def _response(reply: Reply, timeout_s: float, stream: type[_Chunks | _AsyncChunks]) -> HttpResponseBase:
    headers = _headers(reply)
    response: HttpResponseBase
    if reply.is_whole and "Content-Length" in headers:
        response = HttpResponse(b"".join(reply.chunks), status=reply.status, headers=headers)
    else:
        response = StreamingHttpResponse(stream(reply, timeout_s), status=reply.status, headers=headers)
    if "Content-Type" not in headers:
        del response["Content-Type"]
    return response


def _headers(reply: Reply) -> dict[str, str]:
    """Return the reply's headers, those of one name joined: Django keeps one of a name."""
    headers: dict[str, str] = {}
    for name, value in reply.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
