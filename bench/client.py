"""What a call of the client costs: `python -m bench.client [ROUNDS]`.

Beside a bare `socket.sendto` of the same bytes to the same address, the least that sending can cost, in turns of CALLS
calls each; the medians are compared. One row leaves out the look at the socket that keeps a line from anybody else's
connection, so the difference to the row above is what that costs.
"""

import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from statistics import median

import tally
from bench.server import machine
from tally.client.destination import Destination
from tally.lines.encoder import Encoder
from tally.settings import Settings

CALLS = 200
ROUNDS = 200

# What is measured without the look at the socket.
UNCHECKED = 'client.tally("a.b"), unchecked'

Call = Callable[[], object]


class Unchecked(Destination):
    """Sends as `Destination` does, and does not look whether its socket still is its own."""

    def send(self, datagrams: Iterable[bytes]) -> None:
        """Hand each datagram to the kernel, or lose it."""
        if self._is_host_name:
            self._refresh()
        assert self._route is not None
        _, sendto, address, _, _ = self._route
        for datagram in datagrams:
            try:
                sendto(datagram, address)
            except OSError:
                continue


def calls(address: tuple[str, int]) -> dict[str, tuple[Call, bytes]]:
    """Return what is measured, by how it is written, with the datagram that it sends."""
    client, unchecked = tally.Client(*address), tally.Client(*address)
    unchecked._parts = (Encoder("").datagrams, Unchecked(*address).send)
    return {
        'tally.tally("a.b")': (lambda: tally.tally("a.b"), b"a.b 1"),
        'client.tally("a.b")': (lambda: client.tally("a.b"), b"a.b 1"),
        UNCHECKED: (lambda: unchecked.tally("a.b"), b"a.b 1"),
        'tally.tally("a.b", 0.1234)': (lambda: tally.tally("a.b", 0.1234), b"a.b 0.1234"),
        'tally.tally("a.b", 1, 1700000001)': (lambda: tally.tally("a.b", 1, 1700000001), b"a.b 1 1700000001"),
    }


def bare(sock: socket.socket, datagram: bytes, address: tuple[str, int]) -> Call:
    """Return a call that does nothing but send."""
    return lambda: sock.sendto(datagram, address)


def cost_us(call: Call, receiver: socket.socket) -> float:
    """Return what one of CALLS calls takes, in microseconds, and take what they sent out of the way."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    taken_s = time.perf_counter() - start
    with suppress(BlockingIOError):
        while True:
            receiver.recv(65_536)
    return taken_s / CALLS * 1e6


def main() -> None:
    """Print a table, a row a way of calling."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{machine()}; medians of {rounds} turns of {CALLS} calls\n")
    print("| call | µs | bare sendto, µs | ratio |")
    print("| --- | --- | --- | --- |")
    with socket.socket(type=socket.SOCK_DGRAM) as receiver, socket.socket(type=socket.SOCK_DGRAM) as sock:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        sock.setblocking(False)
        address = receiver.getsockname()
        tally.configure(Settings.load({"TALLY_HOST": address[0], "TALLY_PORT": address[1]}))
        for text, (call, datagram) in calls(address).items():
            least = bare(sock, datagram, address)
            turns = [(cost_us(call, receiver), cost_us(least, receiver)) for _ in range(rounds)]
            cost, floor = (median(each) for each in zip(*turns, strict=True))
            print(f"| `{text}` | {cost:.2f} | {floor:.2f} | {cost / floor:.2f} |")


if __name__ == "__main__":
    main()
