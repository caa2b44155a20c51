"""From the socket to lists of datagrams."""

import math
import socket
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import anyio
import pytest

from tally.collector import receiver as receiver_module
from tally.collector.listener import bind, refuse_more
from tally.collector.receiver import BATCH_DATAGRAMS, TURN_BATCHES, Receiver, is_allowed
from tally.collector.unix import bind as bind_unix
from tests.processes import LIMIT_S


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


@pytest.mark.parametrize("count", [0, 1, BATCH_DATAGRAMS, BATCH_DATAGRAMS + 1, 3 * BATCH_DATAGRAMS])
@pytest.mark.parametrize("allow", [(), (ip_network("127.0.0.0/8"),)])
def test_a_drain_takes_all_in_order_and_in_batches(sock: socket.socket, count: int, allow: tuple[()]) -> None:
    """Every datagram is handed on once, in order, in lists of at most BATCH_DATAGRAMS, and counted."""
    batches: list[list[bytes]] = []
    receiver = Receiver(sock, batches.append, allow=allow)
    send(sock, count)
    assert count == receiver.drain(8)
    assert [b"a %d" % number for number in range(count)] == [each for batch in batches for each in batch]
    assert all(1 <= len(batch) <= BATCH_DATAGRAMS for batch in batches)
    assert (count, 0) == (receiver.datagrams, receiver.refused)


def test_a_drain_is_bounded(sock: socket.socket) -> None:
    """A drain takes no more batches than it may, and leaves the rest for the next."""
    receiver = Receiver(sock, lambda _batch: None)
    send(sock, BATCH_DATAGRAMS + 7)
    assert [BATCH_DATAGRAMS, 7, 0] == [receiver.drain(1) for _ in range(3)]


@pytest.mark.anyio
async def test_a_backlog_is_taken_without_rest(sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """While more is left than a turn takes the receiver does not rest, so that it catches up where it fell behind."""
    monkeypatch.setattr(receiver_module, "LONG_REST_S", 3600)
    taken: list[bytes] = []
    receiver = Receiver(sock, taken.extend)
    backlog = TURN_BATCHES * BATCH_DATAGRAMS + 1
    send(sock, backlog)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiver.run)
        with anyio.fail_after(LIMIT_S):
            while len(taken) < backlog:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


def test_those_from_elsewhere_are_refused_and_counted(sock: socket.socket) -> None:
    """A datagram from outside the allowed networks is not handed on, but counted."""
    batches: list[list[bytes]] = []
    receiver = Receiver(sock, batches.append, allow=(ip_network("10.0.0.0/8"),))
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
    """An address is allowed by its network, IPv4 also when it comes mapped into IPv6, and scopes do not matter."""
    networks = tuple(map(ip_network, ("10.0.0.0/24", "fd00::/16", "fe80::1/128")))
    assert expected == is_allowed(host, networks)


def test_the_last_are_taken_until_there_are_none(sock: socket.socket) -> None:
    """All that the kernel holds is taken, empty datagrams too, unless the time is over."""
    batches: list[list[bytes]] = []
    receiver = Receiver(sock, batches.append)
    send(sock, BATCH_DATAGRAMS + 7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", sock.getsockname())
    receiver.finish(-math.inf)
    assert [] == batches
    receiver.finish(math.inf)
    assert BATCH_DATAGRAMS + 8 == receiver.datagrams == sum(map(len, batches))


@pytest.mark.parametrize("last", [b"a 2", b""])
def test_a_unix_socket_comes_to_its_end(tmp_path: Path, last: bytes) -> None:
    """Once it is told to refuse more, what it held is taken, and its senders are told."""
    batches: list[list[bytes]] = []
    with (
        bind_unix(tmp_path / "lines", socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        receiver = Receiver(sock, batches.append)
        sender.connect(str(tmp_path / "lines"))
        for datagram in (b"a 1", b"", last):
            sender.send(datagram)
        refuse_more(sock)
        with pytest.raises(BrokenPipeError):
            sender.send(b"a 3")
        receiver.finish(math.inf)
    assert [b"a 1", *([b"", last] if last else [])] == [each for batch in batches for each in batch]
