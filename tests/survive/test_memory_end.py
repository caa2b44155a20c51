"""Survive: there is no memory left, and the collector ends as it does on SIGTERM."""

import re
import resource
import socket
from collections import Counter
from pathlib import Path

from tally.engine import Catalog
from tests.processes import LIMIT_S, Running, started, wait_for
from tests.survive.test_loss import spilled

ROOM_BYTES = 40 * 2**20


def limit(running: Running) -> None:
    """Let a process have so much more address space and no more."""
    pages = int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ROOM_BYTES
    resource.prlimit(running.process.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def flood(running: Running) -> None:
    """Send names that there were never before until the collector is gone."""
    number = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", running.udp_port))

        def send_more() -> bool:
            nonlocal number
            try:
                for _ in range(20):
                    sock.send(b"\n".join(b"name.%d 1" % each for each in range(number, number + 50)))
                    number += 50
            except ConnectionRefusedError:
                return True
            return running.process.poll() is not None

        wait_for(send_more, "the end", limit_s=2 * LIMIT_S)


def test_out_of_memory_ends_as_a_signal_does(tmp_path: Path) -> None:
    """What was taken is stored or spilled or told as lost, nothing twice, and the exit status is 1."""
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=0)
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=3600, TALLY_MAX_NAMES=0, TALLY_MAX_CELLS=10**7) as running:
        assert running.udp_port
        limit(running)
        flood(running)
        assert 1 == running.process.wait(LIMIT_S)
        running.said("out of memory: collecting ends")
        accepted = int(running.said(r"accepted (\d+) lines")[1])
    told = "".join(running.lines)
    assert "Traceback" not in told
    held = Counter(archive.aggregate("count", by="name")) + spilled(tmp_path / "daily.spill")
    lost = sum(map(int, re.findall(r"lost (\d+) (?:lines?|samples? of daily): ", told)))
    # Where there is no memory to spill, all of it is lost.
    assert {1} >= set(held.values())
    assert accepted <= len(held) + lost
