"""The connection of one ASGI request: sends the reply, and aborts the connection if the client does not read it.

ASGI cannot abort a connection. If the app fails, a server closes the connection, but it first waits for the client to
read what is left, without a time limit. So the transport of uvicorn is found through `receive`, and aborted. If another
server or a middleware hides the transport, the app raises the error, and the server handles it.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, NamedTuple
from weakref import ref

import anyio
from starlette.types import Receive, Scope, Send

from tally.api.message import Reply
from tally.errors import QueryTimeout, TallyError

logger = logging.getLogger("tally.api")

UNSENT_BYTES = 128 * 1024
# How long to wait until the server reports an aborted connection as disconnected.
DISCONNECT_S = 1.0
# Most answers are ready before a disconnect could be of use.
WATCH_S = 0.02


class Connection:
    """Sends one reply, which the client must read within `timeout_s`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, timeout_s: float) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._timeout_s = timeout_s
        # uvicorn's RequestResponseCycle, with h11 as with httptools.
        self._cycle: Any = getattr(receive, "__self__", None)
        self._transport: Any = getattr(self._cycle, "transport", None)
        self._flow: Any = getattr(self._cycle, "flow", None)
        self._is_started = False

    def cancelled_on_disconnect(self) -> AbstractAsyncContextManager[None]:
        """Cancel the body of the `with` statement when the client disconnects."""
        return self._watched() if self._transport is None else self._watched_later()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        async def watch() -> None:
            await self._wait_for_disconnect()
            tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                yield
                tasks.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    @asynccontextmanager
    async def _watched_later(self) -> AsyncIterator[None]:
        """Begin to watch after WATCH_S: a task costs as much as a small answer. uvicorn runs on asyncio."""
        loop = asyncio.get_running_loop()
        watching: list[asyncio.Task[None]] = []

        async def watch() -> None:
            await self._wait_for_disconnect()
            scope.cancel()

        timer = loop.call_later(WATCH_S, lambda: watching.append(loop.create_task(watch())))
        with anyio.CancelScope() as scope:
            try:
                yield
            finally:
                timer.cancel()
                for task in watching:
                    task.cancel()

    async def start(self, reply: Reply) -> None:
        """Send a reply's status and headers."""
        if not reply.is_whole and self._transport is not None:
            _limit_unsent(self._transport)
        await self._send({"type": "http.response.start", "status": reply.status, "headers": reply.raw_headers()})
        self._is_started = True

    async def send(self, chunk: bytes) -> None:
        """Send a part of the body, and wait until there is room for the next."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        if self._flow is not None:
            await self._flow.drain()

    async def end(self, body: bytes = b"") -> None:
        """Send the end of the body. If the client does not read it in time, abort the connection later."""
        await self._send({"type": "http.response.body", "body": body})
        if self._transport is not None and _unsent_bytes(self._transport):
            end = _End(ref(self._cycle), self._transport, self._describe())
            asyncio.get_running_loop().call_later(self._timeout_s, end.abort_unread)

    async def send_whole(self, reply: Reply) -> None:
        """Send a reply whose body is complete.

        :raises QueryTimeout: if the client does not read what was sent before in time.
        """
        if self._transport is not None and not _unsent_bytes(self._transport):
            await self._send_whole(reply)
            return
        with read_timeout(self._timeout_s):
            await self._send_whole(reply)

    async def _send_whole(self, reply: Reply) -> None:
        await self.start(reply)
        await self.end(b"".join(reply.chunks))

    async def cut(self, error: Exception) -> None:
        """Abort the connection because of `error`, so that no client takes a partial answer for a complete one.

        :raises Exception: `error`, if only the server can close the connection, or can still answer with status 500.
        """
        if self._transport is None or not (self._is_started or isinstance(error, QueryTimeout)):
            raise error
        _log(self._describe(), error)
        self._transport.abort()
        with anyio.move_on_after(DISCONNECT_S):
            await self._wait_for_disconnect()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _describe(self) -> str:
        """Return the connection's name for the log."""
        host, port = self._scope.get("client") or ("unknown", None)
        address = host if port is None else f"{host}:{port}"
        return f"{address} ({self._scope['method']} {self._scope['path']!r:.200})"


class _End(NamedTuple):
    """The end of a reply that the client has not read yet. It refers to as little as possible, as there may be many."""

    cycle: "ref[Any]"
    transport: Any
    name: str

    def abort_unread(self) -> None:
        """Abort the connection if the end is still unread, and no later request came on it."""
        cycle = self.cycle()
        latest = getattr(self.transport.get_protocol(), "cycle", None)
        if cycle is not None and latest is cycle and _unsent_bytes(self.transport):
            _log(self.name, QueryTimeout("the client took too long to read the end of the answer"))
            self.transport.abort()


def _log(name: str, error: Exception) -> None:
    """Log one line, to the log of the server if tally's log is not enabled."""
    level = logging.INFO if isinstance(error, QueryTimeout) else logging.ERROR
    log = logger if logger.isEnabledFor(level) else logging.getLogger("uvicorn.error")
    log.log(
        level, "cut the connection of %s: %s", name, error, exc_info=None if isinstance(error, TallyError) else error
    )


@contextmanager
def read_timeout(timeout_s: float) -> Iterator[anyio.CancelScope]:
    """Limit the time in which the client must read what is sent; the returned scope holds the deadline.

    :raises QueryTimeout: if it takes longer.
    """
    try:
        with anyio.fail_after(timeout_s) as limit:
            yield limit
    except TimeoutError:
        raise QueryTimeout("the client took too long to read the answer") from None


def _limit_unsent(transport: Any) -> None:
    """Limit how much unsent data the kernel buffers: by default it is several MB for a client that does not read."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def _unsent_bytes(transport: Any) -> int:
    return int(transport.get_write_buffer_size())
