"""A UDP socket for tests that holds what arrives until it is asked."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT_S = 10.0


class Receiver:
    """A bound socket; what it receives is waited for within LIMIT_S."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.host, self.port = sock.getsockname()[:2]

    def datagram(self) -> bytes:
        """Return the next datagram."""
        return self._sock.recv(65_536)

    def lines(self, count: int) -> list[bytes]:
        """Return the next lines, `count` of them or a few more where a datagram holds more."""
        lines: list[bytes] = []
        while len(lines) < count:
            lines += self.datagram().split(b"\n")
        return lines

    def nothing(self) -> bool:
        """Return whether nothing has arrived; over loopback, what was sent before has."""
        self._sock.setblocking(False)
        try:
            return self._sock.recv(65_536) == b""
        except BlockingIOError:
            return True
        finally:
            self._sock.settimeout(LIMIT_S)


@contextmanager
def receiver(host: str = "127.0.0.1") -> Iterator[Receiver]:
    """Bind a free port of `host`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(LIMIT_S)
        yield Receiver(sock)
