"""What receiving costs without the rest of a collector: `python -m bench.drain [--rounds 7]`.

The kernel holds datagrams for a socket. A receiver in this process reads all of them, and a rollup adds their lines.
CPU is that of the thread, system calls included, so other work on the machine hardly matters. Flushes are not included.
Pure Python and the native core are measured in a process of their own each.
"""

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.server import machine
from bench.table import head, row
from tally.collector.listener import ask_for_buffer
from tally.collector.receiver import TURN_BATCHES, Receiver
from tally.engine.storing.native_rollup import new_rollup

ROOT = Path(__file__).parent.parent
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


def apart(rounds: int, switch: str) -> dict[str, list[float]]:
    """Return the median speeds of each kind of line, in a process whose TALLY_NATIVE is `switch`."""
    command = [sys.executable, "-m", "bench.drain", "--json", "--rounds", str(rounds)]
    variables = {**os.environ, "TALLY_NATIVE": switch}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables, cwd=ROOT)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Print a table, a row for each kind of line, or the speeds of this process."""
    parser = argparse.ArgumentParser(prog="python -m bench.drain", description="What receiving costs.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.json:
        found = {
            kind: [statistics.median(speeds(form, lines, given.rounds)) for lines in (1, 15)]
            for kind, form in FORMS.items()
        }
        print(json.dumps(found))
        return
    print(f"{machine()}\n\nThousands of lines in a CPU second, medians of {given.rounds} rounds\n")
    pure, core = (apart(given.rounds, switch) for switch in ("0", "1"))
    titles = [f"{way}, {lines} a datagram" for lines in (1, 15) for way in ("pure Python", "native")]
    print(*head("lines", *titles), sep="\n")
    for kind in FORMS:
        print(row(kind, *(f"{each[kind][at]:,.0f}" for at in (0, 1) for each in (pure, core))), flush=True)


if __name__ == "__main__":
    main()
