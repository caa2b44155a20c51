"""What all collectors of one service listen on, bound as the settings say: everything, or nothing.

UDP is bound last, and TCP listens only then, so that nothing is taken where something else cannot be bound.
"""

import contextlib
import socket
from collections.abc import Sequence
from functools import partial
from itertools import chain

from tally.collector import listener, tcp, unix
from tally.collector.addresses import on_each
from tally.collector.port_lock import Share
from tally.collector.sockets import HTTP, Handed, Sockets
from tally.errors import AddressUnavailable, InvalidSetting
from tally.settings import Settings


def bind_all(settings: Settings, handed: Sequence[Handed] = ()) -> list[Sockets]:
    """Return what each worker listens on: all the same UDP port, and the first one the rest.

    Where sockets were handed over, those alone are listened on, whatever the settings say.

    :raises InvalidSetting: when `TALLY_HOST` is empty, or there are several workers for sockets that were handed over.
    :raises AddressUnavailable: when an address cannot be listened on; then all that was bound is closed.
    """
    mine = [each for each in handed if each.name != HTTP]
    if mine:
        return [_sort(mine, settings)]
    if not settings.host:
        raise InvalidSetting("TALLY_HOST='' is not an address to listen on: use an IP address or a host name")
    with contextlib.ExitStack() as unless_bound:
        streams = on_each(settings.host, settings.tcp_port, tcp.bind) if settings.tcp_port is not None else []
        _close_all(streams, unless_bound)
        local = _bind_unix(settings)
        unless_bound.callback(local.close)
        udp, *others = _bind_udp(settings)
        _close_all(chain(udp, *others), unless_bound)
        for sock in streams:
            tcp.begin(sock)
        unless_bound.pop_all()
    return [Sockets([*udp, *local.datagrams], [*streams, *local.streams], local.paths), *map(Sockets, others)]


def bind_http(settings: Settings, handed: Sequence[Handed] = ()) -> list[socket.socket]:
    """Return the socket named http that was handed over, or else those that the settings want, which take nothing yet.

    :raises AddressUnavailable: when the address is unknown, in use, or not this machine's.
    """
    ours = [each.sock for each in handed if each.name == HTTP]
    return ours or on_each(settings.http_host, settings.http_port, partial(tcp.bind, purpose="HTTP"))


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
            listener.note_times(datagrams[-1])
        unless_bound.pop_all()
    return local


def _bind_udp(settings: Settings) -> list[list[socket.socket]]:
    """Return the UDP sockets of each worker, one an address of the host."""
    bind = partial(listener.bind, receive_buffer_bytes=settings.receive_buffer, shared=True)
    with contextlib.ExitStack() as unless_bound:
        found = [on_each(settings.host, settings.port, partial(_bind_first, settings))]
        _close_all(found[0], unless_bound)
        for _ in range(1, settings.workers):
            found.append([unless_bound.enter_context(bind(*sock.getsockname()[:2])) for sock in found[0]])
        unless_bound.pop_all()
    return found


def _bind_first(settings: Settings, host: str, port: int) -> socket.socket:
    """Bind to a port that nobody else has, except collectors of the same data directory; several workers share it."""
    bind = partial(listener.bind, host, port, receive_buffer_bytes=settings.receive_buffer)
    try:
        sock = bind()
    except AddressUnavailable:
        if settings.workers == 1 or not Share(settings.data_dir, port).is_held():
            raise
        return bind(shared=True)
    if settings.workers > 1:
        listener.share(sock)
    return sock


def _close_all(sockets: "chain[socket.socket] | Sequence[socket.socket]", unless_bound: contextlib.ExitStack) -> None:
    for sock in sockets:
        unless_bound.enter_context(sock)


def _sort(handed: Sequence[Handed], settings: Settings) -> Sockets:
    if settings.workers > 1:
        raise InvalidSetting(
            f"TALLY_WORKERS='{settings.workers}' is not a number of processes for sockets that were handed over: use 1"
        )
    datagrams = [each.sock for each in handed if each.sock.type == socket.SOCK_DGRAM]
    streams = [each.sock for each in handed if each.sock.type == socket.SOCK_STREAM]
    for sock in datagrams:
        # Without privileges a larger buffer than is allowed, which somebody with more has given, would be made smaller.
        listener.ask_for_buffer(sock, settings.receive_buffer, only_by_force=True)
        listener.note_times(sock)
    return Sockets(datagrams, streams, are_handed=True)
