"""Django's views of the API: one for WSGI, one for ASGI, and one where there is nothing.

They pass the request to `tally.api.service` and make Django's response of its reply. A streaming answer is read in the
server's thread under WSGI and in worker threads under ASGI. When the client goes away, the server closes the response
or cancels the view, and either stops the query.
"""

import threading
from asyncio import CancelledError
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial

import anyio
from anyio import to_thread
from django.core.handlers.asgi import ASGIRequest
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt

from tally.api.message import METHODS_WITH_BODY, Reply, Request, join_headers
from tally.api.route import Route
from tally.api.routes import BY_PATH
from tally.api.service import Service, Work
from tally.errors import QueryTimeout, TallyError
from tally.integrations.django.settings import current

_service = lru_cache(4)(Service)


@csrf_exempt
@non_atomic_requests
def answer(request: HttpRequest, template: str, **path: str) -> HttpResponseBase:
    """Answer a request for a path of tally's under WSGI."""
    service = _service(current())
    asked, row = _asked(request, template, path, service)
    if row is None:
        return _response(service.not_allowed(asked, BY_PATH[template]))
    timeout_s = service.settings.query_timeout
    return _response(Work(service, asked, row, path).run(), partial(_Chunks, timeout_s=timeout_s))


@csrf_exempt
@non_atomic_requests
async def answer_async(request: HttpRequest, template: str, _asgi: None, **path: str) -> HttpResponseBase:
    """Answer a request for a path of tally's under ASGI, for which `UnderASGI` chooses this view."""
    service = _service(current())
    asked, row = _asked(request, template, path, service)
    if row is None:
        return _response(service.not_allowed(asked, BY_PATH[template]))
    work = Work(service, asked, row, path)
    try:
        reply = work.run() if row.is_open else await to_thread.run_sync(work.run, abandon_on_cancel=True)
    except CancelledError:
        # Not in one of the threads that may all be busy with work that has to end.
        await to_thread.run_sync(work.close, limiter=anyio.CapacityLimiter(1))
        raise
    return _response(reply, partial(_AsyncChunks, timeout_s=service.settings.query_timeout))


@csrf_exempt
@non_atomic_requests
def not_found(request: HttpRequest, path: str) -> HttpResponseBase:
    """Answer a request for any other path under tally's prefix."""
    service = _service(current())
    asked = _request(request, f"/{path}", service=service)
    try:
        with_slash = resolve(f"{request.path_info}/", getattr(request, "urlconf", None)).func
    except Resolver404:
        with_slash = None
    return _response(service.not_found(asked, is_found_with_slash=with_slash in (answer, answer_async)))


class _Chunks:
    """The chunks of a reply as WSGI takes them.

    A client that does not read on would hold the archive's file in a transaction, so the query ends with its time even
    when nobody asks for the next chunk. A long reply has its time anew for each chunk.
    """

    def __init__(self, reply: Reply, *, timeout_s: float) -> None:
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

    def __init__(self, reply: Reply, *, timeout_s: float) -> None:
        self._chunks = _Chunks(reply, timeout_s=timeout_s)
        self.close = self._chunks.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks; raises as `_Chunks`. A cancelled thread is left to itself: `close` ends its work."""
        while (chunk := await to_thread.run_sync(next, self._chunks, None, abandon_on_cancel=True)) is not None:
            yield chunk


def _asked(
    request: HttpRequest, template: str, path: Mapping[str, str], service: Service
) -> tuple[Request, Route | None]:
    """Return what was asked, and the row of the table of routes that answers it: None where the method has none."""
    rows = BY_PATH[template]
    row = next((each for each in rows if request.method in each.methods), None)
    return _request(request, template.format(**path), service=service, row=row or rows[0]), row


def _request(request: HttpRequest, path: str, *, service: Service, row: Route | None = None) -> Request:
    request.get_host()  # Whatever middleware the site has, its ALLOWED_HOSTS are checked.
    root = request.path.removesuffix(path)
    query = request.META["QUERY_STRING"]
    if isinstance(request, ASGIRequest):
        query = query.encode().decode("latin-1")
    headers = {name.lower(): value for name, value in request.headers.items()}
    asked = Request(request.method or "", path, query, headers, root=root)
    if asked.method not in METHODS_WITH_BODY:
        return asked
    return replace(asked, body=request.read(service.max_body_bytes(asked, row) + 1))


def _response(
    reply: Reply, stream: Callable[[Reply], Iterator[bytes] | AsyncIterable[bytes]] | None = None
) -> HttpResponseBase:
    headers = join_headers(reply.headers)
    response: HttpResponseBase
    if stream is None or (reply.is_whole and "Content-Length" in headers):
        response = HttpResponse(b"".join(reply.chunks), status=reply.status, headers=headers)
    else:
        response = StreamingHttpResponse(stream(reply), status=reply.status, headers=headers)
    if "Content-Type" not in headers:
        del response["Content-Type"]
    return response
