"""From connections to lines."""

import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import anyio
import pytest

from tally.collector import streams as module
from tally.collector.line_buffer import LINE_MAX_BYTES
from tally.collector.streams import Streams
from tally.collector.tcp import listen
from tally.lines.plain import Reason

pytestmark = pytest.mark.anyio

LIMIT_S = 30


class Bench:
    """Streams on a free port, and what they hand on."""

    def __init__(self, **options: tuple[()]) -> None:
        self.listener = listen("127.0.0.1", 0)
        self.lines: list[bytes] = []
        self.rejected: list[tuple[bytes, Reason]] = []
        self.streams = Streams(
            [self.listener], self._take, lambda line, reason: self.rejected.append((line[:9], reason)), **options
        )

    def _take(self, datagrams: list[bytes]) -> None:
        self.lines += [line for datagram in datagrams for line in datagram.split(b"\n")]

    def connect(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(self.listener.getsockname(), timeout=LIMIT_S)

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the streams work until `condition` is true."""
        with anyio.fail_after(LIMIT_S):
            while not condition():
                await anyio.sleep(0.01)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Connections taken, refused and open."""
        return self.streams.taken, self.streams.refused, self.streams.open


@asynccontextmanager
async def running(**options: tuple[()]) -> AsyncIterator[Bench]:
    """Run streams, and end them."""
    bench = Bench(**options)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.streams.run)
        yield bench
        tasks.cancel_scope.cancel()
    bench.streams.finish(math.inf)
    bench.listener.close()
    assert 0 == bench.streams.open


async def test_lines_of_several_connections_are_taken() -> None:
    """The lines of each connection are assembled separately. A connection stays open as long as it sends."""
    async with running() as bench:
        with bench.connect() as one, bench.connect() as other:
            one.sendall(b"a")
            other.sendall(b"b 2\n")
            await bench.until(lambda: bench.lines == [b"b 2"])
            one.sendall(b" 1\nc 3\n")
            await bench.until(lambda: len(bench.lines) == 3)
            assert (2, 0, 2) == bench.counts
        await bench.until(lambda: bench.counts == (2, 0, 0))
    assert ([b"b 2", b"a 1", b"c 3"], []) == (bench.lines, bench.rejected)


async def test_what_is_not_whole_is_rejected() -> None:
    """A line that is cut by the end of its connection, or too long, is counted. The others are accepted."""
    async with running() as bench:
        with bench.connect() as sender:
            sender.sendall(b"a 1\n" + b"x" * (LINE_MAX_BYTES + 1) + b"\nb 2\nc 12345")
        await bench.until(lambda: bench.counts == (1, 0, 0))
    assert [b"a 1", b"b 2"] == bench.lines
    assert [(b"x" * 9, Reason.LENGTH), (b"c 12345", Reason.CUT)] == bench.rejected


async def test_a_connection_that_is_reset_is_only_ended() -> None:
    """Lines received before a connection breaks are accepted."""
    async with running() as bench:
        sender = bench.connect()
        sender.sendall(b"a 1\nb")
        await bench.until(lambda: bench.lines)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sender.close()
        await bench.until(lambda: bench.counts == (1, 0, 0))
    assert ([b"a 1"], [(b"b", Reason.CUT)]) == (bench.lines, bench.rejected)


async def test_who_sends_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without data for IDLE_S is closed."""
    monkeypatch.setattr(module, "IDLE_S", 0.05)
    async with running() as bench:
        with bench.connect() as sender:
            sender.sendall(b"a 1\nb")
            await bench.until(lambda: bench.counts == (1, 0, 0))
            assert b"" == sender.recv(1)
    assert [(b"b", Reason.CUT)] == bench.rejected


async def test_connections_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection beyond CONNECTIONS is refused and counted, until another one has ended."""
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    async with running() as bench:
        with bench.connect() as first:
            with bench.connect():
                await bench.until(lambda: bench.counts == (2, 0, 2))
                with bench.connect() as third:
                    assert b"" == await anyio.to_thread.run_sync(third.recv, 1)
                assert (2, 1, 2) == bench.counts
            await bench.until(lambda: bench.streams.open == 1)
            with bench.connect() as fourth:
                fourth.sendall(b"d 4\n")
                await bench.until(lambda: bench.lines == [b"d 4"])
            first.sendall(b"a 1\n")
            await bench.until(lambda: len(bench.lines) == 2)


@pytest.mark.parametrize(("network", "expected"), [("127.0.0.0/8", (1, 0)), ("10.0.0.0/8", (0, 1))])
async def test_who_may_not_send_may_not_connect(network: str, expected: tuple[int, int]) -> None:
    """A connection from outside the allowed networks is refused and counted."""
    async with running(allow=(ip_network(network),)) as bench:  # type: ignore[arg-type]
        with bench.connect():
            await bench.until(lambda: bench.counts[:2] == expected)


async def test_the_last_lines_are_taken() -> None:
    """At the end, the lines of connections that were not accepted yet are read."""
    bench = Bench()
    with bench.connect() as one, bench.connect() as other:
        one.sendall(b"a 1\nb")
        other.sendall(b"c 3\n")
        bench.streams.finish(math.inf)
    assert ([b"a 1", b"c 3"], [(b"b", Reason.CUT)], (2, 0, 0)) == (bench.lines, bench.rejected, bench.counts)
    bench.listener.close()


async def test_the_kernel_may_have_no_connection_to_give(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without file descriptors it says so, waits, and goes on when there are some."""
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    bench = Bench()
    answers = [OSError(24, "Too many open files")] * 2
    accept = bench.streams._next

    def failing(listener: socket.socket) -> socket.socket | None:
        if answers:
            raise answers.pop()
        return accept(listener)

    monkeypatch.setattr(bench.streams, "_next", failing)
    answers.append(OSError(24, "Too many open files"))
    bench.streams.finish(math.inf)
    assert 2 == len(answers)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.streams.run)
        with bench.connect() as sender:
            sender.sendall(b"a 1\n")
            await bench.until(lambda: bench.lines == [b"a 1"])
        tasks.cancel_scope.cancel()
    bench.streams.finish(math.inf)
    bench.listener.close()
    assert ["cannot accept a connection: Too many open files"] * 2 == caplog.messages
