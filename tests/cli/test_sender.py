"""Lines to a collector by UDP."""

import socket
import time
from collections.abc import Iterator

import pytest

from tally.cli.sender import Sender
from tally.errors import AddressUnavailable
from tests.processes import LIMIT_S, free_ports


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A socket that stands for a collector."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(LIMIT_S)
        yield made


def test_lines_arrive_packed_and_are_counted(receiver: socket.socket) -> None:
    """Lines arrive in order, in datagrams that fit an Ethernet frame, and the summary counts them."""
    lines = [b"some.name %d" % number for number in range(300)]
    with Sender(*receiver.getsockname(), rate=1e9) as sender:
        sender.send(lines)
        sender.check()
    datagrams = [receiver.recv(65_536) for _ in range(sender.datagrams)]
    assert lines == b"\n".join(datagrams).split(b"\n")
    assert max(map(len, datagrams)) <= 1432
    port = receiver.getsockname()[1]
    assert f"sent 300 lines in {len(datagrams)} datagrams to 127.0.0.1:{port}" == sender.summarize()


def test_the_rate_is_kept(receiver: socket.socket) -> None:
    """The rate is never exceeded, however the lines are passed in."""
    with Sender(*receiver.getsockname(), rate=1000) as sender:
        start = time.monotonic()
        for _ in range(101):
            sender.send([b"name 1"])
        # The slack that a busy machine may catch up is the most that it may be too fast.
        assert time.monotonic() - start >= 0.1 - 0.02 - 0.001


def test_a_pause_is_not_caught_up(receiver: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pause of the input, the next lines are not sent all at once."""
    slept: list[float] = []
    now = 1000.0

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.sleep", sleep)
    with Sender(*receiver.getsockname(), rate=10) as sender:
        now += 60
        for _ in range(3):
            sender.send([b"name 1"])
    assert [pytest.approx(0.08), pytest.approx(0.1)] == slept


def test_where_nobody_listens_sending_stops() -> None:
    """On the same machine, the kernel reports an unused port after the first datagram."""
    [port] = free_ports(1)
    with Sender("127.0.0.1", port, rate=1e9) as sender:
        with pytest.raises(AddressUnavailable) as caught:
            sender.send(b"name 1" for _ in range(1000))
        told = f"cannot send to 127.0.0.1:{port}: nothing listens there (after {sender.lines} lines)"
        assert told == str(caught.value)
        assert sender.lines < 1000


def test_one_lost_datagram_is_noticed_in_the_end() -> None:
    """A single datagram to an unused port is reported."""
    with Sender("127.0.0.1", free_ports(1)[0], rate=1e9) as sender:
        sender.send([b"name 1"])
        with pytest.raises(AddressUnavailable, match=r"nothing listens there \(after 1 line\)"):
            sender.check()


@pytest.mark.parametrize(
    ("host", "port", "told"),
    [
        ("", 8900, "TALLY_HOST is empty, so there is no collector: give --host, or use `tally import`"),
        ("127.0.0.1", 0, "cannot send to port 0: give --port"),
    ],
)
def test_some_addresses_are_nowhere(host: str, port: int, told: str) -> None:
    """An unusable setting is an error that says what to use instead."""
    with pytest.raises(AddressUnavailable) as caught:
        Sender(host, port, rate=1)
    assert told == str(caught.value)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "."])
def test_a_name_without_an_address_is_told(host: str) -> None:
    """A host that is unknown or malformed is an error."""
    with pytest.raises(AddressUnavailable, match=r"^cannot send to .*:8900: "):
        Sender(host, 8900, rate=1)


def test_ipv6_addresses_stand_in_brackets() -> None:
    """The summary separates the port from an IPv6 address."""
    with Sender("::1", 8900, rate=1) as sender:
        assert "[::1]:8900" == sender.address
