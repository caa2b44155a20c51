"""Survive: names without end, as fast as two senders can, in a process that may not have much memory.

With SURVIVE=full five minutes of it; `pytest -s` shows what was sent and what the process needed at most.
"""

import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.processes import Running, started
from tests.survive.scale import FULL, scaled

LINES = 15
SECONDS = scaled(2, 300)
MEMORY_BYTES = 512 * 2**20
# Otherwise the C library reserves 64 MB of address space for each thread, which is limited, too, but is no memory.
ONE_ARENA = {"MALLOC_ARENA_MAX": 1}
SENDER = """
import itertools, socket, sys, time
line, port, lines, seconds = sys.argv[1], *map(int, sys.argv[2:])
now, end = int(time.time()), time.monotonic() + seconds
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.connect(("127.0.0.1", port))
    for first in itertools.count(step=lines):
        if time.monotonic() >= end:
            break
        names = range(10**9 + first, 10**9 + first + lines)
        sock.send("\\n".join([line.format(name, now - name % 80_000) for name in names]).encode())
print(first)
"""


def send(running: Running, *lines: str) -> int:
    """Send from a process for each of some kinds of lines, all at once; return how many lines they sent."""
    numbers = [str(number) for number in (running.udp_port, LINES, SECONDS)]
    commands = [[sys.executable, "-c", SENDER, line, *numbers] for line in lines]
    senders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    return sum(int(sender.communicate()[0]) for sender in senders)


def peaks(running: Running) -> dict[str, int]:
    """Return how many MB of memory and of address space the process had at most."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return {name: int(kib) * 1024 // 10**6 for name, kib in re.findall(r"(VmHWM|VmPeak):\s+(\d+)", status)}


# A single character that needs four bytes lets each of a text take as much.
LINE = {
    "short": "x" * 20 + "{} 1",
    "long": "x" * 240 + "{} 1",
    "wide": "\U0001f600" + "x" * 236 + "{} 1",
    "scattered": "x" * 240 + "{} 1 {}",
}


@pytest.mark.parametrize("kind", LINE if FULL else ("wide", "scattered"))
def test_names_without_end_are_survived(tmp_path: Path, kind: str) -> None:
    """With the default settings it lives, and each line is stored, rejected or dropped by the kernel."""
    with started(tmp_path, "serve", TALLY_FLUSH_TIME=5, **ONE_ARENA) as running:
        assert running.url
        resource.prlimit(running.process.pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        sent = send(running, LINE[kind], LINE[kind].replace("x", "y"))
        needed = peaks(running)
        assert 0 == running.end(signal.SIGTERM)
    told = running.said(r"accepted (\d+) lines, rejected (\d+); the kernel dropped (\d+) datagrams")
    accepted, rejected, dropped = (int(told[number]) for number in (1, 2, 3))
    print({"sent": sent, "accepted": accepted, "rejected": rejected, "dropped": dropped * LINES, **needed})  # noqa: T201
    assert sent == accepted + rejected + dropped * LINES
    log = "".join(running.lines)
    assert "out of memory" not in log
    for archive in Catalog(tmp_path).archives():
        counts = archive.aggregate("count", by="name")
        refused = sum(map(int, re.findall(rf"(\d+) samples? of {archive.slug}: it has TALLY_MAX_NAMES", log)))
        assert {1} == set(counts.values())
        assert accepted == len(counts) + refused, log
