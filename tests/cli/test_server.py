"""The bounds of the HTTP server, each with a server in this process."""

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from select import select

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from tally.api import asgi, create_app
from tally.api.message import HEAD_MAX_BYTES
from tally.cli import server as module
from tally.cli.server import Server
from tests.api.asking import settings
from tests.api.server import read_to_end
from tests.processes import LIMIT_S, wait_for

GET = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"
OK = b"HTTP/1.1 200 OK"
IDLE_S = 0.1


@contextlib.contextmanager
def serving(app: object) -> Iterator[int]:
    """Run a server of `app` in a thread, and give its port."""
    sock = socket.create_server(("127.0.0.1", 0))
    begun = threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, anyio.Event]] = []

    async def main() -> None:
        stop = anyio.Event()
        ends.append((asyncio.get_running_loop(), stop))
        begun.set()
        await Server(app, sock).run_until(stop)  # type: ignore[arg-type]

    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    assert begun.wait(LIMIT_S)
    try:
        yield sock.getsockname()[1]
    finally:
        [(loop, stop)] = ends
        loop.call_soon_threadsafe(stop.set)
        thread.join(LIMIT_S)
        sock.close()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Return where a server of an empty directory answers."""
    with serving(create_app(settings(tmp_path))) as port:
        yield port


def connected(port: int, **options: int) -> socket.socket:
    """Return a connection."""
    sock = socket.socket()
    for name, value in options.items():
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    sock.settimeout(LIMIT_S)
    sock.connect(("127.0.0.1", port))
    return sock


def answered(sock: socket.socket) -> int:
    """Return the status with which a request on a connection is answered as a whole."""
    sock.sendall(GET)
    with HTTPResponse(sock) as response:
        response.begin()
        response.read()
        return response.status


def seconds_until_cut(sock: socket.socket) -> float:
    """Send a byte now and then for as long as the server lets it, and return how long that was."""
    began = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - began < LIMIT_S:
            sock.sendall(b"x")
            time.sleep(0.01)
    return time.monotonic() - began


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """If all connections are in use, one more is answered by 503. A connection that ends can be replaced."""
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    in_use: list[Scope] = []

    async def stuck(scope: Scope, receive: Receive, _send: Send) -> None:
        in_use.append(scope)
        while (await receive())["type"] != "http.disconnect":
            pass

    with serving(stuck) as port, connected(port) as first, connected(port) as second:
        for sock in (first, second):
            sock.sendall(GET)
        wait_for(lambda: len(in_use) == 2, "two requests")
        with connected(port) as third:
            refused = read_to_end(third)
        assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRetry-After: 1\r\n" in refused
        assert b"all 2 connections are in use" in refused
        first.close()

        def has_room() -> bool:
            with connected(port) as again:
                again.sendall(GET)
                wait_for(lambda: len(in_use) == 3 or select([again], [], [], 0)[0], "either")
            return len(in_use) == 3

        wait_for(has_room, "room")


def test_an_idle_connection_makes_room(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection beyond the limit replaces the one that has been idle longest."""
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    with connected(port) as first, connected(port) as second, connected(port) as third:
        assert b"" == read_to_end(first)
        assert 200 == answered(second)
        assert 200 == answered(third)
        with connected(port) as fourth:
            assert b"" == read_to_end(second)
            assert [200, 200] == [answered(third), answered(fourth)]


