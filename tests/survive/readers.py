"""Clients that do not read: how small answers fare beside them, and what the server still holds afterwards.

    python -m tests.survive.readers --readers 600 --seconds 60

starts `tally serve` with TALLY_QUERY_TIMEOUT=5 on an archive whose dump is longer than all buffers. It asks for a small
answer again and again, each time on a new connection: first alone, and then beside so many clients that ask for the
dump and read nothing of it. That they are cut these do not see, as they do not read; each stays for a while and comes
again, so that there are always as many. It prints the 99th percentiles, and how many descriptors the server had before,
at most and afterwards.
"""

import argparse
import contextlib
import heapq
import math
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tally.engine import Catalog
from tests.processes import Running, started, wait_for
from tests.survive.scale import chance

QUERY_TIMEOUT_S = 5.0
BUCKETS = 2000
DUMP, SMALL = "/values/dump/", "/aggregate/dump/avg/?q=name.7&since=19000"
# How long a client stays before it comes again; that it was cut meanwhile, it does not see, as it does not read.
STAY_S = (20.0, 40.0)
# How often a small answer is asked for, and at least how many times.
EVERY_S, LEAST = 0.05, 10
# How much slower a small answer may be, and how many more descriptors there may be so long after the clients are gone.
SLOWER_MOST, DESCRIPTORS_MORE, SETTLED_S = 4.0, 10, 15.0


class Asked(NamedTuple):
    """How long small answers took, sorted, in seconds; for ever where they did not come."""

    seconds: list[float]

    @property
    def failed(self) -> int:
        """How many did not come."""
        return self.seconds.count(math.inf)

    @property
    def median(self) -> float:
        """What half of them took longer than."""
        return self.seconds[len(self.seconds) // 2]

    @property
    def p99(self) -> float:
        """What one in a hundred took longer than."""
        return self.seconds[int(len(self.seconds) * 0.99)]


class Found(NamedTuple):
    """What a run found: small answers alone and beside the readers, how many of these came, and open descriptors."""

    alone: Asked
    beside: Asked
    readers: int
    before: int
    most: int
    after: int

    @property
    def is_within(self) -> bool:
        """Whether small answers are quick enough beside the readers, and descriptors are closed."""
        return self.beside.p99 <= SLOWER_MOST * self.alone.p99 and self.are_closed

    @property
    def are_closed(self) -> bool:
        """Whether the descriptors of all that was cut are closed."""
        return self.after <= self.before + DESCRIPTORS_MORE

    def __str__(self) -> str:
        return (
            f"small answers alone: p99 {self.alone.p99 * 1e3:.1f} ms of {len(self.alone.seconds)}\n"
            f"beside {self.readers} clients that did not read: p99 {self.beside.p99 * 1e3:.1f} ms of "
            f"{len(self.beside.seconds)}, {self.beside.failed} failed\n"
            f"descriptors: {self.before} before, {self.most} at most, {self.after} afterwards"
        )


def fill(directory: Path, names: int) -> None:
    """Make the archive, whose dump has 150 kB for each name."""
    archive = Catalog(directory).create("dump", resolution=10, retention=0)
    for begin in range(0, BUCKETS, 100):
        archive.record((f"name.{n}", n + b / 8, 10 * b) for b in range(begin, begin + 100) for n in range(names))


class Readers(threading.Thread):
    """So many clients at a time that ask and do not read; `came` counts them."""

    def __init__(self, port: int, count: int, random: random.Random) -> None:
        super().__init__(daemon=True)
        self.came = 0
        self._port = port
        self._random = random
        self._ended = threading.Event()
        # When each goes and another comes.
        self._turns: list[tuple[float, int]] = [(random.uniform(0, 1), number) for number in range(count)]
        self._sockets: dict[int, socket.socket] = {}

    def run(self) -> None:
        """Have one go and another come whenever its time is over, until the end."""
        heapq.heapify(self._turns)
        began = time.monotonic()
        while not self._ended.wait(max(0.0, self._turns[0][0] - (time.monotonic() - began))):
            due, number = heapq.heappop(self._turns)
            if number in self._sockets:
                self._sockets.pop(number).close()
            with contextlib.suppress(OSError):
                self._sockets[number] = self._asked()
                self.came += 1
            heapq.heappush(self._turns, (due + self._random.uniform(*STAY_S), number))

    def _asked(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(1)
        sock.connect(("127.0.0.1", self._port))
        sock.sendall(f"GET {DUMP} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return sock

    def end(self) -> None:
        """Have all of them go."""
        self._ended.set()
        self.join()
        for sock in self._sockets.values():
            sock.close()


def ask(port: int, seconds: float) -> Asked:
    """Ask for the small answer for so long, or longer on a machine that is too busy to answer LEAST times."""
    asked: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(asked) < LEAST:
        began = time.monotonic()
        asked.append(time.monotonic() - began if is_answered(port) else math.inf)
        time.sleep(EVERY_S)
    return Asked(sorted(asked))


def is_answered(port: int) -> bool:
    """Ask for the small answer, and return whether it came."""
    http = HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(http), contextlib.suppress(OSError):
        http.request("GET", SMALL)
        with http.getresponse() as response:
            return response.status == 200 and len(response.read()) > 100
    return False


def descriptors(running: Running) -> int:
    """Return how many files and sockets a server has open."""
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


def run(directory: Path, *, readers: int, seconds: float, alone_s: float) -> Found:
    """Serve a directory that is filled, and return what was found."""
    with started(directory, "serve", TALLY_QUERY_TIMEOUT=QUERY_TIMEOUT_S) as running:
        port = urlsplit(running.url).port or 0
        alone = ask(port, alone_s)
        before = most = descriptors(running)
        clients = Readers(port, readers, chance("readers"))
        clients.start()
        beside: list[Asked] = []
        asking = threading.Thread(target=lambda: beside.append(ask(port, seconds)))
        asking.start()
        while asking.is_alive():
            most = max(most, descriptors(running))
            asking.join(0.1)
        clients.end()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: descriptors(running) <= before + DESCRIPTORS_MORE, "the end", limit_s=SETTLED_S)
        found = Found(alone, beside[0], clients.came, before, most, descriptors(running))
        assert running.end(signal.SIGTERM) == 0
        assert not [line for line in running.lines if "Traceback" in line]
    return found


def main() -> int:
    """Run as the command line says, print what was found, and return 1 when it is not within the bounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        fill(Path(directory), 400)
        found = run(Path(directory), readers=given.readers, seconds=given.seconds, alone_s=given.seconds / 4)
    print(found)  # noqa: T201
    return 0 if found.is_within else 1


if __name__ == "__main__":
    sys.exit(main())
