"""From the socket to the rollup: datagrams are taken many at a time, from those who may send, and counted.

Waking for every datagram costs more than taking it. So after datagrams were found the receiver rests before it looks
again, unless there are more than it could take in its turn, and only where there was none does it wait for the kernel
to wake it. What the socket's buffer holds meanwhile bounds the rest. A unix socket holds a few datagrams only, whatever
its buffer, and its senders wait: it is given none.
"""

import socket
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

import anyio

from tally.collector.listener import granted_bytes
from tally.wire import DATAGRAM_MAX_BYTES

BATCH_DATAGRAMS = 512
# So many batches are taken before other tasks get their turn.
TURN_BATCHES = 8
REST_S = 0.001
# With this much room a longer rest still loses nothing at 150,000 datagrams a second.
LARGE_BUFFER_BYTES = 8 * 2**20
LONG_REST_S = 0.008

Network = IPv4Network | IPv6Network


class Receiver:
    """Takes datagrams from `sock`, hands lists of them to `take`, and ignores those from outside `allow`.

    `datagrams` counts those taken, `refused` those ignored. An empty `allow` allows all.
    """

    def __init__(
        self, sock: socket.socket, take: Callable[[list[bytes]], None], *, allow: tuple[Network, ...] = ()
    ) -> None:
        self.datagrams = 0
        self.refused = 0
        self._sock = sock
        self._take = take
        self._read = self._read_allowed if allow else self._read_all
        self._is_allowed = lru_cache(maxsize=4096)(lambda host: is_allowed(host, allow))
        self._is_unix = sock.family == socket.AF_UNIX
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
            batch, found = self._read()
            self._hand_on(batch, found)
            taken += found
            if found < BATCH_DATAGRAMS:
                break
        return taken

    def finish(self, deadline: float) -> None:
        """Take all that the kernel holds of a socket that was told to refuse more, until `deadline` of the clock."""
        while time.monotonic() < deadline:
            batch, found = self._read()
            while self._is_unix and batch and not batch[-1]:  # At its end it gives empty ones without end.
                batch.pop()
                found -= 1
            if not found:
                return
            self._hand_on(batch, found)

    def _hand_on(self, batch: list[bytes], found: int) -> None:
        self.datagrams += len(batch)
        self.refused += found - len(batch)
        if batch:
            self._take(batch)

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


def is_allowed(host: str, networks: tuple[Network, ...]) -> bool:
    """Return whether an address is in one of the networks; an IPv4 address mapped into IPv6 counts as IPv4."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
