"""A real uvicorn that serves the app from its environment, and plain sockets to speak to it."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.processes import LIMIT_S, Running, environment


class Server(Running):
    """A started server."""

    @property
    def port(self) -> int:
        """The port on which it answers, once it does."""
        return int(self.said(r"Uvicorn running on http://127.0.0.1:(\d+)")[1])

    @property
    def url(self) -> str:
        """Where it answers, once it does."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self, *, receive_buffer_bytes: int | None = None) -> socket.socket:
        """Return a connection to it."""
        return connected(self.port, receive_buffer_bytes=receive_buffer_bytes)

    def get(self, target: str, **connection: int) -> socket.socket:
        """Return a connection on which `target` is asked for, and which the server closes after its answer."""
        sock = self.connect(**connection)
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return sock

    def holds(self, path: Path) -> bool:
        """Whether the server has a file open, as it has during a query."""
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return str(path) in map(_target, links)


def _target(link: Path) -> str:
    """Return where a link leads, or nothing: what it stands for may have been closed meanwhile."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def connected(port: int, *, receive_buffer_bytes: int | None = None) -> socket.socket:
    """Return a connection to a port of this machine."""
    sock = socket.socket()
    if receive_buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    sock.settimeout(LIMIT_S)
    sock.connect(("127.0.0.1", port))
    return sock


def begun(ask: Callable[[], socket.socket]) -> tuple[socket.socket, bytes]:
    """Return a connection whose answer has begun, and its beginning.

    On a busy machine a query may take too long before its first byte, which is told by 503. Then it is asked again.
    """
    deadline = time.monotonic() + LIMIT_S
    while True:
        sock = ask()
        received = sock.recv(4096)
        if not received.startswith(b"HTTP/1.1 503"):
            return sock, received
        sock.close()
        assert time.monotonic() < deadline, received


def read_to_end(sock: socket.socket) -> bytes:
    """Return what comes until the server closes the connection, however it does."""
    received = bytearray()
    with sock, contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(2**20):
            received += piece
    return bytes(received)


@contextlib.contextmanager
def serving(directory: Path, *options: str, app: str = "tally.api:app", **settings: object) -> Iterator[Server]:
    """Start `uvicorn tally.api:app` on a free port, and see to it that it ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", app, "--port", "0", "--loop", "asyncio", "--http", "h11", *options],
        env=environment(directory, **settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    server = Server(process)
    try:
        yield server
    finally:
        server.end(signal.SIGTERM)
        assert process.stderr is not None
        process.stderr.close()
