"""From the socket to lists of datagrams."""

import socket
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from tally.collector.listener import bind
from tally.collector.receiver import BATCH_DATAGRAMS, Receiver, is_allowed


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
