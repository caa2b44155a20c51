"""Reads datagrams from a socket in batches, filters and counts them, and passes them to the rollup.

Waking up for every datagram costs more than reading it. So after a batch the receiver sleeps briefly before it reads
again, and waits for the socket to become readable only if it found nothing. The socket's buffer limits how long it may
sleep. A unix socket holds only a few datagrams, and its senders block, so the receiver does not sleep for it.

A datagram belongs to the second in which the kernel received it. Usually that is the second in which it is read. If it
may have waited for LATE_S, because the process was stopped or has just started, the receiver asks the kernel for the
receive time. That takes twice as long, so it is not the rule.
"""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import groupby
from operator import itemgetter

import anyio

from tally import native
from tally.collector.listener import find_time, granted_bytes, has_times, receiving_times
from tally.lines.plain import DATAGRAM_MAX_BYTES

BATCH_DATAGRAMS = 512
# The number of batches read before other tasks may run.
TURN_BATCHES = 8
SLEEP_S = 0.001
# A buffer of this size allows a longer sleep without loss at 150,000 datagrams a second.
LARGE_BUFFER_BYTES = 8 * 2**20
LONG_SLEEP_S = 0.008
LATE_S = 0.25

Network = IPv4Network | IPv6Network
Timed = tuple[bytes, float | None]

_datagram, _second = itemgetter(0), itemgetter(1)


class Receiver:
    """Reads datagrams from `sock` and passes lists of them to `take`, with the second in which they were received.

    Datagrams from outside `allow` are ignored and counted as `refused`; an empty `allow` accepts all. `datagrams`
    counts the others. `clock` returns unix seconds.
    """

    def __init__(
        self,
        sock: socket.socket,
        take: Callable[[Sequence[bytes], int], None],
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
        # The native core does not look at addresses.
        self._reader = None if native.core is None or allow else native.core.Reader()
        self._read = self._read_allowed if allow else self._read_all
        self._is_allowed = lru_cache(maxsize=4096)(lambda host: is_allowed(host, allow))
        self._is_unix = sock.family == socket.AF_UNIX
        self._has_times = has_times(sock)
        # All that the socket holds was received after this time of the clock.
        self._since = float("-inf")
        self._is_last = False
        self._sleep_s = LONG_SLEEP_S if granted_bytes(sock) >= LARGE_BUFFER_BYTES else SLEEP_S
        if self._is_unix:
            self._sleep_s = 0.0

    async def run(self) -> None:
        """Receive until cancelled."""
        while True:
            taken = self.drain(TURN_BATCHES)
            if taken == 0:
                await anyio.wait_readable(self._sock)
            else:  # If there is more, other tasks run, without a sleep.
                await anyio.sleep(0 if taken == TURN_BATCHES * BATCH_DATAGRAMS else self._sleep_s)

    def drain(self, batches: int) -> int:
        """Read up to `batches` batches; return the number of datagrams."""
        taken = 0
        for _ in range(batches):
            found = self._take_batch()
            taken += found
            if found < BATCH_DATAGRAMS:
                break
        return taken

    def finish(self, deadline: float) -> None:
        """Read everything left in a socket after `stop_queueing`, until `deadline` in monotonic time."""
        self._is_last = True
        while time.monotonic() < deadline and self._take_batch():
            pass

    def _take_batch(self) -> int:
        now = self._clock()
        # If the clock was set back, datagrams may have waited too.
        if self._is_last or (self._has_times and not 0 <= now - self._since < LATE_S):
            return self._take_timed(now)
        batch, found = self._read()
        if found < BATCH_DATAGRAMS:
            self._since = now
        self.datagrams += len(batch)
        self.refused += found - len(batch)
        if batch:
            self._take(batch, int(now))
        return found

    def _take_timed(self, began: float) -> int:
        """Read a batch by its receive times in the kernel, none of which counts as later than now."""
        batch, found = self._read_timed()
        now = self._clock()
        times = [now if received is None else min(received, now) for _, received in batch]
        if found < BATCH_DATAGRAMS:
            self._since = began
        elif times:  # The rest was received after the last one.
            self._since = times[-1]
        self.datagrams += len(batch)
        self.refused += found - len(batch)
        for second, run in groupby(zip(map(_datagram, batch), map(int, times), strict=True), _second):
            self._take(list(map(_datagram, run)), second)
        return found

    def _read_all(self) -> tuple[Sequence[bytes], int]:
        """Return a batch, and the number of datagrams read, including refused ones."""
        if self._reader is not None:
            return self._reader, self._reader.read(self._sock.fileno(), BATCH_DATAGRAMS, False)
        batch: list[bytes] = []
        receive, append = self._sock.recv, batch.append
        try:
            for _ in range(BATCH_DATAGRAMS):
                append(receive(DATAGRAM_MAX_BYTES))
        except BlockingIOError:
            pass
        return batch, len(batch)

    def _read_allowed(self) -> tuple[Sequence[bytes], int]:
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
        """Return a batch with receive times, and the number of datagrams read."""
        batch: list[Timed] = []
        found = 0
        with suppress(BlockingIOError), receiving_times(self._sock) as room:
            if self._reader is not None:
                found = self._reader.read(self._sock.fileno(), BATCH_DATAGRAMS, True)
                batch = self._reader.timed()
            while self._reader is None and found < BATCH_DATAGRAMS:
                datagram, ancillary, _, address = self._sock.recvmsg(DATAGRAM_MAX_BYTES, room)
                found += 1
                if not self._allow or self._is_allowed(address[0]):
                    batch.append((datagram, find_time(ancillary)))
        # Once it is shut down and drained, a unix socket returns empty datagrams without end.
        while self._is_last and self._is_unix and batch and not batch[-1][0]:
            batch.pop()
            found -= 1
        return batch, found


def is_allowed(host: str, networks: tuple[Network, ...]) -> bool:
    """Return whether an address is in one of the networks. An IPv4-mapped IPv6 address counts as IPv4."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
