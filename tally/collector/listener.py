"""The UDP socket: how it is bound, what the kernel granted it, what waits in it, since when, and what was dropped."""

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tally.errors import AddressUnavailable

# Linux: a privileged process may ask for more than net.core.rmem_max. Python does not name the option.
SO_RCVBUFFORCE = 33
PROC_NET = Path("/proc/net")
# The time at which the kernel received a datagram, in seconds and nanoseconds: see socket(7). Python does not name it.
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@ll")
# Capacity for the time and nothing else: in more a sender could put open files.
TIME_BYTES = socket.CMSG_SPACE(TIMESPEC.size)


def bind(host: str, port: int, *, receive_buffer_bytes: int, shared: bool = False) -> socket.socket:
    """Return a non-blocking UDP socket on the first address of `host` and `port` (0: the kernel chooses one).

    With `shared` it may be bound to a port that others share, and the kernel spreads senders over all of them.

    :raises AddressUnavailable: when the address is unknown, in use, or not this machine's.
    """
    sock = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        if family == socket.AF_INET6 and host == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if shared:
            share(sock)
        ask_for_buffer(sock, receive_buffer_bytes)
        note_times(sock)
        sock.bind(address)
        sock.setblocking(False)
    except (OSError, UnicodeError) as error:
        if sock is not None:
            sock.close()
        reason = getattr(error, "strerror", None) or error
        raise AddressUnavailable(
            f"cannot listen on UDP {host} port {port}: {reason}; set TALLY_HOST and TALLY_PORT to an address of this "
            "machine that is free"
        ) from error
    return sock


def share(sock: socket.socket) -> None:
    """Let further sockets be bound to the same port, if they are shared too."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def ask_for_buffer(sock: socket.socket, size_bytes: int, *, only_by_force: bool = False) -> None:
    """Ask the kernel for a receive buffer of so many bytes; `granted_bytes` tells what it gave.

    With `only_by_force` the buffer stays as it is where the process is not privileged.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size_bytes)
    except OSError:
        if not only_by_force:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)


def note_times(sock: socket.socket) -> None:
    """Let the kernel note when it receives a datagram, also for a process that reads it later; on Linux alone.

    It goes on to do so for a UDP socket that does not tell the times any more, which saves 0.1 µs a datagram; for a
    unix socket only as long as that tells them.
    """
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 0)


def has_times(sock: socket.socket) -> bool:
    """Return whether the kernel can tell when it received a datagram."""
    if sys.platform != "linux":
        return False
    return sock.family != socket.AF_UNIX or sock.getsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS) != 0


@contextlib.contextmanager
def telling_times(sock: socket.socket) -> Iterator[int]:
    """Let `recvmsg` give the time beside each datagram, for which it has to be told so many bytes of room."""
    if not has_times(sock):
        yield 0
        return
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        yield TIME_BYTES
    finally:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 0)


def time_received(ancillary: Iterable[tuple[int, int, bytes]]) -> float | None:
    """Return the unix seconds in what `recvmsg` gave beside a datagram, to a microsecond, None where there are none."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return float(seconds + nanoseconds // 1000 / 1e6)  # Rounded up it might be the next second.
    return None


def granted_bytes(sock: socket.socket) -> int:
    """Return the size of the receive buffer that the kernel granted; Linux reports twice of it."""
    size = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return size // 2 if PROC_NET.exists() else size


def kernel_drops(sock: socket.socket) -> int | None:
    """Return how many datagrams the kernel has dropped because the buffer was full, None where it does not say."""
    row = _row(sock)
    return int(row[12]) if row else None


def queued_bytes(sock: socket.socket) -> int | None:
    """Return how many bytes of the buffer hold datagrams that nobody has taken yet, None where it does not say."""
    row = _row(sock)
    return int(row[4].partition(":")[2], 16) if row else None


def _row(sock: socket.socket) -> list[str] | None:
    """Return the columns of the socket's line in /proc/net/udp or /proc/net/udp6: see proc(5)."""
    inode = str(os.fstat(sock.fileno()).st_ino)
    table = PROC_NET / ("udp6" if sock.family == socket.AF_INET6 else "udp")
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return None
    return next((row for row in rows if row[9] == inode), None)


def refuse_more(sock: socket.socket) -> None:
    """Let the kernel queue nothing more for this socket, so that reading what it holds comes to an end.

    A socket that is connected to itself gets nothing from anyone else, and keeps what was queued before. A unix socket
    is shut, which its senders are told; it gives empty datagrams when there is nothing more.
    """
    if sock.family == socket.AF_UNIX:
        sock.shutdown(socket.SHUT_RD)
        return
    host, port, *rest = sock.getsockname()
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    sock.connect((loopback, port, *rest))
