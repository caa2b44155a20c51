"""Binds UDP sockets, and reads their buffer sizes, drop counters and receive times from the kernel."""

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tally.errors import AddressUnavailable

# Linux, not named in Python: lets a privileged process exceed net.core.rmem_max.
SO_RCVBUFFORCE = 33
PROC_NET = Path("/proc/net")
# Linux, not named in Python: the time at which the kernel received a datagram, in seconds and nanoseconds; socket(7).
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@ll")
# Room for the time only: in a larger buffer, a sender could pass open files.
TIME_BYTES = socket.CMSG_SPACE(TIMESPEC.size)


def bind(host: str, port: int, *, receive_buffer_bytes: int, shared: bool = False) -> socket.socket:
    """Return a non-blocking UDP socket on the first address of `host` and `port` (0: the kernel chooses one).

    With `shared`, several sockets may share the port, and the kernel distributes the senders among them.

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
        enable_times(sock)
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
    """Allow other shared sockets on the same port."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def ask_for_buffer(sock: socket.socket, size_bytes: int, *, only_by_force: bool = False) -> None:
    """Ask the kernel for a receive buffer of that size; `granted_bytes` returns what it granted.

    With `only_by_force` the buffer is left alone if the process is not privileged.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size_bytes)
    except OSError:
        if not only_by_force:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)


def enable_times(sock: socket.socket) -> None:
    """Let the kernel record when each datagram is received; only on Linux.

    For a UDP socket, the kernel keeps recording after the option is switched off again, which saves 0.1 µs a datagram.
    A unix socket needs it on.
    """
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 0)


def has_times(sock: socket.socket) -> bool:
    """Return whether the kernel records when it receives a datagram."""
    if sys.platform != "linux":
        return False
    return sock.family != socket.AF_UNIX or sock.getsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS) != 0


@contextlib.contextmanager
def receiving_times(sock: socket.socket) -> Iterator[int]:
    """Let `recvmsg` return the receive time of each datagram; yield the ancillary buffer size that it needs."""
    if not has_times(sock):
        yield 0
        return
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        yield TIME_BYTES
    finally:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 0)


def find_time(ancillary: Iterable[tuple[int, int, bytes]]) -> float | None:
    """Return the receive time in the ancillary data of `recvmsg` in unix seconds, to the microsecond, or None."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return float(seconds + nanoseconds // 1000 / 1e6)  # Rounded up, it might be the next second.
    return None


def granted_bytes(sock: socket.socket) -> int:
    """Return the size of the receive buffer that the kernel granted. Linux reports twice that size."""
    size = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return size // 2 if PROC_NET.exists() else size


def kernel_drops(sock: socket.socket) -> int | None:
    """Return how many datagrams the kernel dropped because the buffer was full, or None if it does not say."""
    row = _row(sock)
    return int(row[12]) if row else None


def queued_bytes(sock: socket.socket) -> int | None:
    """Return how many bytes of the buffer hold unread datagrams, or None if the kernel does not say."""
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


def stop_queueing(sock: socket.socket) -> None:
    """Stop the kernel from queueing more datagrams, so that the socket can be drained.

    A UDP socket is connected to itself: it then receives nothing from others, but keeps its queue. A unix socket is
    shut down for reading: its senders get an error, and it returns empty datagrams once it is drained.
    """
    if sock.family == socket.AF_UNIX:
        sock.shutdown(socket.SHUT_RD)
        return
    host, port, *rest = sock.getsockname()
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    sock.connect((loopback, port, *rest))
