"""Samples whose sums balance: for each `in` of some value there is an `out` of its negative, in the same datagram.

So the sum over all names is 0 in every bucket of an archive that holds whole flushes only.
"""

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tally.engine import Catalog

PAIRS = 20
LINES = 2 * PAIRS
NAMES = 2000
# So that a sender on a busy machine leaves the collector its share.
PAUSE_S = 0.002


def datagram(chance: random.Random) -> bytes:
    """Return LINES lines that balance."""
    lines = []
    for _ in range(PAIRS):
        number, value = chance.randrange(NAMES // 2), chance.randrange(1, 1000)
        lines += [f"in.{number} {value}", f"out.{number} {-value}"]
    return "\n".join(lines).encode()


class Sender:
    """Sends balanced datagrams to a port until told to stop; `lines` counts what was sent."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self.lines = 0
        self._datagrams = [datagram(chance) for _ in range(200)]
        self._address = ("127.0.0.1", port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not self._over.is_set():
                for each in self._datagrams[self.lines // LINES % 190 :][:10]:
                    sock.sendto(each, self._address)
                    self.lines += LINES
                time.sleep(PAUSE_S)

    @contextmanager
    def at_work(self) -> Iterator["Sender"]:
        """Send meanwhile."""
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join()


def check_balance(directory: Path, slug: str) -> int:
    """Fail unless an archive is sound, balances in every bucket and is one file; return how many samples it holds."""
    archive = Catalog(directory)[slug]
    assert () == archive.check().damage
    sums, counts = archive.aggregate("sum"), archive.aggregate("count")
    assert {} == {bucket: total for bucket, total in sums.items() if total}, f"{slug} holds half a flush"
    assert [] == list(directory.glob(f"{slug}.db-*"))
    return sum(counts.values())


def books(directory: Path) -> list[Any]:
    """Return the status files of all collectors, dead ones too."""
    return [json.loads(path.read_text()) for path in sorted(directory.glob("collector-*.json"))]


def stored(directory: Path, slug: str) -> int:
    """Return how many samples the collectors said they had stored in an archive."""
    return sum(int(each["archives"].get(slug, {}).get("stored", 0)) for each in books(directory))
