"""The service as an ASGI app: translation, and the turns that requests take.

A request takes one of TURNS turns and keeps it until its query is over, so that however many come, files and threads
are bounded and a collector in the same process is not slowed further. WAITING requests may wait for a turn, and any
others are told to come again. All work is done in worker threads. When the client goes away its task is cancelled, and
closing the reply then stops the query wherever it is.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from tally.api.message import BODY_S, METHODS_WITH_BODY, RETRY_AFTER, Reply, Request
from tally.api.problems import Problem
from tally.api.service import Service, Work
from tally.errors import QueryTimeout
from tally.settings import Settings

TURNS, WAITING = 16, 64

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


def build(settings: Settings) -> Starlette:
    """Return an app to serve or to mount; it needs no lifespan, and touches no file before the first request."""
    app = Starlette()
    # A route would not match every path: a line feed may stand in one.
    app.router.default = Adapter(Service(settings))
    return app


class Adapter:
    """Answers HTTP requests by what `service` makes of them, and no WebSocket."""

    def __init__(self, service: Service, *, turns: int = TURNS, waiting: int = WAITING) -> None:
        self._service = service
        self._timeout_s = service.settings.query_timeout
        self._turns = anyio.CapacityLimiter(turns)
        self._waiting = waiting
        # So many that whoever has a turn never waits for a thread: one is for the query, and one stops it. Nothing else
        # waits for ours either.
        self._threads = anyio.CapacityLimiter(2 * turns)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        :raises TallyError: when an answer fails that has begun; the server then cuts the connection, so that nobody
            takes half an answer for a whole one.
        """
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        scope["tally"] = True  # For middleware that has to know whose page it is.
        request = _request(scope)
        try:
            most = self._service.max_body_bytes(request)
            body = await _body(receive, most) if request.method in METHODS_WITH_BODY else b""
        except TimeoutError:
            text = f"the body did not come within {BODY_S:g} seconds: send it again as a whole"
            late = Problem(HTTPStatus.REQUEST_TIMEOUT, text, headers=(("Connection", "close"),))
            await _send_whole(self._service.failed(request, late), send)
            return
        if body is not None:
            async with _cancelled_when_gone(receive):
                await self._answer(replace(request, body=body), send)

    async def _answer(self, request: Request, send: Send) -> None:
        if self._service.is_open(request):
            await _send_whole(self._service.handle(request), send)
            return
        if not await self._has_turn():
            text = f"{self._turns.total_tokens} requests are being answered, as many as may be at once: try again later"
            busy = Problem(HTTPStatus.SERVICE_UNAVAILABLE, text, headers=(RETRY_AFTER,))
            await _send_whole(self._service.failed(request, busy), send)
            return
        try:
            reply = await self._take_turn(request, send)
        finally:
            self._turns.release()
        if reply.is_whole:
            await _send_whole(reply, send)

    async def _has_turn(self) -> bool:
        """Return whether a turn came free in time, which the caller releases; where too many wait for it, at once."""
        if self._turns.statistics().tasks_waiting >= self._waiting:
            return False
        with anyio.move_on_after(self._timeout_s) as wait:
            await self._turns.acquire()
        return not wait.cancelled_caught

    async def _take_turn(self, request: Request, send: Send) -> Reply:
        """Return the reply to `request`, which is sent already unless it is whole."""
        work = Work(self._service, request)
        reply = None
        try:
            reply = await self._run(work.run)
            if not reply.is_whole:
                await self._stream(reply, send)
            return reply
        finally:
            if reply is None or not reply.is_whole:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(work.close, limiter=self._threads)

    async def _stream(self, reply: Reply, send: Send) -> None:
        try:
            with anyio.fail_after(self._timeout_s) as limit:
                await send(_start(reply))
                chunks = iter(reply.chunks)
                while (chunk := await self._run(next, chunks, None)) is not None:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    if reply.is_long:
                        limit.deadline = anyio.current_time() + self._timeout_s
                await send({"type": "http.response.body"})
        except TimeoutError:
            raise QueryTimeout("the client took too long to read the answer") from None

    async def _run(self, work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run a part of a query in a thread, which is left to itself on cancellation: closing the work ends it."""
        return await to_thread.run_sync(work, *arguments, abandon_on_cancel=True, limiter=self._threads)


@asynccontextmanager
async def _cancelled_when_gone(receive: Receive) -> AsyncIterator[None]:
    """Cancel what is within when the client goes away."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            yield
            tasks.cancel_scope.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _body(receive: Receive, max_bytes: int) -> bytes | None:
    """Return the body, as far as it is needed to see that it is too long, or None when the client went away.

    :raises TimeoutError: when it is not there within BODY_S seconds.
    """
    body = bytearray()
    with anyio.fail_after(BODY_S):
        while len(body) <= max_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
    return bytes(body)


def _request(scope: Scope) -> Request:
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    if path.startswith(f"{root}/"):
        path = path[len(root) :]
    return Request(scope["method"], path, scope["query_string"].decode("latin-1"), _headers(scope), root=root)


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers by name, those of one name joined, as a WSGI server does it."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _start(reply: Reply) -> Message:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def _send_whole(reply: Reply, send: Send) -> None:
    await send(_start(reply))
    await send({"type": "http.response.body", "body": b"".join(reply.chunks)})
