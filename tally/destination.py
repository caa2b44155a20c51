"""One UDP address that datagrams are sent to, looked up aside where the host is given by name.

Sending never waits and never raises: a datagram that the kernel does not take at once is lost, as on any network. An IP
address is taken as it is. A name is looked up by a thread, at first use and every LOOKUP_LIFE_S from then on; while
there is no address yet, that first lookup's datagrams are kept, the latest KEPT_DATAGRAMS of them.
"""

import atexit
import os
import socket
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

LOOKUP_LIFE_S = 60.0
KEPT_DATAGRAMS = 64
# How long the end of a process waits for its first lookup, so that what a short script has sent still leaves.
EXIT_GRACE_S = 1.0


class _Socket(socket.socket):
    """A socket that closes when nobody holds it any more, so never under a sender, and without a warning."""

    def __del__(self) -> None:
        if self.fileno() >= 0:
            self.close()


class _Route(NamedTuple):
    """A socket and the address that it sends to."""

    sock: _Socket
    address: Any


class Destination:
    """The address of `host` and `port`. Safe to share between threads, and by processes that were forked."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._route: _Route | None = None
        self._due = 0.0
        self._kept: deque[bytes] = deque(maxlen=KEPT_DATAGRAMS)
        self._looking: int | None = None

    def send(self, datagrams: Iterable[bytes]) -> None:
        """Hand each datagram to the kernel, or lose it."""
        if monotonic() >= self._due:
            self._refresh()
        route = self._route
        if route is None:
            self._keep(datagrams)
            return
        sock, address = route
        for datagram in datagrams:
            try:
                sock.sendto(datagram, address)
            except OSError:
                continue

    def _refresh(self) -> None:
        # Threads that come meanwhile do the same once more: there is nothing that they would have to wait for.
        if not self._find(socket.AI_NUMERICHOST):
            self._look_up()
        self._due = monotonic() + LOOKUP_LIFE_S

    def _find(self, flags: int = 0) -> bool:
        """Take the address that the system names first, which is also the one that a collector of that name binds."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_DGRAM, flags=flags
            )[0]
            sock = _Socket(family, kind, protocol)
        except (OSError, ValueError):  # A host can also be no text that a name server could be asked for.
            return False
        sock.setblocking(False)
        self._route = _Route(sock, address)
        return True

    def _look_up(self) -> None:
        self._looking = os.getpid()
        thread = threading.Thread(target=self._find_aside, name="tally lookup", daemon=True)
        if self._route is None:
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
            # Forked during the lookup: the thread is the parent's, which also sends what was kept until then.
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
