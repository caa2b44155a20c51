"""The sockets of one collector, and those inherited from systemd or another supervisor.

    LISTEN_PID  LISTEN_FDS  LISTEN_FDNAMES      sockets from file descriptor 3 on: see sd_listen_fds(3)

An inherited socket outlives this process: datagrams that arrive during a restart wait in it for the next process.
"""

import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tally.collector.listener import granted_bytes
from tally.engine.files import disk
from tally.errors import AddressUnavailable

logger = logging.getLogger("tally.collector")

FIRST_DESCRIPTOR = 3
# The name of the socket on which `tally serve` answers HTTP.
HTTP = "http"
# The name of stream sockets to which Carbon's pickle protocol is sent.
PICKLE = "pickle"


class Inherited(NamedTuple):
    """An inherited socket with its name in LISTEN_FDNAMES."""

    name: str
    sock: socket.socket


class Sockets(NamedTuple):
    """The sockets of one collector. Unless they `are_inherited`, it removes the `paths` at its end.

    `pickles` receive Carbon's pickle protocol.
    """

    datagrams: Sequence[socket.socket] = ()
    streams: Sequence[socket.socket] = ()
    paths: Sequence[Path] = ()
    are_inherited: bool = False
    pickles: Sequence[socket.socket] = ()

    def log_addresses(self, *, asked_bytes: int) -> None:
        """Log each address, with the size of its receive buffer, and `asked_bytes` if the kernel granted less."""
        asked = disk.format_size(asked_bytes)
        for sock in self.datagrams:
            granted_size = granted_bytes(sock)
            less = f" of the {asked} requested" if granted_size < asked_bytes else ""
            buffer = f"receive buffer: {disk.format_size(granted_size)}{less}"
            logger.info("collecting on %s (%s)", _format_address("UDP", sock), buffer)
        for sock in self.streams:
            logger.info("collecting on %s", _format_address("TCP", sock))
        for sock in self.pickles:
            logger.info("collecting pickles on %s", _format_address("TCP", sock))

    def close(self) -> None:
        """Close the sockets and remove their paths, once: after that, the paths may belong to another process."""
        sockets = (*self.datagrams, *self.streams, *self.pickles)
        if all(sock.fileno() == -1 for sock in sockets):
            return
        for sock in sockets:
            sock.close()
        for path in self.paths:
            path.unlink(missing_ok=True)


def _format_address(protocol: str, sock: socket.socket) -> str:
    address = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix {'stream' if sock.type == socket.SOCK_STREAM else 'datagrams'} {address}"
    return f"{protocol} {address[0]} port {address[1]}"


def inherited_sockets(environment: Mapping[str, str], process: int) -> list[Inherited]:
    """Return the sockets that `environment` passes to `process`, which is this one.

    :raises AddressUnavailable: when one is neither a datagram socket nor a listening stream socket.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(process) or not count.isdecimal():
        return []
    names = dict(enumerate(environment.get("LISTEN_FDNAMES", "").split(":")))
    return [Inherited(names.get(number, ""), _socket(FIRST_DESCRIPTOR + number)) for number in range(int(count))]


def _socket(descriptor: int) -> socket.socket:
    reason = "it is neither a datagram socket nor a listening stream socket"
    try:
        sock = socket.socket(fileno=descriptor)
        accepts = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if sock.type == socket.SOCK_DGRAM or (sock.type == socket.SOCK_STREAM and accepts):
            sock.setblocking(False)
            sock.set_inheritable(False)
            return sock
        sock.close()
    except OSError as error:
        reason = str(error.strerror)
    raise AddressUnavailable(f"cannot listen on file descriptor {descriptor}, inherited by LISTEN_FDS: {reason}")
