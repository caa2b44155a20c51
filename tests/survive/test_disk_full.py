"""Survive 3: the disk is full for a while, for a collector under way."""

import resource
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tally.collector.store import WAITING_PART
from tally.engine import Catalog
from tests.processes import Running, started, wait_for
from tests.survive.load import LINES, books, check_balance, datagram
from tests.survive.scale import FULL, chance

T = 1_700_000_000
NAMES = 500
DISK_BYTES = 8 * 2**20
WAITING_CELLS = 50_000


class Disk(NamedTuple):
    """How a disk becomes full for a process, and has space again."""

    fill: Callable[[Running], None]
    free: Callable[[Running], None]


def limited(size_bytes: int) -> Disk:
    """A disk on which no file may be larger than `size_bytes` while it is full."""

    def limit(running: Running, soft: int) -> None:
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    return Disk(lambda running: limit(running, size_bytes), lambda running: limit(running, resource.RLIM_INFINITY))


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a disk of DISK_BYTES."""
    directory = Path(tempfile.mkdtemp())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tally-survive", str(directory)]
    subprocess.run(mount, check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)
        directory.rmdir()


def filled(directory: Path) -> Disk:
    """A disk that another file fills up to its last byte."""

    def fill(_running: Running) -> None:
        with (directory / "other").open("wb", buffering=0) as file, suppress(OSError):
            while shutil.disk_usage(directory).free:
                file.write(bytes(4096))
        assert 0 == shutil.disk_usage(directory).free

    return Disk(fill, lambda _running: (directory / "other").unlink())


def send(running: Running, *datagrams: bytes) -> None:
    """Send datagrams to a collector."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for each in datagrams:
            sock.sendto(each, ("127.0.0.1", running.udp_port))


def account(directory: Path, key: str) -> int:
    """Return what the collector's books say of the archive."""
    return sum(each["archives"]["daily"][key] for each in books(directory))


def survive(directory: Path, disk: Disk) -> None:
    """Fill the disk under a collector, send, make space, and see to it that all that was sent is stored."""
    random = chance("disk")
    Catalog(directory).create("daily", resolution=1, retention=0)
    with started(directory, "collect", TALLY_FLUSH_TIME=0.05) as running:
        send(running, *(datagram(random) for _ in range(20)))
        wait_for(lambda: books(directory) and account(directory, "stored") == 20 * LINES, "the first samples")
        disk.fill(running)
        for _ in range(5):
            send(running, *(datagram(random) for _ in range(20)))
            running.said("daily.db: cannot be used now")
        assert running.process.poll() is None
        disk.free(running)
        wait_for(lambda: account(directory, "stored") == 120 * LINES, "the others")
        assert [0, 0] == [account(directory, key) for key in ("pending", "dropped")]
        running.said("archive daily can be written again")
        assert 0 == running.end(signal.SIGTERM)
    assert 120 * LINES == check_balance(directory, "daily")


@pytest.mark.parametrize("size_bytes", [0, 4096, 65_536])
def test_files_that_cannot_grow(tmp_path: Path, size_bytes: int) -> None:
    """Whichever of an archive's files cannot grow, what comes meanwhile is stored once they can."""
    survive(tmp_path, limited(size_bytes))


@pytest.mark.skipif(not FULL, reason="mounting a disk needs root; nox -s survive does")
def test_a_full_disk() -> None:
    """The same on a real disk without a byte left."""
    with small_disk() as directory:
        survive(directory, filled(directory))


def test_what_is_beyond_the_bound_is_counted(tmp_path: Path) -> None:
    """More than WAITING_CELLS do not wait: the oldest buckets are dropped, and every line is accounted for."""
    buckets = WAITING_CELLS // NAMES + 20
    Catalog(tmp_path).create("daily", resolution=1, retention=0)
    disk = limited(4096)
    max_cells = WAITING_PART * WAITING_CELLS
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=0.2, TALLY_MAX_CELLS=max_cells) as running:
        running.said("collecting")
        disk.fill(running)
        for bucket in range(T, T + buckets):
            send(running, b"\n".join(b"name%d 1 %d" % (name, bucket) for name in range(NAMES)))
            if bucket % 50 == 0:
                wait_for(lambda: all(each["receive_queue"] < 2**20 for each in books(tmp_path)), "room")
        running.said("cannot be used now")
        sent = buckets * NAMES
        wait_for(lambda: account(tmp_path, "pending") + account(tmp_path, "dropped") == sent, "the last lines")
        assert WAITING_CELLS >= account(tmp_path, "pending") > WAITING_CELLS - 2 * NAMES
        disk.free(running)
        wait_for(lambda: account(tmp_path, "stored") + account(tmp_path, "dropped") == sent, "space")
        kept, dropped = account(tmp_path, "stored"), account(tmp_path, "dropped")
        assert 0 == running.end(signal.SIGTERM)
    counts = Catalog(tmp_path)["daily"].aggregate("count")
    assert (sent, kept) == (kept + dropped, sum(counts.values()))
    assert T + buckets - 1 == max(counts)