@pytest.mark.parametrize("begun", [b"", b"GET /he", GET[:-2], GET])
def test_an_idle_connection_is_cut(begun: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a complete request is closed after a while."""
    # A whole request has to come in this time.
    idle_s = 10 * IDLE_S if begun == GET else IDLE_S
    monkeypatch.setattr(module, "IDLE_S", idle_s)
    with serving(create_app(settings(tmp_path))) as port:
        began = time.monotonic()  # Before the server accepts the connection.
        with connected(port) as sock:
            sock.sendall(begun)
            received = read_to_end(sock)
        assert idle_s <= time.monotonic() - began < 5
        assert received.startswith(OK) == (begun == GET)


def test_a_head_that_drips_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending single bytes does not keep a connection open."""
    monkeypatch.setattr(module, "IDLE_S", IDLE_S)
    with serving(create_app(settings(tmp_path))) as port, connected(port) as sock:
        assert seconds_until_cut(sock) < 5


def test_a_connection_in_use_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is kept between requests, even after a slow answer."""
    idle_s = 8 * IDLE_S
    monkeypatch.setattr(module, "IDLE_S", idle_s)

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(2.1 * idle_s)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    with serving(slow) as port, connected(port) as sock:
        for _ in range(2):
            assert 200 == answered(sock)


def test_an_answer_that_is_not_taken_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of an answer is discarded if the client does not read it."""
    monkeypatch.setattr(module, "IDLE_S", IDLE_S)

    async def large(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % 2**26)]})
        await send({"type": "http.response.body", "body": b"x" * 2**26})

    with serving(large) as port, connected(port, SO_RCVBUF=4096) as sock:
        sock.sendall(GET)
        assert sock.recv(1)
        time.sleep(5 * IDLE_S)
        assert len(read_to_end(sock)) < 2**26 - 1


@pytest.mark.parametrize(("size", "expected"), [(HEAD_MAX_BYTES // 2, b"200"), (2 * HEAD_MAX_BYTES, b"431")])
def test_the_head_of_a_request_is_bounded(port: int, size: int, expected: bytes) -> None:
    """Endless headers are refused at the limit."""
    with connected(port) as sock:
        sock.sendall(GET[:-2] + b"X: " + b"x" * size + (b"\r\n\r\n" if expected == b"200" else b""))
        assert sock.recv(4096).startswith(b"HTTP/1.1 " + expected)


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        (b"GET /" + b"x" * HEAD_MAX_BYTES, 431, f"address and headers are longer than {HEAD_MAX_BYTES} bytes"),
        (b"no request\r\n\r\n", 400, "Invalid HTTP request received."),
    ],
)
def test_who_still_sends_sees_the_refusal(port: int, sent: bytes, status: int, text: str) -> None:
    """The rest of a refused body is read and discarded, so that the connection is not reset."""
    with connected(port) as sock:
        sock.sendall(sent)
        wait_for(lambda: sock.recv(1, socket.MSG_PEEK), "the answer")
        for _ in range(100):
            sock.sendall(b"x" * 10_000)
        with HTTPResponse(sock) as response:
            response.begin()
            assert "application/problem+json" == response.headers["Content-Type"]
            assert (status, text) == (response.status, json.loads(response.read())["detail"])
        assert b"" == sock.recv(1)


def test_a_body_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is under way ends with that, and does not answer after it."""
    monkeypatch.setattr(asgi, "BODY_S", 5)
    app, begun, ended = create_app(settings(tmp_path)), threading.Event(), threading.Event()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted() -> Message:
            begun.set()
            return await receive()

        await app(scope, noted, send)
        ended.set()

    head = b"POST /archives/ HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(watched) as port, connected(port) as sock:
        sock.sendall(head)
        assert begun.wait(LIMIT_S)
        sock.sendall(b"no chunk\r\n")
        assert ended.wait(LIMIT_S)
        received = read_to_end(sock)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert 1 == received.count(b"HTTP/1.1 ")
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_server_ends_while_it_refuses(tmp_path: Path) -> None:
    """A client that is still sending does not delay the end of the server."""
    with serving(create_app(settings(tmp_path))) as port, connected(port) as sock:
        sock.sendall(b"no request\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 400 ")
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_a_refused_connection_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that continues to send after a refusal is disconnected."""
    monkeypatch.setattr(module, "LINGER_S", IDLE_S)
    with connected(port) as sock:
        sock.sendall(b"no request\r\n\r\n")
        assert seconds_until_cut(sock) < 5
