"""From the socket to lists of datagrams."""

import math
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path

import anyio
import pytest

from tally.collector import receiver as receiver_module
from tally.collector.listener import bind, enable_times, stop_queueing
from tally.collector.receiver import BATCH_DATAGRAMS, LATE_S, TURN_BATCHES, Network, Receiver, Timed, is_allowed
from tally.collector.unix import bind as bind_unix
from tally.engine.storing.native_rollup import new_rollup
from tests.collector.stalling import kernel_times, send_in_seconds
from tests.processes import LIMIT_S, wait_for


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """A bound socket with room for some thousand datagrams."""
    with bind("127.0.0.1", 0, receive_buffer_bytes=8 * 2**20) as sock:
        yield sock


def send(sock: socket.socket, count: int) -> None:
    """Send numbered datagrams to a socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(count):
            sender.sendto(b"a %d" % number, sock.getsockname())


def taking(batches: list[list[bytes]]) -> Callable[[Sequence[bytes], int], None]:
    """Return what puts each list of datagrams into `batches`."""
    return lambda batch, _second: batches.append(list(batch))


@pytest.mark.parametrize("count", [0, 1, BATCH_DATAGRAMS, BATCH_DATAGRAMS + 1, 3 * BATCH_DATAGRAMS])
@pytest.mark.parametrize("allow", [(), (ip_network("127.0.0.0/8"),)])
def test_a_drain_takes_all_in_order_and_in_batches(sock: socket.socket, count: int, allow: tuple[()]) -> None:
    """Every datagram is passed on once, in order, in lists of at most BATCH_DATAGRAMS, and counted."""
    batches: list[list[bytes]] = []
    receiver = Receiver(sock, taking(batches), allow=allow)
    send(sock, count)
    assert count == receiver.drain(8)
    assert [b"a %d" % number for number in range(count)] == [each for batch in batches for each in batch]
    assert all(1 <= len(batch) <= BATCH_DATAGRAMS for batch in batches)
    assert (count, 0) == (receiver.datagrams, receiver.refused)


def test_a_drain_is_bounded(sock: socket.socket) -> None:
    """A drain reads a limited number of batches, and leaves the rest for the next."""
    receiver = Receiver(sock, lambda _batch, _second: None)
    send(sock, BATCH_DATAGRAMS + 7)
    assert [BATCH_DATAGRAMS, 7, 0] == [receiver.drain(1) for _ in range(3)]


@pytest.mark.anyio
async def test_a_backlog_is_read_without_sleeping(sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """While datagrams are waiting, the receiver does not sleep."""
    monkeypatch.setattr(receiver_module, "LONG_SLEEP_S", 3600)
    taken: list[bytes] = []
    receiver = Receiver(sock, lambda batch, _second: taken.extend(batch))
    backlog = TURN_BATCHES * BATCH_DATAGRAMS + 1
    send(sock, backlog)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiver.run)
        with anyio.fail_after(LIMIT_S):
            while len(taken) < backlog:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


def test_those_from_elsewhere_are_refused_and_counted(sock: socket.socket) -> None:
    """A datagram from outside the allowed networks is ignored, but counted."""
    batches: list[list[bytes]] = []
    receiver = Receiver(sock, taking(batches), allow=(ip_network("10.0.0.0/8"),))
    send(sock, 3)
    assert 3 == receiver.drain(1)
    assert ([], 0, 3) == (batches, receiver.datagrams, receiver.refused)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("10.0.0.0", True),
        ("10.0.0.255", True),
        ("10.0.1.0", False),
        ("9.255.255.255", False),
        ("::ffff:10.0.0.7", True),
        ("::ffff:10.0.1.7", False),
        ("fd00::1", True),
        ("fd01::1", False),
        ("fe80::1%eth0", True),
        ("fe80::2%eth0", False),
    ],
)
def test_networks_are_of_either_family(host: str, expected: bool) -> None:
    """An address is allowed by its network. IPv4 addresses may be mapped into IPv6, and scopes are ignored."""
    networks = tuple(map(ip_network, ("10.0.0.0/24", "fd00::/16", "fe80::1/128")))
    assert expected == is_allowed(host, networks)


@pytest.fixture
def times() -> Iterator[None]:
    """Let the kernel tell when datagrams came."""
    with kernel_times():
        yield


@contextmanager
def connected(kind: str, directory: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield a socket that receives, and one that sends to it."""
    with ExitStack() as stack:
        if kind == "unix":
            sock = stack.enter_context(bind_unix(directory / "lines", socket.SOCK_DGRAM))
            enable_times(sock)
        else:
            sock = stack.enter_context(bind(kind, 0, receive_buffer_bytes=2**20))
        sender = stack.enter_context(socket.socket(sock.family, socket.SOCK_DGRAM))
        sender.connect(sock.getsockname())
        yield sock, sender


