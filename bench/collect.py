"""What collecting costs: `python -m bench.collect [SECONDS]`.

The load goes to `tally serve` in an empty data directory, so into the three default archives, and to a bare loop that
receives datagrams and throws them away: the least that a collector in Python can cost. CPU seconds are those of the
whole process, flushes included and the start left out.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.server import Server, machine, tally
from tally.engine import Catalog

NAMES = 1000
LOADS = [(50_000, 1), (10_000, 15), (150_000, 1), (50_000, 15)]
BARE = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.setsockopt(1, 33, 2**25); s.bind(('127.0.0.1', 0));\
import sys; print(s.getsockname()[1], 'is the port', file=sys.stderr, flush=True)\nwhile True: s.recv(65507)"


class Measured(NamedTuple):
    """What one run showed: datagrams sent and dropped, samples stored, CPU seconds."""

    sent: int
    dropped: int
    stored: int
    cpu_s: float


def load(port: int, rate: int, seconds: int, lines: int) -> int:
    """Send from a process of its own; return how many datagrams were sent."""
    arguments = map(str, (port, rate, seconds, lines, NAMES))
    done = subprocess.run([sys.executable, "-m", "bench.load", *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def collected(rate: int, lines: int, seconds: int) -> Measured:
    """Measure tally under one load, and check that every sample is either stored or counted as dropped."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "archives"
        with tally(directory, "serve") as server:
            port = int(server.said(r"collecting on UDP \S+ port (\d+)"))
            before = server.cpu_s
            sent = load(port, rate, seconds, lines)
            _wait_for_flush(directory)
            cpu_s = server.cpu_s - before
            server.process.send_signal(signal.SIGTERM)
            server.process.wait()
            dropped = int(server.said(r"the kernel dropped (\d+) datagrams"))
        totals = {archive.slug: sum(archive.aggregate("count").values()) for archive in Catalog(directory).archives()}
    stored = (sent - dropped) * lines
    if totals != dict.fromkeys(("daily", "weekly", "yearly"), stored):
        raise SystemExit(f"sent {sent} datagrams, dropped {dropped}, but stored {totals}")
    return Measured(sent, dropped, stored, cpu_s)


def _wait_for_flush(directory: Path) -> None:
    """Wait until what came so far is flushed."""
    [path] = directory.glob("collector-*.json")
    flushes = json.loads(path.read_text())["flushes"]
    while json.loads(path.read_text())["flushes"] == flushes:
        time.sleep(0.05)


def bare(rate: int, lines: int, seconds: int) -> float:
    """Return the CPU seconds of the bare loop under the same load."""
    with tempfile.TemporaryDirectory() as place, (Path(place) / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", BARE], stderr=log)
        server = Server(process, Path(place) / "log")
        try:
            port = int(server.said(r"(\d+) is the port"))
            before = server.cpu_s
            load(port, rate, seconds, lines)
            return server.cpu_s - before
        finally:
            process.kill()
            process.wait()


def main() -> None:
    """Print a table, a row a load."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print(f"{machine()}; {seconds} s a load, {NAMES} names, three archives\n")
    print("| datagrams/s | lines each | drops | stored | k lines per CPU s | CPU: tally / bare receive loop |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rate, lines in LOADS:
        least = bare(rate, lines, seconds)
        seen = collected(rate, lines, seconds)
        speed = seen.stored / seen.cpu_s / 1000
        print(f"| {rate:,} | {lines} | {seen.dropped} | {seen.stored:,} | {speed:.0f} | {seen.cpu_s / least:.2f} |")


if __name__ == "__main__":
    main()
