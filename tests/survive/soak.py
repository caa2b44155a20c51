"""`python -m tests.survive.soak MINUTES`: a server left alone under load, whose memory and files have to level off.

NAMES names come and go: those of a moment are a WINDOW that slides over all of them six times. Samples are spread over
the archive's whole retention, so that as much expires as comes once each name has a row in each bucket: after some ten
minutes, so that a run of less than half an hour says little of the files.
"""

import random
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import httpx

from tally.engine import Catalog
from tests.processes import LIMIT_S, Running, started

NAMES, WINDOW, ROUNDS = 100_000, 5_000, 6
LINES, DATAGRAMS_A_SECOND = 20, 400
RESOLUTION_S, RETENTION_H = 300, 1
LOOK_EVERY_S = 5.0
# How much more than in the second third there may be in the last one.
MARGIN = 1.1


class Look(NamedTuple):
    """What was seen after some seconds: the process's memory, the archive's files, and the rows in it."""

    after_s: float
    memory_bytes: int
    file_bytes: int
    rows: int


class Load:
    """Sends datagrams at a steady rate to a port."""

    def __init__(self, port: int, duration_s: float) -> None:
        self.sent = 0
        self._chance = random.Random(1)
        self._address = ("127.0.0.1", port)
        self._duration_s = duration_s

    def send(self, sock: socket.socket, after_s: float) -> None:
        """Send what is due by now."""
        while self.sent < after_s * DATAGRAMS_A_SECOND:
            sock.sendto(self._datagram(after_s), self._address)
            self.sent += 1

    def _datagram(self, after_s: float) -> bytes:
        first = int(after_s / self._duration_s * ROUNDS * NAMES)
        oldest = RETENTION_H * 3600 - RESOLUTION_S
        lines = (
            b"soak.%d 1 %d"
            % ((first + self._chance.randrange(WINDOW)) % NAMES, time.time() - self._chance.randrange(oldest))
            for _ in range(LINES)
        )
        return b"\n".join(lines)


def look(running: Running, directory: Path, after_s: float) -> Look:
    """Return what there is now."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    memory = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))
    files = sum(path.stat().st_size for path in directory.glob("soak.db*"))
    return Look(after_s, memory, files, Catalog(directory)["soak"].points())


def soak(directory: Path, duration_s: float) -> list[Look]:
    """Run a server for some time under load, asked now and then; check its books, and return what was seen."""
    Catalog(directory).create("soak", resolution=RESOLUTION_S, retention=RETENTION_H)
    looks: list[Look] = []
    with started(directory, "serve", TALLY_FLUSH_TIME=2, TALLY_RECEIVE_BUFFER=2**25) as running:
        load, began = Load(running.udp_port, duration_s), time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, httpx.Client(timeout=LIMIT_S) as http:
            while (after_s := time.monotonic() - began) < duration_s:
                load.send(sock, after_s)
                if after_s >= len(looks) * LOOK_EVERY_S:
                    for path in ("aggregate/soak/", "names/soak/?q=*9", "metrics", "readyz"):
                        assert 200 == http.get(f"{running.url}/{path}").status_code, path
                    looks.append(look(running, directory, after_s))
                time.sleep(0.01)
            lost = http.get(f"{running.url}/status/").json()
        assert 0 == running.end(signal.SIGTERM)
    assert ({}, {}) == (lost["lines"], lost["datagrams"]), lost
    assert () == Catalog(directory)["soak"].check().damage
    return looks


def levels_off(values: list[float]) -> bool:
    """Return whether the last third's highest is hardly more than the second third's."""
    third = len(values) // 3
    return max(values[2 * third :]) <= MARGIN * max(values[third : 2 * third])


def main(minutes: float) -> int:
    """Soak, tell what was seen, and return the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        looks = soak(Path(directory), minutes * 60)
    for each in looks[:: max(1, len(looks) // 30)]:
        megabytes = f"{each.memory_bytes / 1e6:6.1f} MB of memory {each.file_bytes / 1e6:7.1f} MB of files"
        print(f"{each.after_s:7.0f} s {megabytes} {each.rows:9} rows")  # noqa: T201
    memory, files = ([each[place] for each in looks] for place in (1, 2))
    ok = levels_off(memory) and levels_off(files)
    print("both level off" if ok else "something grows without end")  # noqa: T201
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
