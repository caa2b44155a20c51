"""What a running tally says of itself while archives cannot be written, and while one of its workers stands still."""

import os
import shutil
import signal
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from tally.engine import Catalog
from tests.api.server import serving
from tests.processes import LIMIT_S, Running, started, wait_for
from tests.survive.test_disk_full import filled, small_disk

needs_mounts = pytest.mark.skipif(shutil.which("mount") is None, reason="a disk of its own cannot be mounted")


def get(url: str, path: str) -> Any:
    """Return what a server answers, whatever its status."""
    return httpx.get(url + path, timeout=LIMIT_S).json()


def send(running: Running, *lines: str) -> None:
    """Send lines to the collector."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto("\n".join(lines).encode(), ("127.0.0.1", running.udp_port))


def faults(url: str, check: str) -> list[Any]:
    """Return what `/status/` says is wrong with one thing."""
    return [fault for fault in get(url, "/status/")["faults"] if fault["check"] == check]


def is_ready(url: str) -> bool:
    """Return whether `/readyz` says so."""
    return bool(get(url, "/readyz")["status"] == "ready")


def test_an_archive_that_another_process_locks_shows_at_once(tmp_path: Path) -> None:
    """While its first flush waits for the lock already: samples wait, for how long, and then why, in every process."""
    path = Catalog(tmp_path).create("daily", resolution=1).path
    with started(tmp_path, "serve") as running, serving(tmp_path) as other:
        wait_for(lambda: is_ready(running.url) and is_ready(other.url), "ready")
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute("BEGIN IMMEDIATE")
            send(running, *["a 1"] * 50)
            wait_for(lambda: get(running.url, "/status/")["pending"] == 50, "the samples that wait")
            wait_for(lambda: get(other.url, "/status/")["pending"] == 50, "the same in another process")
            wait_for(lambda: not is_ready(running.url), "not ready")
            assert not get(running.url, "/readyz")["checks"]["writing"]["ok"]
            assert get(running.url, "/status/")["waiting"] > 2
            wait_for(lambda: not is_ready(other.url), "not ready")
            assert [0.0] == [each["stale"] for each in get(running.url, "/status/")["flushes"].values()]
            [stale] = [each["stale"] for each in get(other.url, "/status/")["flushes"].values()]
            assert 0 < stale < LIMIT_S
            wait_for(lambda: any(fault["archive"] == "daily" for fault in faults(running.url, "writing")), "the reason")
            [fault] = faults(running.url, "writing")
            assert "locked" in fault["detail"]
            assert str(tmp_path) not in fault["detail"]
            assert 'tally_archive_failing{archive="daily"' in httpx.get(f"{running.url}/metrics", timeout=LIMIT_S).text
            connection.execute("ROLLBACK")
        wait_for(lambda: is_ready(running.url) and is_ready(other.url), "ready again")
        assert {"a": 50} == get(running.url, "/aggregate/daily/count/byname/")
        assert (0, None) == (get(running.url, "/status/")["pending"], get(running.url, "/status/")["waiting"])


@needs_mounts
def test_a_full_disk_shows() -> None:
    """With the slug of each archive that cannot be written and the reason, and goes when there is room again."""
    with small_disk() as directory:
        Catalog(directory).create("daily", resolution=1)
        disk = filled(directory)
        with started(directory, "serve") as running:
            # A disk of a few MB has too little space from the start.
            wait_for(lambda: get(running.url, "/readyz")["checks"]["writing"]["ok"], "writing")
            disk.fill(running)
            send(running, "a 1")
            wait_for(lambda: faults(running.url, "writing"), "the fault")
            [fault] = faults(running.url, "writing")
            assert "daily" == fault["archive"]
            assert "daily: cannot be used now: the disk is full (0 bytes free)" in fault["detail"]
            assert not get(running.url, "/readyz")["checks"]["writing"]["ok"]
            assert get(running.url, "/readyz")["checks"]["archives"]["ok"]
            disk.free(running)
            wait_for(lambda: not faults(running.url, "writing"), "the end of the fault")


def test_one_of_three_workers_that_stands_still_shows(tmp_path: Path) -> None:
    """The slowest collector counts: each is told with its last flush, and one that is stopped makes tally not ready."""
    Catalog(tmp_path).create("daily", resolution=1)
    with started(tmp_path, "serve", TALLY_WORKERS=3) as running:
        wait_for(lambda: len(get(running.url, "/status/")["flushes"]) == 3, "three collectors")
        wait_for(lambda: is_ready(running.url), "ready")
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
        workers = [int(child) for child in children if b"resource_tracker" not in cmdline(child)]
        assert 2 == len(workers)
        stopped = workers[0]
        signal_to(stopped, signal.SIGSTOP)
        try:
            wait_for(lambda: not is_ready(running.url), "not ready")
            detail = get(running.url, "/readyz")["checks"]["collector"]["detail"]
            assert f"(process {stopped}) has not flushed for " in detail
            silent = [each["ago"] for each in get(running.url, "/status/")["flushes"].values() if each["silent"]]
            assert 1 == len(silent)
            assert silent[0] > 10
        finally:
            signal_to(stopped, signal.SIGCONT)
        wait_for(lambda: is_ready(running.url), "ready again")


def cmdline(process: str) -> bytes:
    """Return how a process was started."""
    return Path(f"/proc/{process}/cmdline").read_bytes()


def signal_to(process: int, number: int) -> None:
    """Send a signal to one of the workers."""
    os.kill(process, number)
