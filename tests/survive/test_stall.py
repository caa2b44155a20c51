"""A process that is stopped for some seconds, as a paused machine is, stores what comes meanwhile where it belongs."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from tally.collector.listener import bind
from tally.engine import Catalog
from tests.collector.stalling import send_in_seconds
from tests.processes import Running, activated, environment, started, wait_for

SECONDS = 3

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell times")


def stored(directory: Path) -> dict[str, list[int]]:
    """Return in which seconds an archive has samples of each name."""
    return {name: list(buckets) for name, buckets in Catalog(directory)["all"].values("count").items()}


def expected(sent: list[tuple[bytes, int]]) -> dict[str, list[int]]:
    """Return the same of what was sent."""
    return {line.split()[0].decode(): [second] for line, second in sent}


def has(directory: Path, sent: list[tuple[bytes, int]]) -> bool:
    """Return whether all that was sent is stored, wherever."""
    return expected(sent).keys() <= stored(directory).keys()


def send_while_stopped(running: Running, *ways: Callable[[bytes], object]) -> list[list[tuple[bytes, int]]]:
    """Stop all processes of a service, send by each way in some seconds, and let them go on."""
    sent = []
    os.killpg(running.process.pid, signal.SIGSTOP)
    for number, way in enumerate(ways):
        sent.append(send_in_seconds(way, SECONDS, prefix=b"way%d." % number))
    os.killpg(running.process.pid, signal.SIGCONT)
    return sent


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("ends", [False, True])
def test_what_comes_during_a_stall_belongs_to_its_second(tmp_path: Path, workers: int, ends: bool) -> None:
    """Each datagram is stored in the second in which the kernel received it, also when the process then ends."""
    Catalog(tmp_path / "data").create("all", resolution=1)
    unix = tmp_path / "lines"
    options = ["--workers", str(workers), "--unix-datagram", str(unix)]
    with (
        started(tmp_path / "data", "collect", *options) as running,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local,
    ):
        udp.connect(("127.0.0.1", running.udp_port))
        wait_for(lambda: len(list((tmp_path / "data").glob("collector-*.json"))) == workers, "all collectors")
        local.connect(str(unix))
        sent = list(chain.from_iterable(send_while_stopped(running, udp.send, local.send)))
        if ends:
            assert 0 == running.end(signal.SIGTERM)
        wait_for(lambda: has(tmp_path / "data", sent), "the samples")
    found = stored(tmp_path / "data")
    assert expected(sent) == {name: found[name] for name in expected(sent)}


def test_a_stream_belongs_to_the_second_in_which_it_is_read(tmp_path: Path) -> None:
    """The kernel does not tell when a part of a stream came."""
    Catalog(tmp_path).create("all", resolution=1)
    with started(tmp_path, "collect", "--tcp-port", "0") as running:
        port = int(running.said(r"collecting on TCP 127\.0\.0\.1 port (\d+)")[1])
        with socket.create_connection(("127.0.0.1", port)) as stream:
            [sent] = send_while_stopped(running, lambda line: stream.sendall(line + b"\n"))
            went_on = int(time.time())
            wait_for(lambda: has(tmp_path, sent), "the lines")
    assert all(bucket >= went_on - 1 for buckets in stored(tmp_path).values() for bucket in buckets)


def test_what_waits_between_two_processes_belongs_to_its_second(tmp_path: Path) -> None:
    """In a socket that is handed from one process to the next, datagrams keep the second in which they came."""
    Catalog(tmp_path).create("all", resolution=1)
    with bind("127.0.0.1", 0, receive_buffer_bytes=2**20) as sock, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sock.setsockopt(socket.SOL_SOCKET, 35, 0)  # As a socket comes from systemd.
        sender.connect(sock.getsockname())
        starting = partial(activated, [sys.executable, "-m", "tally", "collect"], environment(tmp_path), sock)
        with starting() as first:
            assert first.udp_port
            assert 0 == first.end(signal.SIGTERM)
        sent = send_in_seconds(sender.send, SECONDS)
        with starting():
            wait_for(lambda: has(tmp_path, sent), "the samples")
    assert expected(sent) == {name: buckets for name, buckets in stored(tmp_path).items() if name in expected(sent)}
