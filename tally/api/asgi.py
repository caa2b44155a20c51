"""The service as an ASGI app: translation, and the slots in which requests are worked on.

All work is done in worker threads, in one of the `slots`, so that however many requests come, files and threads are
bounded and a collector in the same process is not slowed further. When the client goes away its task is cancelled, and
closing the reply then stops the query wherever it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from tally.api.connection import Connection, read_within
from tally.api.message import BODY_S, METHODS_WITH_BODY, RETRY_AFTER, Reply, Request
from tally.api.problems import Problem
from tally.api.service import Service, Work
from tally.api.slots import Slot, Slots
from tally.engine.files.status import Status
from tally.settings import Settings

CLOSED = ("Connection", "close")

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


def build(settings: Settings, *, own: Callable[[], Mapping[str, Status]] = dict) -> Starlette:
    """Return an app to serve or to mount; it needs no lifespan, and touches no file before the first request."""
    app = Starlette()
    # A route would not match every path: a line feed may stand in one.
    app.router.default = Adapter(Service(settings, own=own))
    return app


class Adapter:
    """Answers HTTP requests by what `service` makes of them, and no WebSocket."""

    def __init__(self, service: Service, slots: Slots | None = None) -> None:
        self._service = service
        self._timeout_s = service.settings.query_timeout
        self._slots = slots or Slots()
        # So many that whoever has a slot never waits for a thread: one is for the query, and one stops it. Nothing else
        # waits for ours either.
        self._threads = anyio.CapacityLimiter(2 * self._slots.count)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        :raises Exception: what an answer fails with that has begun, where only the server can cut the connection.
        """
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        scope["tally"] = True  # For middleware that has to know whose page it is.
        connection = Connection(scope, receive, send, timeout_s=self._timeout_s)
        try:
            await self._serve(_request(scope), connection)
        except Exception as error:
            await connection.cut(error)

    async def _serve(self, request: Request, connection: Connection) -> None:
        try:
            most = self._service.max_body_bytes(request)
            body = await connection.body(most) if request.method in METHODS_WITH_BODY else b""
        except TimeoutError:
            text = f"the body did not come within {BODY_S:g} seconds: send it again as a whole"
            late = Problem(HTTPStatus.REQUEST_TIMEOUT, text, headers=(CLOSED,))
            await connection.send_whole(self._service.failed(request, late))
            return
        if body is not None:
            async with connection.cancelled_when_gone():
                await self._answer(replace(request, body=body), connection)

    async def _answer(self, request: Request, connection: Connection) -> None:
        if self._service.is_open(request):
            await connection.send_whole(self._service.handle(request))
            return
        slot = await self._slots.take(self._timeout_s)
        if slot is None:
            text = f"{self._slots.count} requests are being answered, as many as may be at once: try again later"
            busy = Problem(HTTPStatus.SERVICE_UNAVAILABLE, text, headers=(RETRY_AFTER, CLOSED))
            await connection.send_whole(self._service.failed(request, busy))
            return
        try:
            reply = await self._work(request, connection, slot)
        finally:
            slot.release()
        if reply.is_whole:
            await connection.send_whole(reply)

    async def _work(self, request: Request, connection: Connection, slot: Slot) -> Reply:
        """Return the reply to `request`, which is sent already unless it is whole."""
        work = Work(self._service, request)
        reply = None
        try:
            reply = await self._run(work.run)
            if not reply.is_whole:
                await self._stream(reply, connection, slot)
            return reply
        finally:
            if reply is None or not reply.is_whole:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(work.close, limiter=self._threads)

    async def _stream(self, reply: Reply, connection: Connection, slot: Slot) -> None:
        """Send a reply as its chunks are made; a long one is private and there is one at a time, so it is not cut."""
        with read_within(self._timeout_s) as limit:
            async with slot.resting(is_cut=not reply.is_long):
                await connection.begin(reply)
            chunks = iter(reply.chunks)
            while (chunk := await self._run(next, chunks, None)) is not None:
                async with slot.resting(is_cut=not reply.is_long):
                    await connection.send(chunk)
                if reply.is_long:
                    limit.deadline = anyio.current_time() + self._timeout_s
            slot.release()
            await connection.end()

    async def _run(self, work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run a part of a query in a thread, which is left to itself on cancellation: closing the work ends it."""
        return await to_thread.run_sync(work, *arguments, abandon_on_cancel=True, limiter=self._threads)


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
