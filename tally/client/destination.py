"""One UDP address that datagrams are sent to, looked up aside where the host is given by name.

Sending never waits and never raises: a datagram that the kernel does not take at once is lost, as on any network. An IP
address is taken as it is. A name is looked up by a thread, at first use and every LOOKUP_LIFE_S from then on; while
there is no address yet, that first lookup's datagrams are kept, the latest KEPT_DATAGRAMS of them.

A socket is known by a number. When a program closes all descriptors, as daemons do, the number goes to the next file or
connection that is opened. So each socket is marked, and each call looks for the mark before it sends anything. Where it
is missing, the number is left alone and a new socket is made. A child of a fork always makes its own.
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
# How long the end of a process waits for its first lookup, so that what a short script has sent still leaves.
EXIT_GRACE_S = 1.0
# The mark of an IPv4 socket, and the next one of an IPv6 socket: the signal that the kernel would send when it is
# readable, if it had been asked to send any. It costs 0.26 µs to read it, `os.fstat` 0.75.
MARK = 57
# Only Linux has such marks; what is read elsewhere is none.
SET_MARK: int | None = getattr(fcntl, "F_SETSIG", None)
READ_MARK: int = getattr(fcntl, "F_GETSIG", fcntl.F_GETFD)


class _Socket(socket.socket):
    """A socket that closes when nobody holds it any more, so never under a sender, and without a warning."""

    mark: "int | tuple[int, int]" = 0

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self.setblocking(False)
        self.mark = _marked(self.fileno(), MARK + (family == socket.AF_INET6))

    def is_open(self) -> bool:
        """Return whether the number is still this socket's, or one that is as good."""
        number = self.fileno()
        try:
            found = _inode(number) if isinstance(self.mark, tuple) else fcntl.fcntl(number, READ_MARK)
            return found == self.mark
        except OSError:  # Nothing is open under the number.
            return False

    def __del__(self) -> None:
        if self.fileno() >= 0:
            self.shut()

    def shut(self) -> None:
        """Close, or leave the number alone if it is another's by now."""
        if self.is_open():
            self.close()
        else:
            self.detach()


def _marked(number: int, mark: int) -> int | tuple[int, int]:
    """Mark a descriptor and return its mark; where the system has no such marks, its device and inode."""
    if SET_MARK is not None:
        with suppress(OSError):
            fcntl.fcntl(number, SET_MARK, mark)
            return mark
    return _inode(number)


def _inode(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino


class _Found(NamedTuple):
    """What a lookup has found: the kind of socket, and the address to send to."""

    family: int
    kind: int
    protocol: int
    address: Any


# A socket and the address that it sends to, with its number and mark: a plain tuple is the quickest to take apart.
_Route = tuple[_Socket, Callable[[bytes, Any], int], Any, int, int | tuple[int, int]]


class Destination:
    """The address of `host` and `port`. Safe to share between threads, and by processes that were forked."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._is_named = True
        self._found: _Found | None = None
        self._route: _Route | None = None
        self._due = 0.0
        self._kept: deque[bytes] = deque(maxlen=KEPT_DATAGRAMS)
        self._looking: int | None = None
        forks.join(self)

    def after_fork(self) -> None:
        """Let go of what is the parent's: its socket, its lookup, and what it keeps until that has ended."""
        route, self._route = self._route, None
        if route is not None:
            route[0].shut()
        self._kept.clear()
        if self._looking is not None:
            self._looking, self._due = None, 0.0

    def send(self, datagrams: Iterable[bytes]) -> None:
        """Hand each datagram to the kernel, or lose it."""
        if self._is_named and monotonic() >= self._due:
            self._refresh()
        route = self._route or self._open()
        if route is None:
            self._keep(datagrams)
            return
        sock, sendto, address, number, mark = route
        try:
            is_marked = fcntl.fcntl(number, READ_MARK) == mark
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
        # Threads that come meanwhile do the same once more: there is nothing that they would have to wait for.
        self._is_named = not self._find(socket.AI_NUMERICHOST)
        if self._is_named:
            self._look_up()
        self._due = monotonic() + LOOKUP_LIFE_S

    def _find(self, flags: int = 0) -> bool:
        """Take the address that the system names first, which is also the one that a collector of that name binds."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_DGRAM, flags=flags
            )[0]
        except (OSError, ValueError):  # A host can also be no text that a name server could be asked for.
            return False
        self._found = _Found(family, kind, protocol, address)
        return self._open() is not None

    def _open(self) -> "_Route | None":
        if self._found is None:
            return None
        try:
            sock = _Socket(self._found.family, self._found.kind, self._found.protocol)
        except OSError:
            return None
        self._route = (sock, sock.sendto, self._found.address, sock.fileno(), sock.mark)
        return self._route

    def _look_up(self) -> None:
        self._looking = os.getpid()
        thread = threading.Thread(target=self._find_aside, name="tally lookup", daemon=True)
        if self._found is None:
            atexit.register(thread.join, EXIT_GRACE_S)
        try:
            thread.start()
        except RuntimeError:  # No thread can be had now; the next lookup is due in a while.
            self._looking = None
            atexit.unregister(thread.join)

    def _find_aside(self) -> None:
        found = self._find()
        self._looking = None
        if found:
            self._release()
        else:
            self._kept.clear()
        atexit.unregister(threading.current_thread().join)

    def _keep(self, datagrams: Iterable[bytes]) -> None:
        if self._looking not in (None, os.getpid()):
            # Forked by a program in C during the lookup: the thread is the parent's, which also sends what was kept.
            self._kept.clear()
            self._look_up()
        if self._looking is not None:
            self._kept.extend(datagrams)
        # The lookup may have ended meanwhile, and nothing may stay behind.
        if self._route is not None:
            self._release()

    def _release(self) -> None:
        with suppress(IndexError):
            while True:
                self.send([self._kept.popleft()])
