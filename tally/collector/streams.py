"""From connections to the rollup: lines that come by TCP and unix streams, within bounds that hold whoever connects.

CONNECTIONS may be open at once, and one by which nothing comes for IDLE_S is cut. A line ends with LF; one that is not
whole when its connection ends is not taken, as nobody knows what it would have been.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence

import anyio
from anyio.abc import TaskGroup

from tally.collector.line_buffer import PIECE_MAX_BYTES, LineBuffer
from tally.collector.receiver import Network, is_allowed
from tally.lines.plain import Reason

logger = logging.getLogger("tally.collector")

CONNECTIONS = 256
IDLE_S = 300.0
# When the kernel cannot give another connection, such as for want of file descriptors, it is asked again after so long.
PAUSE_S = 1.0


class Streams:
    """Takes those who connect to `listeners`, and hands whole lines to `take` and others to `reject`.

    `taken` and `refused` count connections: those from outside `allow`, where that is not empty, and those beyond
    CONNECTIONS are refused. `open` is how many there are.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        take: Callable[[list[bytes]], None],
        reject: Callable[[bytes, Reason], None],
        *,
        allow: tuple[Network, ...] = (),
    ) -> None:
        self.taken = 0
        self.refused = 0
        self._listeners = listeners
        self._take = take
        self._reject = reject
        self._allow = allow
        self._begun: dict[socket.socket, LineBuffer] = {}

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._begun)

    async def run(self) -> None:
        """Take connections and their lines until cancelled."""
        async with anyio.create_task_group() as tasks:
            for listener in self._listeners:
                tasks.start_soon(self._accept, listener, tasks)

    async def _accept(self, listener: socket.socket, tasks: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(listener)
            try:
                while (connection := self._next(listener)) is not None:
                    tasks.start_soon(self._serve, connection)
            except OSError as error:
                logger.warning("a connection cannot be taken: %s", error.strerror)
                await anyio.sleep(PAUSE_S)

    def _next(self, listener: socket.socket) -> socket.socket | None:
        """Return the next connection that is not refused, None when nobody waits."""
        while True:
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                return None
            is_welcome = not self._allow or connection.family == socket.AF_UNIX or is_allowed(address[0], self._allow)
            if is_welcome and len(self._begun) < CONNECTIONS:
                connection.setblocking(False)
                self.taken += 1
                self._begun[connection] = LineBuffer()
                return connection
            self.refused += 1
            connection.close()

    async def _serve(self, connection: socket.socket) -> None:
        while True:
            with anyio.move_on_after(IDLE_S) as waiting:
                await anyio.wait_readable(connection)
            if waiting.cancelled_caught or not self._read(connection):
                break
        self._end(connection)

    def _read(self, connection: socket.socket) -> bool:
        """Take what has come; return whether more may come."""
        piece = _received(connection)
        if piece:
            self._put(connection, piece)
        return piece != b""

    def _put(self, connection: socket.socket, piece: bytes) -> None:
        begun = self._begun[connection]
        if lines := begun.put(piece):
            self._take([lines])
        for line in begun.too_long:
            self._reject(line, Reason.LENGTH)
        begun.too_long.clear()

    def _end(self, connection: socket.socket) -> None:
        begun = self._begun.pop(connection).begun
        if begun.strip():
            self._reject(begun, Reason.CUT)
        connection.close()

    def finish(self, deadline: float) -> None:
        """Take what the kernel holds already, until `deadline` of the steady clock, and end all connections."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):  # The last flush needs no more connections.
                while time.monotonic() < deadline and self._next(listener) is not None:
                    pass
        for connection in list(self._begun):
            while time.monotonic() < deadline and (piece := _received(connection)):
                self._put(connection, piece)
            self._end(connection)


def _received(connection: socket.socket) -> bytes | None:
    """Return what has come, nothing at the end, and None when nothing is there now."""
    try:
        return connection.recv(PIECE_MAX_BYTES)
    except BlockingIOError:
        return None
    except OSError:  # The other side was gone before it had ended the connection.
        return b""
