"""The HTTP server of `tally serve`: uvicorn, within bounds that hold whoever connects.

CONNECTIONS may be open at once. One more takes the place of the one that has been idle longest; where none is idle it
is refused. One that is idle is cut after IDLE_S, or at most twice that: before a request's head has come as a whole,
between two requests, and while the end of an answer waits for its reader. h11 is used, whether or not there is
something faster, as it bounds the size of a head.
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
# How long answers that are under way may take once the server is told to stop.
LAST_ANSWERS_S = 5
# How long a request that is refused is read on, as whoever is still sending would not see the answer else.
LINGER_S = 2.0


class Connection(H11Protocol):
    """One client's connection, which is cut when nothing is asked on it, or an answer that is made is not taken."""

    _seen: RequestResponseCycle | None = None
    _timer: asyncio.TimerHandle | None = None
    _is_refused = False
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it where there are too many in use."""
        if len(self.connections) >= CONNECTIONS and not self._make_room():
            busy = f"{CONNECTIONS} connections are open, as many as may be: try again later"
            transport.write(_refusal(HTTPStatus.SERVICE_UNAVAILABLE, busy, RETRY_AFTER))
            transport.close()
            return
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._timer = self.loop.call_later(IDLE_S, self._look)

    def _make_room(self) -> bool:
        """Cut the connection that has been idle longest, and return whether there was one."""
        idle = [each for each in self.connections if isinstance(each, Connection) and each._is_idle()]
        if not idle:
            return False
        longest = min(idle, key=lambda each: each._idle_since)
        self.connections.discard(longest)
        longest.transport.abort()
        return True

    def on_response_complete(self) -> None:
        """Begin to be idle, and go on as uvicorn does."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection that was taken."""
        if self._timer is not None:
            self._timer.cancel()
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, but throw away what comes after a refusal."""
        if self._timer is not None and not self._is_refused:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or begins with too much; what is wrong in a body is told as uvicorn does it."""
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

    def _look(self) -> None:
        is_idle = self._is_idle()
        if (is_idle and self.cycle is self._seen) or self.transport.is_closing():
            self.transport.abort()
            return
        self._seen = self.cycle if is_idle else None
        self._timer = self.loop.call_later(IDLE_S, self._look)


def _refusal(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> bytes:
    """Return a problem as the last answer on a connection."""
    answer = reply(Problem(status, text, headers=(*headers, ("Connection", "close"))))
    head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + b"".join(answer.chunks)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Leave out the tracebacks of answers that are cut off at the end; uvicorn tells how many there were."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class Server(uvicorn.Server):
    """A server that leaves signals to the collector: uvicorn's own handling would skip the last flush."""

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
        """Take no signals."""
        yield

    async def run_until(self, stop: anyio.Event) -> None:
        """Answer until `stop` is set; set it when the server ends by itself."""

        async def leave() -> None:
            await stop.wait()
            self.should_exit = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            await self.serve(sockets=self._sockets)
            stop.set()
