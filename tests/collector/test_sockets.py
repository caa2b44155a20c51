"""What a collector listens on, and sockets that others hand over, in real processes."""

import functools
import pickle
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path

import pytest

from tally.collector.listener import bind, kernel_drops
from tally.collector.sockets import inherited_sockets
from tally.collector.tcp import listen
from tally.engine import Catalog
from tests.processes import LIMIT_S, activated, environment, handing_over, launched, started, wait_for

COLLECT, SERVE = ([sys.executable, "-m", "tally", command] for command in ("collect", "serve"))


def stored(directory: Path) -> dict[str, float]:
    """Return the sums of what an archive holds, by name."""
    found: dict[str, float] = Catalog(directory)["all"].aggregate("sum", by="name")
    return found


def count(directory: Path) -> int:
    """Return how many samples an archive holds."""
    found: dict[int, int] = Catalog(directory)["all"].aggregate("count")
    return sum(found.values())


def has(directory: Path, samples: int) -> bool:
    """Return whether an archive holds so many samples."""
    return count(directory) >= samples


@pytest.mark.parametrize(
    "variables",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "6"}, {"LISTEN_FDS": "", "LISTEN_PID": "7"}],
)
def test_what_was_handed_to_another_process_is_not_touched(variables: dict[str, str]) -> None:
    """Only descriptors meant for this process are used."""
    assert [] == inherited_sockets(variables, 7)


def flood(port: int, sent: list[int], over: threading.Event) -> None:
    """Send until it is over, about ten thousand datagrams a second, and put into `sent` how many there were."""
    number = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        while not over.is_set():
            sender.send(b"flood %d" % number)
            number += 1
            if number % 50 == 0:
                over.wait(0.005)
    sent.append(number)


def test_a_restart_loses_no_datagram(tmp_path: Path) -> None:
    """Datagrams sent between two collectors wait in the socket, and the next one stores them."""
    Catalog(tmp_path).create("all", resolution=10)
    sent: list[int] = []
    over = threading.Event()
    with bind("127.0.0.1", 0, receive_buffer_bytes=2**23) as sock:
        sender = threading.Thread(target=flood, args=(sock.getsockname()[1], sent, over))
        sender.start()
        try:
            for _ in range(3):
                with activated(COLLECT, environment(tmp_path), sock) as running:
                    enough = count(tmp_path) + 200
                    assert sock.getsockname()[1] == running.udp_port
                    wait_for(functools.partial(has, tmp_path, enough), "some samples")
                    assert 0 == running.end(signal.SIGTERM)
        finally:
            over.set()
            sender.join(LIMIT_S)
        with activated(COLLECT, environment(tmp_path), sock) as running:
            assert running.udp_port
            assert 0 == running.end(signal.SIGTERM)
        assert sent[0] == count(tmp_path) + (kernel_drops(sock) or 0)
    assert 0 < sent[0]


def test_serve_answers_on_a_socket_named_http(tmp_path: Path) -> None:
    """`tally serve` can inherit all its sockets: UDP, TCP for lines and pickles, and HTTP."""
    Catalog(tmp_path).create("all", resolution=10)
    names, udp = "udp:lines:pickle:http", bind("127.0.0.1", 0, receive_buffer_bytes=2**20)
    streams = lines, pickles, http = [listen("127.0.0.1", 0) for _ in range(3)]
    with udp, lines, pickles, http, activated(SERVE, environment(tmp_path), udp, *streams, names=names) as running:
        assert f"http://127.0.0.1:{http.getsockname()[1]}" == running.url
        assert udp.getsockname()[1] == running.udp_port
        with socket.create_connection(lines.getsockname()) as sender:
            sender.sendall(b"a 1\nb:2|c\n")
        with socket.create_connection(pickles.getsockname()) as sender:
            body = pickle.dumps([("p", (time.time(), 3))])
            sender.sendall(struct.pack("!L", len(body)) + body)
        wait_for(lambda: stored(tmp_path) == {"a": 1, "b": 2, "p": 3}, "the lines")
        assert 0 == running.end(signal.SIGTERM)


@pytest.mark.parametrize(
    ("descriptor", "reason"),
    [
        ("3</dev/null", "Socket operation on non-socket"),
        ("3<&-", "Bad file descriptor"),
        ("3<>/dev/tcp/127.0.0.1/{port}", "it is neither a datagram socket nor a listening stream socket"),
    ],
)
def test_what_cannot_be_listened_on_is_one_line(tmp_path: Path, descriptor: str, reason: str) -> None:
    """A descriptor that is not a socket, or is a connection, fails the start."""
    with listen("127.0.0.1", 0) as listener:
        descriptors = descriptor.format(port=listener.getsockname()[1])
        command = handing_over([descriptors], COLLECT)
        with launched(command, {**environment(tmp_path), "LISTEN_FDS": "1"}) as running:
            assert 2 == running.process.wait(LIMIT_S)
            running.said(f"cannot listen on file descriptor 3, inherited by LISTEN_FDS: {reason}")
    assert 1 == len(running.lines)


def test_a_collector_takes_all_of_them(tmp_path: Path) -> None:
    """Samples from unix sockets, TCP and UDP are stored in the same archive, including the last ones."""
    Catalog(tmp_path / "data").create("all", resolution=10)
    paths = (tmp_path / "datagrams", tmp_path / "stream")
    options = ["--tcp-port", "0", "--unix-datagram", str(paths[0]), "--unix-stream", str(paths[1])]
    with started(tmp_path / "data", "collect", *options, TALLY_FLUSH_TIME=3600, TALLY_ALLOW="127.0.0.0/8") as running:
        running.said(rf"collecting on unix datagrams {paths[0]} \(receive buffer: ")
        tcp_port = int(running.said(r"collecting on TCP 127\.0\.0\.1 port (\d+)")[1])
        running.said(rf"collecting on unix stream {paths[1]}")
        with (
            socket.create_connection(("127.0.0.1", tcp_port)) as tcp,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            stream.connect(str(paths[1]))
            datagrams.connect(str(paths[0]))
            for _ in range(1000):
                datagrams.send(b"datagrams 1")  # It waits where there is no room.
            stream.sendall(b"stream 1\n" * 1000)
            tcp.sendall(b"tcp 1\n" * 1000)
            udp.sendto(b"udp 1\nudp 1", ("127.0.0.1", running.udp_port))
            assert 0 == running.end(signal.SIGTERM)
    assert {"datagrams": 1000, "stream": 1000, "tcp": 1000, "udp": 2} == stored(tmp_path / "data")
    assert ["data"] == [path.name for path in tmp_path.iterdir()]
