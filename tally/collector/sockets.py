"""All that one collector listens on: bound from the settings, or handed over by whoever started this process.

    LISTEN_PID  LISTEN_FDS  LISTEN_FDNAMES      sockets from file descriptor 3 on: see sd_listen_fds(3)

A socket that was handed over goes on without this process: what comes while nobody reads waits in it for the next one.
"""

import contextlib
import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tally.collector import tcp, unix
from tally.collector.listener import ask_for_buffer, bind, granted_bytes
from tally.errors import AddressUnavailable, InvalidSetting
from tally.settings import Settings

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

    def tell(self, *, asked_bytes: int) -> None:
        """Log what is listened on, and which receive buffers the kernel granted of `asked_bytes`."""
        for sock in self.datagrams:
            granted = "with a receive buffer of %s bytes of the %s asked for"
            logger.info(f"collecting on %s, {granted}", _where("UDP", sock), granted_bytes(sock), asked_bytes)
        for sock in self.streams:
            logger.info("collecting on %s", _where("TCP", sock))

    def close(self) -> None:
        """Close what is open, and remove what was made for it."""
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


def bind_all(settings: Settings, handed: Sequence[Handed] = ()) -> list[Sockets]:
    """Return what each worker listens on: all the same UDP port, and the first one the rest.

    Where sockets were handed over, those alone are listened on, whatever the settings say.

    :raises InvalidSetting: when `TALLY_HOST` is empty, or there are several workers for sockets that were handed over.
    :raises AddressUnavailable: when an address cannot be listened on.
    """
    mine = [each for each in handed if each.name != HTTP]
    if mine:
        return [_sort(mine, settings)]
    if not settings.host:
        raise InvalidSetting("TALLY_HOST='' is not an address to listen on: use an IP address or a host name")
    first = _bind(settings, settings.port)
    port = first.getsockname()[1]
    others = (Sockets([_bind(settings, port)]) for _ in range(1, settings.workers))
    return [_with_more(first, settings), *others]


def _bind(settings: Settings, port: int) -> socket.socket:
    size = settings.receive_buffer
    return bind(settings.host, port, receive_buffer_bytes=size, shared=settings.workers > 1)


def _with_more(first: socket.socket, settings: Settings) -> Sockets:
    """Return the first socket with those of TCP and unix that the settings want; close all when one cannot be had."""
    datagrams, streams, paths = [first], list[socket.socket](), list[Path]()
    with contextlib.ExitStack() as unless_bound:
        sockets = Sockets(datagrams, streams, paths)
        unless_bound.callback(sockets.close)
        if settings.tcp_port is not None:
            streams.append(tcp.listen(settings.host, settings.tcp_port))
        if settings.unix_stream is not None:
            streams.append(unix.bind(settings.unix_stream, socket.SOCK_STREAM))
            paths.append(settings.unix_stream)
        if settings.unix_datagram is not None:
            datagrams.append(unix.bind(settings.unix_datagram, socket.SOCK_DGRAM))
            ask_for_buffer(datagrams[-1], settings.receive_buffer)
            paths.append(settings.unix_datagram)
        unless_bound.pop_all()
    return sockets


def _sort(handed: Sequence[Handed], settings: Settings) -> Sockets:
    if settings.workers > 1:
        raise InvalidSetting(
            f"TALLY_WORKERS='{settings.workers}' is not a number of processes for sockets that were handed over: use 1"
        )
    datagrams = [each.sock for each in handed if each.sock.type == socket.SOCK_DGRAM]
    streams = [each.sock for each in handed if each.sock.type == socket.SOCK_STREAM]
    for sock in datagrams:
        # Without privileges a larger buffer than is allowed, which somebody with more has given, would be made smaller.
        ask_for_buffer(sock, settings.receive_buffer, only_by_force=True)
    return Sockets(datagrams, streams, are_handed=True)
