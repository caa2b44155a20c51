"""The HTTP server of `tally serve`: uvicorn with limits on connections.

At most CONNECTIONS are open at once. A further one replaces the connection that has been idle longest, or is refused if
none is idle. An idle connection is closed after IDLE_S to twice that: one without a complete request head, between two
requests, or with a client that does not read the end of a response. h11 is always used, since it limits the head's
size.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from http import HTTPStatus

import anyio
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from tally.api.message import HEAD_MAX_BYTES, RETRY_AFTER
from tally.api.problems import Problem, reply

CONNECTIONS = 512
IDLE_S = 30.0
# The time for running requests when the server stops.
LAST_ANSWERS_S = 5
# How long a refused request is still read, since a client that is sending would not see the response otherwise.
LINGER_S = 2.0


class Connection(H11Protocol):
    """A connection that is closed when it is idle, or when the client does not read its response."""

    _seen: RequestResponseCycle | None = None
    _timer: asyncio.TimerHandle | None = None
    _is_refused = False
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or refuse it if too many are in use."""
        if len(self.connections) >= CONNECTIONS and not self._make_room():
            busy = f"all {CONNECTIONS} connections are in use: try again later"
            transport.write(_refusal(HTTPStatus.SERVICE_UNAVAILABLE, busy, RETRY_AFTER))
            transport.close()
            return
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._timer = self.loop.call_later(IDLE_S, self._check_idle)

    def _make_room(self) -> bool:
        """Close the connection that has been idle longest; return whether there was one."""
        idle = [each for each in self.connections if isinstance(each, Connection) and each._is_idle()]
        if not idle:
            return False
        longest = min(idle, key=lambda each: each._idle_since)
        self.connections.discard(longest)
        longest.transport.abort()
        return True

    def on_response_complete(self) -> None:
        """Start the idle time."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer of an accepted connection."""
        if self._timer is not None:
            self._timer.cancel()
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read data, but discard it after a refusal."""
        if self._timer is not None and not self._is_refused:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Refuse an invalid or too large request head. Errors in a body are left to uvicorn."""
        if not self._is_idle():
            super().send_400_response(msg)
            return
        self._is_refused = True
        if len(self.conn.trailing_data[0]) > HEAD_MAX_BYTES:
            text = f"address and headers are longer than {HEAD_MAX_BYTES} bytes"
            self.transport.write(_refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text))
        else:
            self.transport.write(_refusal(HTTPStatus.BAD_REQUEST, msg))
        self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    def _is_idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _check_idle(self) -> None:
        is_idle = self._is_idle()
        if (is_idle and self.cycle is self._seen) or self.transport.is_closing():
            self.transport.abort()
            return
        self._seen = self.cycle if is_idle else None
        self._timer = self.loop.call_later(IDLE_S, self._check_idle)


def _refusal(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> bytes:
    """Return a problem as the last response on a connection."""
    answer = reply(Problem(status, text, headers=(*headers, ("Connection", "close"))))
    head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + b"".join(answer.chunks)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Suppress tracebacks of requests cancelled at the end; uvicorn logs their number."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class Server(uvicorn.Server):
    """A server without signal handlers: those of uvicorn would skip the last flush of the collector."""

    def __init__(self, app: ASGIApp, *sockets: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=LAST_ANSWERS_S,
        )
        super().__init__(config)
        self._sockets = list(sockets)
        logging.getLogger("uvicorn.error").addFilter(_is_no_cancellation)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield

    async def run_until(self, stop: anyio.Event) -> None:
        """Serve until `stop` is set, or set it if the server ends by itself."""

        async def leave() -> None:
            await stop.wait()
            self.should_exit = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            await self.serve(sockets=self._sockets)
            stop.set()
