"""What receiving costs without the rest of a collector: `python -m bench.drain [--rounds 7]`.

The kernel holds datagrams for a socket. A receiver in this process reads all of them, and a rollup adds their lines.
CPU is that of the thread, system calls included, so other work on the machine hardly matters. Flushes are not included.
Run it with TALLY_NATIVE=0 for pure Python.
"""

import argparse
import random
import socket
import statistics
import time
from collections.abc import Iterator

from bench.server import machine
from bench.table import head, row
from tally import native
from tally.collector.listener import ask_for_buffer
from tally.collector.receiver import TURN_BATCHES, Receiver
from tally.engine.storing.native_rollup import new_rollup

DATAGRAMS = 15_000
NAMES = 1000
BUFFER_BYTES = 2**25
FORMS = {
    "plain": b"%s %.6f",
    "malformed": b"%s %.6fx",
    "StatsD timer": b"%s:%.6f|ms",
    "StatsD counter with rate and tags": b"%s:%.6f|c|@0.5|#env:prod,host:a",
}


def datagrams(form: bytes, lines: int) -> list[bytes]:
    """Return datagrams of so many lines, with random names and values."""
    chance = random.Random(1)
    names = [b"requests.get.page%d" % number for number in range(NAMES)]
    made = (form % (chance.choice(names), chance.random()) for _ in range(DATAGRAMS * lines))
    return [b"\n".join(next(made) for _ in range(lines)) for _ in range(DATAGRAMS)]


def speeds(form: bytes, lines: int, rounds: int) -> Iterator[float]:
    """Yield the lines of each round in a CPU second, in thousands."""
    sent = datagrams(form, lines)
    with socket.socket(type=socket.SOCK_DGRAM) as sock, socket.socket(type=socket.SOCK_DGRAM) as sender:
        ask_for_buffer(sock, BUFFER_BYTES)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        sender.connect(sock.getsockname())
        # A clock that stands still: no datagram counts as late, which would be read in another way.
        receiver = Receiver(sock, new_rollup(5).add, clock=lambda: 1_700_000_000.0)
        receiver.drain(1)
        for _ in range(rounds):
            for datagram in sent:
                sender.send(datagram)
            taken = receiver.datagrams
            began = time.thread_time()
            while receiver.drain(TURN_BATCHES):
                pass
            yield (receiver.datagrams - taken) * lines / (time.thread_time() - began) / 1000


def main() -> None:
    """Print a table, a row for each kind of line."""
    parser = argparse.ArgumentParser(prog="python -m bench.drain", description="What receiving costs.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"{machine()}, {native.describe()}\n")
    for line in head("k lines in a CPU second, median (best)", "1 a datagram", "15 a datagram"):
        print(line)
    for kind, form in FORMS.items():
        found = [list(speeds(form, lines, rounds)) for lines in (1, 15)]
        print(row(kind, *(f"{statistics.median(each):,.0f} ({max(each):,.0f})" for each in found)), flush=True)


if __name__ == "__main__":
    main()
