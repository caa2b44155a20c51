"""Survive: names without end, as fast as two senders can, in a process that may not have much memory."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

from tally.engine import Catalog
from tests.processes import Running, started
from tests.survive.scale import FULL

LINES = 15
DATAGRAMS = 200_000 if FULL else 20_000
MEMORY_BYTES = 512 * 2**20
SENDER = """
import socket, sys
name, port, datagrams, lines = sys.argv[1], *map(int, sys.argv[2:])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.connect(("127.0.0.1", port))
    for first in range(0, datagrams * lines, lines):
        sock.send("\\n".join([f"{name}.{number} 1" for number in range(first, first + lines)]).encode())
"""


def send(running: Running, *names: str) -> None:
    """Send from a process for each of some names, all at once."""
    numbers = [str(number) for number in (running.udp_port, DATAGRAMS, LINES)]
    senders = [subprocess.Popen([sys.executable, "-c", SENDER, name, *numbers]) for name in names]
    assert [0] * len(names) == [sender.wait() for sender in senders]


def test_names_without_end_are_survived(tmp_path: Path) -> None:
    """With the default settings it lives, and each line is stored, rejected or dropped by the kernel."""
    with started(tmp_path, "serve", TALLY_FLUSH_TIME=5) as running:
        assert running.url
        resource.prlimit(running.process.pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        send(running, "one" * 20, "two" * 20)
        assert 0 == running.end(signal.SIGTERM)
        told = running.said(r"accepted (\d+) lines, rejected (\d+) lines; the kernel dropped (\d+) datagrams")
        accepted, rejected, dropped = (int(told[number]) for number in (1, 2, 3))
    assert 2 * DATAGRAMS * LINES == accepted + rejected + dropped * LINES
    assert not [line for line in running.lines if "out of memory" in line or "are lost" in line]
    for archive in Catalog(tmp_path).archives():
        counts = archive.aggregate("count", by="name")
        assert {1} == set(counts.values())
        assert len(counts) <= min(accepted, 100_000)