@pytest.mark.parametrize(
    ("kind", "allow"), [("127.0.0.1", ()), ("::1", ()), ("127.0.0.1", (ip_network("127.0.0.0/8"),)), ("unix", ())]
)
@pytest.mark.parametrize("end", ["drain", "finish"])
@pytest.mark.usefixtures("times")
def test_what_waited_belongs_to_the_second_in_which_it_came(
    tmp_path: Path, kind: str, allow: tuple[Network, ...], end: str
) -> None:
    """What is read late has the second in which the kernel received it, in its order, also at the end."""
    taken: list[tuple[bytes, int]] = []
    with connected(kind, tmp_path) as (sock, sender):
        receiver = Receiver(sock, lambda batch, second: taken.extend((each, second) for each in batch), allow=allow)
        receiver.drain(1)
        sent = send_in_seconds(sender.send, 3)  # Later than LATE_S at least.
        if end == "finish":
            stop_queueing(sock)
        receiver.drain(1) if end == "drain" else receiver.finish(math.inf)
    assert sent == [each for each in taken if each in sent]
    assert len(taken) == receiver.datagrams


@pytest.mark.parametrize(("step_s", "expected_s"), [(-3600, -3600), (0, 0), (3600, 0)])
@pytest.mark.usefixtures("times")
def test_a_clock_that_steps_moves_nothing_into_the_future(sock: socket.socket, step_s: int, expected_s: int) -> None:
    """Datagrams that waited while the clock stepped have their second of receipt, but none in the future."""
    offset = 0
    seconds: list[int] = []
    receiver = Receiver(sock, lambda _batch, second: seconds.append(second), clock=lambda: time.time() + offset)
    receiver.drain(1)
    sent = time.time()
    send(sock, 1)
    wait_for(lambda: time.time() >= sent + LATE_S, "a late look")
    offset = step_s
    receiver.drain(1)
    assert 0 <= seconds[0] - int(sent + expected_s) <= time.time() - sent + 1


def test_what_is_read_at_once_costs_no_look_at_its_time(sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Receive times are read at first, after LATE_S, after the clock was set back, and in an old backlog."""
    now, age_s, looks = 1000.0, 0.0, 0
    receiver = Receiver(sock, lambda _batch, _second: None, clock=lambda: now)

    def read_timed() -> tuple[list[Timed], int]:
        nonlocal looks
        looks += 1
        batch, found = receiver._read_all()
        return [(datagram, now - age_s) for datagram in batch], found

    monkeypatch.setattr(receiver, "_read_timed", read_timed)

    def is_late(after_s: float, *, datagrams: int = 1, age: float = 0) -> bool:
        nonlocal now, age_s
        now, age_s, before = now + after_s, age, looks
        send(sock, datagrams)
        receiver.drain(1)
        return looks > before

    assert [True, False, False, True, False] == [is_late(after_s) for after_s in (0, 0, LATE_S - 0.01, LATE_S, 0)]
    assert [True, False] == [is_late(after_s) for after_s in (-3600, 0)]
    many = BATCH_DATAGRAMS + 1
    assert [False, False, True, False] == [is_late(after_s, datagrams=many) for after_s in (0, 0.1, LATE_S, 0.1)]
    assert [True, True, False] == [is_late(LATE_S, datagrams=many, age=LATE_S), is_late(0, age=0.1), is_late(0)]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells no times")
def test_open_files_that_are_sent_along_are_not_taken(tmp_path: Path) -> None:
    """Descriptors that a sender passes are not accepted while times are read."""
    with connected("unix", tmp_path) as (sock, sender):
        receiver = Receiver(sock, lambda _batch, _second: None)
        before = len(list(Path("/proc/self/fd").iterdir()))
        socket.send_fds(sender, [b"a 1"], [0, 1, 2, 0, 1, 2, 0, 1])
        assert 1 == receiver.drain(1)
        assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_the_last_are_taken_until_there_are_none(sock: socket.socket) -> None:
    """All datagrams in the kernel's queue are read, including empty ones, within the time limit."""
    batches: list[list[bytes]] = []
    receiver = Receiver(sock, taking(batches))
    send(sock, BATCH_DATAGRAMS + 7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", sock.getsockname())
    receiver.finish(-math.inf)
    assert [] == batches
    receiver.finish(math.inf)
    assert BATCH_DATAGRAMS + 8 == receiver.datagrams == sum(map(len, batches))


@pytest.mark.parametrize("last", [b"a 2", b""])
def test_a_unix_socket_comes_to_its_end(tmp_path: Path, last: bytes) -> None:
    """A unix socket that refuses datagrams returns those that it holds, and its senders get an error."""
    batches: list[list[bytes]] = []
    with (
        bind_unix(tmp_path / "lines", socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        receiver = Receiver(sock, taking(batches))
        sender.connect(str(tmp_path / "lines"))
        for datagram in (b"a 1", b"", last):
            sender.send(datagram)
        stop_queueing(sock)
        with pytest.raises(BrokenPipeError):
            sender.send(b"a 3")
        receiver.finish(math.inf)
    assert [b"a 1", *([b"", last] if last else [])] == [each for batch in batches for each in batch]


@pytest.mark.parametrize("sketched", [False, True])
def test_any_rollup_takes_what_is_read(sock: socket.socket, sketched: bool) -> None:
    """Batches are added by the native rollup, and by the one in Python, which makes sketches."""
    rollup = new_rollup(10, sketched=sketched)
    receiver = Receiver(sock, rollup.add)
    send(sock, 20)
    assert 20 == receiver.drain(1)
    [row] = rollup.take().values()
    assert (20, 190.0, 0.0, 19.0) == row["a"][:4]
    assert sketched == (row["a"][4] is not None)
