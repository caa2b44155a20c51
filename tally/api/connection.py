"""The connection of one request, as an ASGI server shows it: sends an answer, and ends where nobody reads it.

ASGI has no way to end a connection at once. A server closes one whose app fails, and closing waits until the client has
taken what is left, for ever where it does not read. uvicorn's connections are found by way of `receive`, and aborted.
Where a server or middleware hides them, the app can only fail, and the rest is left to the server.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple
from weakref import ref

import anyio
from starlette.types import Receive, Scope, Send

from tally.api.message import Reply
from tally.errors import QueryTimeout, TallyError

logger = logging.getLogger("tally.api")

UNSENT_BYTES = 128 * 1024
# How long an aborted connection may take to be told as gone.
GONE_S = 1.0


class Connection:
    """Sends an answer by one request's connection; the client has to take it within `timeout_s`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, timeout_s: float) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._timeout_s = timeout_s
        # uvicorn's RequestResponseCycle, with h11 as with httptools.
        self._cycle: Any = getattr(receive, "__self__", None)
        self._transport: Any = getattr(self._cycle, "transport", None)
        self._flow: Any = getattr(self._cycle, "flow", None)
        self._is_begun = False

    @asynccontextmanager
    async def cancelled_when_gone(self) -> AsyncIterator[None]:
        """Cancel what is within when the client goes away."""

        async def watch() -> None:
            await self._gone()
            tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                yield
                tasks.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def begin(self, reply: Reply) -> None:
        """Send a reply's status and headers."""
        if not reply.is_whole and self._transport is not None:
            _bound_unsent(self._transport)
        await self._send({"type": "http.response.start", "status": reply.status, "headers": reply.raw_headers()})
        self._is_begun = True

    async def send(self, chunk: bytes) -> None:
        """Send a part of the body; returns when there is room for more, so that none is made in vain."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        if self._flow is not None:
            await self._flow.drain()

    async def end(self, body: bytes = b"") -> None:
        """Send the end of the body, and cut the connection later where it is not taken."""
        await self._send({"type": "http.response.body", "body": body})
        if self._transport is not None and _left_bytes(self._transport):
            end = _End(ref(self._cycle), self._transport, self._told())
            asyncio.get_running_loop().call_later(self._timeout_s, end.abort_untaken)

    async def send_whole(self, reply: Reply) -> None:
        """Send a reply that is whole.

        :raises QueryTimeout: when the client does not take what was sent before.
        """
        if self._transport is not None and not _left_bytes(self._transport):
            await self._send_whole(reply)
            return
        with read_within(self._timeout_s):
            await self._send_whole(reply)

    async def _send_whole(self, reply: Reply) -> None:
        await self.begin(reply)
        await self.end(b"".join(reply.chunks))

    async def cut(self, error: Exception) -> None:
        """End the connection at once because of `error`, so that nobody takes half an answer for a whole one.

        :raises Exception: `error`, where only the server can end it, or can still answer that it failed.
        """
        if self._transport is None or not (self._is_begun or isinstance(error, QueryTimeout)):
            raise error
        _tell(self._told(), error)
        self._transport.abort()
        with anyio.move_on_after(GONE_S):
            await self._gone()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _told(self) -> str:
        """Return how the log names this connection."""
        host, port = self._scope.get("client") or ("unknown", None)
        address = host if port is None else f"{host}:{port}"
        return f"{address} ({self._scope['method']} {self._scope['path']!r:.200})"


class _End(NamedTuple):
    """The end of an answer that waits to be taken; it keeps nothing else of its request, as there may be many."""

    cycle: "ref[Any]"
    transport: Any
    told: str

    def abort_untaken(self) -> None:
        """Abort the connection where nothing was asked on it since, and the end still waits for its reader."""
        cycle = self.cycle()
        latest = getattr(self.transport.get_protocol(), "cycle", None)
        if cycle is not None and latest is cycle and _left_bytes(self.transport):
            _tell(self.told, QueryTimeout("the client took too long to read the end of the answer"))
            self.transport.abort()


def _tell(told: str, error: Exception) -> None:
    """Write one line, into the server's own log where ours is not read."""
    level = logging.INFO if isinstance(error, QueryTimeout) else logging.ERROR
    log = logger if logger.isEnabledFor(level) else logging.getLogger("uvicorn.error")
    log.log(
        level, "cut the connection of %s: %s", told, error, exc_info=None if isinstance(error, TallyError) else error
    )


@contextmanager
def read_within(timeout_s: float) -> Iterator[anyio.CancelScope]:
    """Give the client so long to read what is sent within, and return the scope that holds the deadline.

    :raises QueryTimeout: when it takes longer.
    """
    try:
        with anyio.fail_after(timeout_s) as limit:
            yield limit
    except TimeoutError:
        raise QueryTimeout("the client took too long to read the answer") from None


def _bound_unsent(transport: Any) -> None:
    """Have the kernel take no more than UNSENT_BYTES beyond what is under way to the client.

    It would take some MB for a client that does not read, and each of these has to be made first.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def _left_bytes(transport: Any) -> int:
    return int(transport.get_write_buffer_size())
