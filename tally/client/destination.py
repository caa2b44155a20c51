"""Sends datagrams to one UDP address, and resolves host names in a thread.

Sending never blocks and never raises: a datagram that the kernel does not accept at once is lost. An IP address is used
directly. A name is resolved by a thread, at first use and again every LOOKUP_LIFE_S. During the first lookup, the
latest KEPT_DATAGRAMS datagrams are kept and sent afterwards.

When a program closes all descriptors, as daemons do, the descriptor of the socket may be reused for another file or
connection. So each socket is marked, and each call checks the mark before it sends. If the mark is missing, the
descriptor is left alone and a new socket is opened. A forked child always opens its own.
"""

import atexit
import fcntl
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

from tally import forks

LOOKUP_LIFE_S = 60.0
KEPT_DATAGRAMS = 64
# How long the exit of a process waits for its first lookup, so that the datagrams of a short script are still sent.
EXIT_GRACE_S = 1.0
# Sockets are marked with a signal number for asynchronous I/O, which has no effect because asynchronous I/O is not
# enabled: this one for IPv4, and the next one for IPv6. Reading it takes 0.26 µs; `os.fstat` would take 0.75.
IPV4_MARK = 57
# The commands of fcntl. Only Linux has them. On other systems, READ_MARK reads something else.
SET_MARK: int | None = getattr(fcntl, "F_SETSIG", None)
READ_MARK: int = getattr(fcntl, "F_GETSIG", fcntl.F_GETFD)


class _Socket(socket.socket):
    """A socket that closes when it is garbage-collected, so never during a send, and without a warning."""

    mark: "int | tuple[int, int]" = 0

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self.setblocking(False)
        self.mark = _set_mark(self.fileno(), IPV4_MARK + (family == socket.AF_INET6))

    def is_open(self) -> bool:
        """Return whether the descriptor still belongs to this socket, or to an equivalent one."""
        descriptor = self.fileno()
        try:
            mark = _get_inode(descriptor) if isinstance(self.mark, tuple) else fcntl.fcntl(descriptor, READ_MARK)
            return mark == self.mark
        except OSError:  # The descriptor is closed.
            return False

    def __del__(self) -> None:
        if self.fileno() >= 0:
            self.close_own()

    def close_own(self) -> None:
        """Close the socket, unless its descriptor now belongs to another file."""
        if self.is_open():
            self.close()
        else:
            self.detach()


def _set_mark(descriptor: int, mark: int) -> int | tuple[int, int]:
    """Mark a descriptor and return the mark, or its device and inode if the system does not support marks."""
    if SET_MARK is not None:
        with suppress(OSError):
            fcntl.fcntl(descriptor, SET_MARK, mark)
            return mark
    return _get_inode(descriptor)


def _get_inode(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


class _Resolved(NamedTuple):
    """The result of a lookup: the arguments for a socket, and the address to send to."""

    family: int
    kind: int
    protocol: int
    address: Any


# A socket, its send method, the address, its descriptor and its mark. A plain tuple is the fastest to unpack.
_Route = tuple[_Socket, Callable[[bytes, Any], int], Any, int, int | tuple[int, int]]


class Destination:
    """The address of `host` and `port`. May be shared by threads and forked processes."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._is_host_name = True
        self._resolved: _Resolved | None = None
        self._route: _Route | None = None
        self._due = 0.0
        self._kept: deque[bytes] = deque(maxlen=KEPT_DATAGRAMS)
        self._lookup_pid: int | None = None
        forks.register(self)

    def after_fork(self) -> None:
        """Discard the parent's socket, lookup and kept datagrams."""
        route, self._route = self._route, None
        if route is not None:
            route[0].close_own()
        self._kept.clear()
        if self._lookup_pid is not None:
            self._lookup_pid, self._due = None, 0.0

    def send(self, datagrams: Iterable[bytes]) -> None:
        """Send each datagram, or lose it."""
        if self._is_host_name and monotonic() >= self._due:
            self._refresh()
        route = self._route or self._open()
        if route is None:
            self._keep(datagrams)
            return
        sock, sendto, address, descriptor, mark = route
        try:
            is_marked = fcntl.fcntl(descriptor, READ_MARK) == mark
        except OSError:
            is_marked = False
        if not is_marked and not sock.is_open():
            sock.detach()
            self._route = None
            self.send(datagrams)
            return
        for datagram in datagrams:
            try:
                sendto(datagram, address)
            except OSError:
                continue

    def _refresh(self) -> None:
        # Other threads may do the same at the same time, which does no harm.
        self._is_host_name = not self._resolve(socket.AI_NUMERICHOST)
        if self._is_host_name:
            self._look_up()
        self._due = monotonic() + LOOKUP_LIFE_S

    def _resolve(self, flags: int = 0) -> bool:
        """Use the first address of the host, on which a collector there listens. Return whether there is one."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_DGRAM, flags=flags
            )[0]
        except (OSError, ValueError):  # The host may not be a valid name at all.
            return False
        self._resolved = _Resolved(family, kind, protocol, address)
        return self._open() is not None

    def _open(self) -> "_Route | None":
        if self._resolved is None:
            return None
        try:
            sock = _Socket(self._resolved.family, self._resolved.kind, self._resolved.protocol)
        except OSError:
            return None
        self._route = (sock, sock.sendto, self._resolved.address, sock.fileno(), sock.mark)
        return self._route

    def _look_up(self) -> None:
        self._lookup_pid = os.getpid()
        thread = threading.Thread(target=self._look_up_in_thread, name="tally lookup", daemon=True)
        if self._resolved is None:
            atexit.register(thread.join, EXIT_GRACE_S)
        try:
            thread.start()
        except RuntimeError:  # No thread can be started now. The next lookup will try again.
            self._lookup_pid = None
            atexit.unregister(thread.join)

    def _look_up_in_thread(self) -> None:
        is_resolved = self._resolve()
        self._lookup_pid = None
        if is_resolved:
            self._send_kept()
        else:
            self._kept.clear()
        atexit.unregister(threading.current_thread().join)

    def _keep(self, datagrams: Iterable[bytes]) -> None:
        if self._lookup_pid not in (None, os.getpid()):
            # Forked by a C program during the lookup: the thread runs in the parent, which sends what was kept.
            self._kept.clear()
            self._look_up()
        if self._lookup_pid is not None:
            self._kept.extend(datagrams)
        # The lookup may have ended in the meantime.
        if self._route is not None:
            self._send_kept()

    def _send_kept(self) -> None:
        with suppress(IndexError):
            while True:
                self.send([self._kept.popleft()])
