"""All that one collector listens on, and the sockets that whoever started this process has handed over.

    LISTEN_PID  LISTEN_FDS  LISTEN_FDNAMES      sockets from file descriptor 3 on: see sd_listen_fds(3)

A socket that was handed over goes on without this process: what comes while nobody reads waits in it for the next one.
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
# A socket of this name is none of the collector's, but where `tally serve` answers.
HTTP = "http"


class Handed(NamedTuple):
    """A socket that was handed over, with the name that it has there."""

    name: str
    sock: socket.socket


class Sockets(NamedTuple):
    """What one collector listens on; with `are_handed` they go on after it, otherwise it removes the `paths`."""

    datagrams: Sequence[socket.socket] = ()
    streams: Sequence[socket.socket] = ()
    paths: Sequence[Path] = ()
    are_handed: bool = False

    def log_addresses(self, *, asked_bytes: int) -> None:
        """Log each address, with the size of its receive buffer, and `asked_bytes` if the kernel granted less."""
        asked = disk.format_size(asked_bytes)
        for sock in self.datagrams:
            granted_size = granted_bytes(sock)
            less = f" of the {asked} requested" if granted_size < asked_bytes else ""
            buffer = f"receive buffer: {disk.format_size(granted_size)}{less}"
            logger.info("collecting on %s (%s)", _where("UDP", sock), buffer)
        for sock in self.streams:
            logger.info("collecting on %s", _where("TCP", sock))

    def close(self) -> None:
        """Close what is open, and remove what was made for it; once it is closed the paths may be another's."""
        if all(sock.fileno() == -1 for sock in (*self.datagrams, *self.streams)):
            return
        for sock in (*self.datagrams, *self.streams):
            sock.close()
        for path in self.paths:
            path.unlink(missing_ok=True)


def _where(protocol: str, sock: socket.socket) -> str:
    address = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix {'stream' if sock.type == socket.SOCK_STREAM else 'datagrams'} {address}"
    return f"{protocol} {address[0]} port {address[1]}"


def handed_over(environment: Mapping[str, str], process: int) -> list[Handed]:
    """Return the sockets that `environment` says were handed over to `process`, which is this one.

    :raises AddressUnavailable: when one is neither for datagrams nor a stream that others can connect to.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(process) or not count.isdecimal():
        return []
    names = dict(enumerate(environment.get("LISTEN_FDNAMES", "").split(":")))
    return [Handed(names.get(number, ""), _socket(FIRST_DESCRIPTOR + number)) for number in range(int(count))]


def _socket(descriptor: int) -> socket.socket:
    reason = "it is no socket for datagrams, and none that others can connect to"
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
    raise AddressUnavailable(f"cannot listen on file descriptor {descriptor}, which LISTEN_FDS hands over: {reason}")
