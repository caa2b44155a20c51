"""Survive: `kill -9` at random moments of an import, while a collector stores samples in the same archive."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tally.engine import Archive, Catalog
from tests.processes import LIMIT_S, environment, started, wait_for
from tests.survive.scale import chance, scaled

ROUNDS = scaled(3, 50)
NAMES, BUCKETS = 100, 400
CELLS = NAMES * BUCKETS
SAMPLES = 2 * CELLS
PAUSE_S = 0.005


class Trickle:
    """Sends a sample every few milliseconds; `sent` counts them."""

    def __init__(self, port: int) -> None:
        self.sent = 0
        self._address = ("127.0.0.1", port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not self._over.wait(PAUSE_S):
                sock.sendto(b"live 1", self._address)
                self.sent += 1

    @contextmanager
    def running(self) -> Iterator["Trickle"]:
        """Send meanwhile."""
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join()


def write_cells(path: Path) -> None:
    """Write the file to import, in the order that is hardest for an archive: by name."""
    with path.open("w", encoding="utf-8") as file:
        file.write("time,name,count,sum,avg,min,max\n")
        for name in range(NAMES):
            file.writelines(f"{1_700_000_000 + at},past.{name},2,3,1.5,1,2\n" for at in range(BUCKETS))


def samples(archive: Archive, q: str) -> int:
    """Return how many samples of some names an archive holds."""
    return int(sum(archive.aggregate("count", q=q).values()))


@contextmanager
def importing(path: Path, directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Give a running import, which says what it has read when it begins to write."""
    command = [sys.executable, "-m", "tally", "import", "--format", "csv", str(path)]
    with subprocess.Popen(command, env=environment(directory), stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: "subprocess.Popen[bytes]") -> None:
    """Wait until an import begins to write."""
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"read ")


def test_an_import_that_is_killed_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """No sample of the collector is lost meanwhile, and the archive stays sound."""
    random = chance("killed-import")
    data, cells = tmp_path / "data", tmp_path / "cells.csv"
    archive = Catalog(data).create("daily", resolution=1, retention=0)
    write_cells(cells)
    with started(data, "collect", TALLY_FLUSH_TIME=0.05) as running:
        trickle = Trickle(running.udp_port)
        with trickle.running():
            wait_for(lambda: samples(archive, "live") > 0, "the first flush")
            begun = time.monotonic()
            with importing(cells, data) as process:
                say(process)
                reading_s = time.monotonic() - begun
                assert 0 == process.wait(LIMIT_S)
            writing_s = time.monotonic() - begun - reading_s
            held = [samples(archive, "past.*")]
            for number in range(ROUNDS):
                with importing(cells, data) as process:
                    if number % 4:
                        say(process)
                    # The moment is the simulation: there is nothing to wait for.
                    time.sleep(random.uniform(0, 1.2 * writing_s if number % 4 else reading_s))
                held.append(samples(archive, "past.*"))
                assert held[-1] - held[-2] in (0, SAMPLES), f"after kill {number + 1}"
        assert 0 == running.end(signal.SIGTERM)
    assert (SAMPLES, trickle.sent, ()) == (held[0], samples(archive, "live"), archive.check().damage)
    assert ["daily.db"] == [path.name for path in data.glob("daily.*")]
    print(f"{ROUNDS} kills: {held[-1] // SAMPLES - 1} whole, others not at all; {trickle.sent} samples kept")  # noqa: T201
