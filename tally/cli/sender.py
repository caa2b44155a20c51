"""Sends lines to a collector by UDP, packed into datagrams and at a limited rate."""

import os
import socket
import time
from collections.abc import Iterable

from tally.errors import AddressUnavailable
from tally.lines.encoder import pack
from tally.log import pluralize

# How far sending may fall behind on a busy machine and still catch up.
SLACK_S = 0.02


class Sender:
    """Sends at most `rate` lines a second to one address, and counts `lines` and `datagrams`.

    :raises AddressUnavailable: when the address is unknown, or, while sending, when its host reports that nothing
        listens there.
    """

    def __init__(self, host: str, port: int, *, rate: float) -> None:
        self.lines = 0
        self.datagrams = 0
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._rate = rate
        self._due = time.monotonic()
        self._socket = self._connect(host, port)

    def _connect(self, host: str, port: int) -> socket.socket:
        if not host:
            raise AddressUnavailable(
                "TALLY_HOST is empty, so there is no collector: give --host, or use `tally import`"
            )
        if not port:
            raise AddressUnavailable("cannot send to port 0: give --port")
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            made = socket.socket(family, kind, protocol)
            made.connect(address)
        except (OSError, UnicodeError) as error:
            raise self._unavailable(error) from error
        return made

    def send(self, lines: Iterable[bytes]) -> None:
        """Send lines in as few datagrams as possible, each when it is due."""
        for datagram in pack(lines):
            self._wait()
            try:
                self._socket.send(datagram)
            except OSError as error:
                raise self._unavailable(error) from error
            count = datagram.count(b"\n") + 1
            self._due += count / self._rate
            self.lines += count
            self.datagrams += 1

    def _wait(self) -> None:
        now = time.monotonic()
        self._due = max(self._due, now - SLACK_S)
        if self._due > now:
            time.sleep(self._due - now)

    def check(self) -> None:
        """Raise AddressUnavailable if the last datagram was refused."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise self._unavailable(OSError(code, os.strerror(code)))

    def summarize(self) -> str:
        """Return a sentence with what was sent, and where to."""
        return f"sent {pluralize(self.lines, 'line')} in {pluralize(self.datagrams, 'datagram')} to {self.address}"

    def _unavailable(self, error: Exception) -> AddressUnavailable:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, ConnectionRefusedError):
            reason = "nothing listens there"
        after = f" (after {pluralize(self.lines, 'line')})" if self.lines else ""
        return AddressUnavailable(f"cannot send to {self.address}: {reason}{after}")

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
