"""Ends of real connections, under every loop and parser that uvicorn has, and under `tally serve`."""

import contextlib
import math
import re
import socket
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from select import select
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from tally.api.connection import Connection
from tally.engine import Catalog
from tally.errors import QueryTimeout
from tests.api.server import begun, connected, read_to_end, serving
from tests.processes import LIMIT_S, Running, started, wait_for

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are seen in /proc")

TIMEOUT_S = 0.5
# After the time limit, in which a connection has to be gone.
GONE_S = 3.0
NAMES, BUCKETS = 200, 1000
SERVERS = [("asyncio", "h11"), ("asyncio", "httptools"), ("uvloop", "h11"), ("uvloop", "httptools"), ("tally", "serve")]
CUT = r"cut the connection of 127\.0\.0\.1:\d+"


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with an archive whose dump is larger than a connection's buffers."""
    directory = tmp_path_factory.mktemp("big")
    archive = Catalog(directory).create("big", resolution=10, retention=0)
    archive.record((f"name.{n}", n + b / 8, 10 * b) for b in range(BUCKETS) for n in range(NAMES))
    return directory


@contextlib.contextmanager
def served(
    loop: str, parser: str, directory: Path, *, app: str = "tally.api:app", timeout_s: float = TIMEOUT_S
) -> Iterator[tuple[Running, int]]:
    """Run a server with a short time limit, and give it and its port."""
    if loop == "tally":
        with started(directory, "serve", TALLY_QUERY_TIMEOUT=timeout_s, TALLY_HOST="127.0.0.1") as running:
            yield running, urlsplit(running.url).port or 0
        return
    for module in {loop, parser} - {"asyncio"}:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    options = ("--loop", loop, "--http", parser, "--timeout-keep-alive", str(math.ceil(timeout_s)))
    with serving(directory, *options, app=app, TALLY_QUERY_TIMEOUT=timeout_s) as server:
        yield server, server.port


def stalled(port: int, target: str, *, times: int = 1) -> socket.socket:
    """Return a connection on which something is asked, and nothing read; the last answer ends it."""
    sock = connected(port, receive_buffer_bytes=4096)
    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n"
    sock.sendall(f"{head}\r\n".encode() * (times - 1) + f"{head}Connection: close\r\n\r\n".encode())
    return sock


def sockets(running: Running) -> int:
    """Return how many sockets a server has open."""
    links = Path(f"/proc/{running.process.pid}/fd").iterdir()
    return sum(_is_socket(link) for link in links)


def _is_socket(link: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return str(link.readlink()).startswith("socket:")
    return False


def settled(running: Running, port: int) -> int:
    """Return how many sockets a server has open that has answered and has no client."""
    url = f"http://127.0.0.1:{port}/healthz"
    assert 200 == httpx.get(url, headers={"Connection": "close"}, timeout=LIMIT_S).status_code
    found: list[int] = []

    def is_same() -> bool:
        found.append(sockets(running))
        return found[-6:] == [found[-1]] * 6

    wait_for(is_same, "the end of the connection")
    return found[-1]


@pytest.mark.parametrize(("loop", "parser"), SERVERS)
@pytest.mark.parametrize(
    ("target", "times", "clients"),
    [("/values/big/", 1, 12), ("/aggregate/big/", 500, 2)],
    ids=["one answer", "pipelined answers"],
)
def test_a_client_that_does_not_read_is_cut(
    loop: str, parser: str, target: str, times: int, clients: int, big: Path
) -> None:
    """After the time limit the socket is closed, whatever waits to be sent, and one line of the log tells each."""
    came = 0
    with served(loop, parser, big) as (running, port):
        before = settled(running, port)

        def is_one_cut() -> bool:
            nonlocal came
            came += clients
            with contextlib.ExitStack() as stack:
                socks = [stack.enter_context(stalled(port, target, times=times)) for _ in range(clients)]
                wait_for(lambda: len(select(socks, [], [], 0)[0]) == clients, "the beginning of their answers")
                # Several answers take their time until no buffer has room for more.
                limit_s = TIMEOUT_S + GONE_S if times == 1 else LIMIT_S
                wait_for(lambda: sockets(running) <= before, "their end", limit_s=limit_s)
            return 0 < len(lines(running, CUT)) <= came

        # On a busy machine all queries may take too long before their first byte, which is told by 503.
        wait_for(is_one_cut, running.lines)
        assert not lines(running, "Traceback|ERROR|Exception|without completing")


def lines(running: Running, *patterns: str) -> list[str]:
    """Return what a server has said that matches."""
    return [line for line in running.lines for pattern in patterns if re.search(pattern, line)]


@pytest.mark.parametrize(("loop", "parser"), SERVERS[:4])
def test_the_end_of_an_answer_does_not_wait_for_ever(loop: str, parser: str, tmp_path: Path) -> None:
    """A whole answer that is not read is discarded after the time limit."""
    with served(loop, parser, tmp_path, app="tests.api.untaken:app") as (running, port):
        running.said("Uvicorn running")
        before = sockets(running)
        with contextlib.ExitStack() as clients:
            for _ in range(3):
                clients.enter_context(stalled(port, "/"))
            wait_for(lambda: len(lines(running, CUT)) == 3, running.lines, limit_s=TIMEOUT_S + GONE_S)
            wait_for(lambda: sockets(running) <= before, "their end", limit_s=GONE_S)
        assert not lines(running, "Traceback|ERROR|Exception")


@pytest.mark.parametrize(("loop", "parser"), SERVERS)
def test_a_client_that_reads_in_time_is_not_cut(loop: str, parser: str, big: Path) -> None:
    """Answers that are read are complete, even if several on one connection take longer together."""
    timeout_s = 6 * TIMEOUT_S
    with (
        served(loop, parser, big, timeout_s=timeout_s) as (running, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT_S) as http,
    ):
        began = time.monotonic()
        while time.monotonic() - began < 1.1 * timeout_s:
            assert BUCKETS == len(http.get("/aggregate/big/").json())
            time.sleep(0.1)
        assert NAMES == len(http.get("/values/big/sum/?until=2000").json())
        assert not lines(running, CUT)


def test_a_server_that_hides_its_connections_has_to_cut_them() -> None:
    """If the connection cannot be aborted, the error is raised."""

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        return

    async def main() -> None:
        await Connection({}, receive, send, timeout_s=1).cut(QueryTimeout("slow"))

    with pytest.raises(QueryTimeout, match="slow"):
        anyio.run(main)


def test_what_was_sent_before_the_cut_is_not_whole(big: Path) -> None:
    """A client that reads after the cut sees that the answer is incomplete."""
    with served("asyncio", "h11", big) as (running, port):
        sock, received = begun(lambda: stalled(port, "/values/big/"))
        running.said(CUT)
        received += read_to_end(sock)
    assert received.startswith(b"HTTP/1.1 200")
    assert not received.endswith(b"0\r\n\r\n")
