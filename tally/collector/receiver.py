"""From the socket to the rollup: datagrams are taken many at a time, from those who may send, and counted.

Waking for every datagram costs more than taking it. So after datagrams were found the receiver rests before it looks
again, unless there are more than it could take in its turn, and only where there was none does it wait for the kernel
to wake it. What the socket's buffer holds meanwhile bounds the rest. A unix socket holds a few datagrams only, whatever
its buffer, and its senders wait: it is given none.

A datagram belongs to the second in which it was received. Ordinarily that is the one in which it is read. Where it may
have waited for LATE_S, since the process was stopped or began just now, the kernel is asked for the time at which it
came; that takes twice as long, so it is asked no oftener.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import groupby
from operator import itemgetter

import anyio

from tally.collector.listener import granted_bytes, has_times, telling_times, time_received
from tally.lines.plain import DATAGRAM_MAX_BYTES

BATCH_DATAGRAMS = 512
# So many batches are taken before other tasks get their turn.
TURN_BATCHES = 8
REST_S = 0.001
# With this much room a longer rest still loses nothing at 150,000 datagrams a second.
LARGE_BUFFER_BYTES = 8 * 2**20
LONG_REST_S = 0.008
LATE_S = 0.25

Network = IPv4Network | IPv6Network
Timed = tuple[bytes, float | None]

_datagram, _second = itemgetter(0), itemgetter(1)


class Receiver:
    """Takes datagrams from `sock`, hands lists of them to `take`, and ignores those from outside `allow`.

    With each list `take` gets the second in which the datagrams were received. `clock` is the kernel's, in unix
    seconds. `datagrams` counts those taken, `refused` those ignored. An empty `allow` allows all.
    """

    def __init__(
        self,
        sock: socket.socket,
        take: Callable[[list[bytes], int], None],
        *,
        allow: tuple[Network, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.datagrams = 0
        self.refused = 0
        self._sock = sock
        self._take = take
        self._allow = allow
        self._clock = clock
        self._read = self._read_allowed if allow else self._read_all
        self._is_allowed = lru_cache(maxsize=4096)(lambda host: is_allowed(host, allow))
        self._is_unix = sock.family == socket.AF_UNIX
        self._has_times = has_times(sock)
        # What the socket holds was received since then, by the clock.
        self._since = float("-inf")
        self._is_last = False
        self._rest_s = LONG_REST_S if granted_bytes(sock) >= LARGE_BUFFER_BYTES else REST_S
        if self._is_unix:
            self._rest_s = 0.0

    async def run(self) -> None:
        """Receive until cancelled."""
        while True:
            taken = self.drain(TURN_BATCHES)
            if taken == 0:
                await anyio.wait_readable(self._sock)
            else:  # Where there is more there is no rest, but a turn for others.
                await anyio.sleep(0 if taken == TURN_BATCHES * BATCH_DATAGRAMS else self._rest_s)

    def drain(self, batches: int) -> int:
        """Take what the kernel holds, up to a number of batches; return how many datagrams there were."""
        taken = 0
        for _ in range(batches):
            found = self._take_batch()
            taken += found
            if found < BATCH_DATAGRAMS:
                break
        return taken

    def finish(self, deadline: float) -> None:
        """Take all that the kernel holds of a socket that was told to refuse more, until `deadline` of the clock."""
        self._is_last = True
        while time.monotonic() < deadline and self._take_batch():
            pass

    def _take_batch(self) -> int:
        now = self._clock()
        # A clock that was set back is no reason to believe that nothing has waited.
        if self._is_last or (self._has_times and not 0 <= now - self._since < LATE_S):
            return self._take_late(now)
        batch, found = self._read()
        if found < BATCH_DATAGRAMS:
            self._since = now
        self.datagrams += len(batch)
        self.refused += found - len(batch)
        if batch:
            self._take(batch, int(now))
        return found

    def _take_late(self, began: float) -> int:
        """Take a batch by the times at which the kernel received it; none is later than the clock shows now."""
        batch, found = self._read_timed()
        now = self._clock()
        times = [now if received is None else min(received, now) for _, received in batch]
        if found < BATCH_DATAGRAMS:
            self._since = began
        elif times:  # What is still there came after the last one.
            self._since = times[-1]
        self.datagrams += len(batch)
        self.refused += found - len(batch)
        for second, run in groupby(zip(map(_datagram, batch), map(int, times), strict=True), _second):
            self._take(list(map(_datagram, run)), second)
        return found

    def _read_all(self) -> tuple[list[bytes], int]:
        """Return a batch, and how many datagrams were read for it."""
        batch: list[bytes] = []
        receive, append = self._sock.recv, batch.append
        try:
            for _ in range(BATCH_DATAGRAMS):
                append(receive(DATAGRAM_MAX_BYTES))
        except BlockingIOError:
            pass
        return batch, len(batch)

    def _read_allowed(self) -> tuple[list[bytes], int]:
        batch: list[bytes] = []
        found = 0
        try:
            while found < BATCH_DATAGRAMS:
                datagram, address = self._sock.recvfrom(DATAGRAM_MAX_BYTES)
                found += 1
                if self._is_allowed(address[0]):
                    batch.append(datagram)
        except BlockingIOError:
            pass
        return batch, found

    def _read_timed(self) -> tuple[list[Timed], int]:
        """Return a batch with the time at which each datagram was received, and how many were read for it."""
        batch: list[Timed] = []
        found = 0
        with suppress(BlockingIOError), telling_times(self._sock) as room:
            while found < BATCH_DATAGRAMS:
                datagram, ancillary, _, address = self._sock.recvmsg(DATAGRAM_MAX_BYTES, room)
                found += 1
                if not self._allow or self._is_allowed(address[0]):
                    batch.append((datagram, time_received(ancillary)))
        # At its end a unix socket gives empty ones without end.
        while self._is_last and self._is_unix and batch and not batch[-1][0]:
            batch.pop()
            found -= 1
        return batch, found


def is_allowed(host: str, networks: tuple[Network, ...]) -> bool:
    """Return whether an address is in one of the networks; an IPv4 address mapped into IPv6 counts as IPv4."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
