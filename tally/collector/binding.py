"""Binds every socket that the settings ask for, or none.

UDP is bound last, and TCP starts to listen after that, so that nothing is received if another address is unavailable.
"""

import contextlib
import socket
from collections.abc import Sequence
from functools import partial
from itertools import chain

from tally.collector import listener, tcp, unix
from tally.collector.addresses import bind_each
from tally.collector.port_lock import PortLock
from tally.collector.sockets import HTTP, PICKLE, Inherited, Sockets
from tally.errors import AddressUnavailable, InvalidSetting
from tally.settings import Settings


def bind_all(settings: Settings, inherited: Sequence[Inherited] = ()) -> list[Sockets]:
    """Return the sockets of each worker: all share the UDP port, and the first one has all other sockets.

    If sockets were inherited, they are used instead of the settings.

    :raises InvalidSetting: when `TALLY_HOST` is empty, or inherited sockets are combined with several workers.
    :raises AddressUnavailable: when an address cannot be bound; then all sockets are closed.
    """
    mine = [each for each in inherited if each.name != HTTP]
    if mine:
        return [_adopt(mine, settings)]
    if not settings.host:
        raise InvalidSetting("TALLY_HOST='' is not an address to listen on: use an IP address or a host name")
    with contextlib.ExitStack() as unless_bound:
        streams = _bind_tcp(settings.host, settings.tcp_port, "TCP")
        _close_all(streams, unless_bound)
        pickles = _bind_tcp(settings.host, settings.pickle_port, "pickles on TCP")
        _close_all(pickles, unless_bound)
        local = _bind_unix(settings)
        unless_bound.callback(local.close)
        udp, *others = _bind_udp(settings)
        _close_all(chain(udp, *others), unless_bound)
        for sock in (*streams, *pickles):
            tcp.listen_on(sock)
        unless_bound.pop_all()
    first = Sockets([*udp, *local.datagrams], [*streams, *local.streams], local.paths, pickles=pickles)
    return [first, *map(Sockets, others)]


def bind_http(settings: Settings, inherited: Sequence[Inherited] = ()) -> list[socket.socket]:
    """Return the inherited socket named http, or else bind those of the settings, which do not listen yet.

    :raises AddressUnavailable: when the address is unknown, in use, or not this machine's.
    """
    ours = [each.sock for each in inherited if each.name == HTTP]
    return ours or bind_each(settings.http_host, settings.http_port, partial(tcp.bind, purpose="HTTP"))


def _bind_tcp(host: str, port: int | None, purpose: str) -> list[socket.socket]:
    return [] if port is None else bind_each(host, port, partial(tcp.bind, purpose=purpose))


def _bind_unix(settings: Settings) -> Sockets:
    with contextlib.ExitStack() as unless_bound:
        local = Sockets(datagrams := [], streams := [], paths := [])
        unless_bound.callback(local.close)
        if settings.unix_stream is not None:
            streams.append(unix.bind(settings.unix_stream, socket.SOCK_STREAM))
            paths.append(settings.unix_stream)
        if settings.unix_datagram is not None:
            datagrams.append(unix.bind(settings.unix_datagram, socket.SOCK_DGRAM))
            paths.append(settings.unix_datagram)
            listener.ask_for_buffer(datagrams[-1], settings.receive_buffer)
            listener.enable_times(datagrams[-1])
        unless_bound.pop_all()
    return local


def _bind_udp(settings: Settings) -> list[list[socket.socket]]:
    """Return the UDP sockets of each worker, one for each address of the host."""
    bind = partial(listener.bind, receive_buffer_bytes=settings.receive_buffer, shared=True)
    with contextlib.ExitStack() as unless_bound:
        found = [bind_each(settings.host, settings.port, partial(_bind_first, settings))]
        _close_all(found[0], unless_bound)
        for _ in range(1, settings.workers):
            found.append([unless_bound.enter_context(bind(*sock.getsockname()[:2])) for sock in found[0]])
        unless_bound.pop_all()
    return found


def _bind_first(settings: Settings, host: str, port: int) -> socket.socket:
    """Bind a port that no other program uses, except collectors of the same data directory that share it."""
    bind = partial(listener.bind, host, port, receive_buffer_bytes=settings.receive_buffer)
    try:
        sock = bind()
    except AddressUnavailable:
        if settings.workers == 1 or not PortLock(settings.data_dir, port).is_held():
            raise
        return bind(shared=True)
    if settings.workers > 1:
        listener.share(sock)
    return sock


def _close_all(sockets: "chain[socket.socket] | Sequence[socket.socket]", unless_bound: contextlib.ExitStack) -> None:
    for sock in sockets:
        unless_bound.enter_context(sock)


def _adopt(inherited: Sequence[Inherited], settings: Settings) -> Sockets:
    if settings.workers > 1:
        raise InvalidSetting(f"TALLY_WORKERS='{settings.workers}' is not valid with inherited sockets: use 1")
    datagrams = [each.sock for each in inherited if each.sock.type == socket.SOCK_DGRAM]
    streams = [each.sock for each in inherited if each.sock.type == socket.SOCK_STREAM and each.name != PICKLE]
    pickles = [each.sock for each in inherited if each.sock.type == socket.SOCK_STREAM and each.name == PICKLE]
    for sock in datagrams:
        # Without privileges, setting the size could only shrink the buffer that the socket came with.
        listener.ask_for_buffer(sock, settings.receive_buffer, only_by_force=True)
        listener.enable_times(sock)
    return Sockets(datagrams, streams, are_inherited=True, pickles=pickles)
