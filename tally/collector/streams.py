"""Reads lines and pickles from TCP and unix stream connections and passes lines to the rollup.

At most CONNECTIONS are open at once, and an idle one is closed after IDLE_S. Each line ends with LF. A line or frame
that is incomplete when its connection ends is rejected.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence
from itertools import chain

import anyio
from anyio.abc import TaskGroup

from tally.collector.frame_buffer import FrameBuffer
from tally.collector.line_buffer import PIECE_MAX_BYTES, LineBuffer
from tally.collector.receiver import Network, is_allowed
from tally.lines.plain import Reason

logger = logging.getLogger("tally.collector")

CONNECTIONS = 256
IDLE_S = 300.0
# The time before the next try when a connection cannot be accepted, such as for lack of file descriptors.
PAUSE_S = 1.0


class Streams:
    """Accepts connections to `listeners`, and passes complete lines to `take` and others to `reject`.

    Connections to `pickles` send Carbon's pickle protocol.

    `taken` and `refused` count connections. Those from outside `allow`, unless it is empty, and those beyond
    CONNECTIONS are refused.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        take: Callable[[list[bytes]], None],
        reject: Callable[[bytes, Reason], None],
        *,
        pickles: Sequence[socket.socket] = (),
        allow: tuple[Network, ...] = (),
    ) -> None:
        self.taken = 0
        self.refused = 0
        self._listeners = listeners
        self._pickles = pickles
        self._take = take
        self._reject = reject
        self._allow = allow
        self._begun: dict[socket.socket, LineBuffer | FrameBuffer] = {}

    @property
    def open(self) -> int:
        """The number of open connections."""
        return len(self._begun)

    async def run(self) -> None:
        """Accept connections and read their lines until cancelled."""
        async with anyio.create_task_group() as tasks:
            for listener in chain(self._listeners, self._pickles):
                tasks.start_soon(self._accept, listener, tasks)

    async def _accept(self, listener: socket.socket, tasks: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(listener)
            try:
                while (connection := self._next(listener)) is not None:
                    tasks.start_soon(self._serve, connection)
            except OSError as error:
                logger.warning("cannot accept a connection: %s", error.strerror)
                await anyio.sleep(PAUSE_S)

    def _next(self, listener: socket.socket) -> socket.socket | None:
        """Return the next connection that is not refused, or None if none is waiting."""
        while True:
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                return None
            is_permitted = not self._allow or connection.family == socket.AF_UNIX or is_allowed(address[0], self._allow)
            if is_permitted and len(self._begun) < CONNECTIONS:
                connection.setblocking(False)
                self.taken += 1
                self._begun[connection] = FrameBuffer() if listener in self._pickles else LineBuffer()
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
        """Read what has arrived; return whether the connection is still open."""
        piece = _receive(connection)
        if piece:
            self._put(connection, piece)
        return piece != b"" and not self._begun[connection].is_broken

    def _put(self, connection: socket.socket, piece: bytes) -> None:
        begun = self._begun[connection]
        if lines := begun.put(piece):
            self._take([lines])
        for line, reason in begun.rejected:
            self._reject(line, reason)
        begun.rejected.clear()

    def _end(self, connection: socket.socket) -> None:
        begun = self._begun.pop(connection).begun
        if begun.strip():
            self._reject(bytes(begun), Reason.CUT)
        connection.close()

    def finish(self, deadline: float) -> None:
        """Read what has already arrived, until `deadline` in monotonic time, and close all connections."""
        for listener in chain(self._listeners, self._pickles):
            with contextlib.suppress(OSError):  # No further connection is needed now.
                while time.monotonic() < deadline and self._next(listener) is not None:
                    pass
        for connection in list(self._begun):
            while (
                time.monotonic() < deadline
                and not self._begun[connection].is_broken
                and (piece := _receive(connection))
            ):
                self._put(connection, piece)
            self._end(connection)


def _receive(connection: socket.socket) -> bytes | None:
    """Return what has arrived, b"" at the end of the connection, and None if there is nothing yet."""
    try:
        return connection.recv(PIECE_MAX_BYTES)
    except BlockingIOError:
        return None
    except OSError:  # The peer reset the connection.
        return b""
