"""The UDP socket."""

import socket

import pytest

from tally.collector import listener as module
from tally.collector.listener import ask_for_buffer, bind, granted_bytes, kernel_drops, queued_bytes, stop_queueing
from tally.errors import AddressUnavailable

BUFFER_BYTES = 65_536


def receive_all(sock: socket.socket) -> list[bytes]:
    """Return what the kernel holds for a socket."""
    found = []
    try:
        while True:
            found.append(sock.recv(65_535))
    except BlockingIOError:
        return found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_listens_on_addresses_and_names(host: str) -> None:
    """A socket is bound to an IPv4 or IPv6 address, or to that of a host name."""
    with bind(host, 0, receive_buffer_bytes=BUFFER_BYTES) as sock:
        with socket.socket(sock.family, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a 1", sock.getsockname())
        assert [b"a 1"] == receive_all(sock)


def test_every_ipv6_address_takes_ipv4_too() -> None:
    """A socket on `::` receives from IPv4 and IPv6 senders."""
    with bind("::", 0, receive_buffer_bytes=BUFFER_BYTES) as sock:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a 1", ("127.0.0.1", sock.getsockname()[1]))
        assert [b"a 1"] == receive_all(sock)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a" * 300])
def test_an_address_of_another_machine_is_one_line(host: str) -> None:
    """The error for a foreign or malformed address names the address and the setting."""
    with pytest.raises(AddressUnavailable, match=r"cannot listen on UDP .* TALLY_HOST") as caught:
        bind(host, 0, receive_buffer_bytes=BUFFER_BYTES)
    assert "\n" not in str(caught.value)


def test_a_port_in_use_is_an_error_unless_shared() -> None:
    """A port can be used twice only if all its sockets share it."""
    with bind("127.0.0.1", 0, receive_buffer_bytes=BUFFER_BYTES) as sock:
        port = sock.getsockname()[1]
        for shared in (False, True):
            with pytest.raises(AddressUnavailable, match=f"port {port}: Address already in use"):
                bind("127.0.0.1", port, receive_buffer_bytes=BUFFER_BYTES, shared=shared)
    with bind("127.0.0.1", 0, receive_buffer_bytes=BUFFER_BYTES, shared=True) as sock:
        port = sock.getsockname()[1]
        with bind("127.0.0.1", port, receive_buffer_bytes=BUFFER_BYTES, shared=True) as other:
            assert port == other.getsockname()[1]


@pytest.mark.parametrize("size_bytes", [65_536, 131_072])
def test_the_kernel_grants_what_it_can(size_bytes: int) -> None:
    """The reported size is the requested one, not the doubled size of Linux."""
    with bind("127.0.0.1", 0, receive_buffer_bytes=size_bytes) as sock:
        assert size_bytes == granted_bytes(sock)


@pytest.mark.parametrize(("only_by_force", "expected"), [(True, 131_072), (False, 65_536)])
def test_a_buffer_need_not_become_smaller(monkeypatch: pytest.MonkeyPatch, only_by_force: bool, expected: int) -> None:
    """A process without privileges keeps a larger buffer that it inherited."""
    with bind("127.0.0.1", 0, receive_buffer_bytes=131_072) as sock:
        monkeypatch.setattr(module, "SO_RCVBUFFORCE", 32_767)  # No kernel knows this option.
        ask_for_buffer(sock, 65_536, only_by_force=only_by_force)
        assert expected == granted_bytes(sock)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_kernels_drops_are_told(host: str) -> None:
    """The received datagrams and the kernel's drops add up to those sent."""
    sent = 2000
    with bind(host, 0, receive_buffer_bytes=4096) as sock:
        assert 0 == kernel_drops(sock)
        with socket.socket(sock.family, socket.SOCK_DGRAM) as sender:
            for _ in range(sent):
                sender.sendto(b"a 1", sock.getsockname())
        arrived = len(receive_all(sock))
        assert 0 < arrived < sent
        assert sent == arrived + (kernel_drops(sock) or 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_waits_in_the_buffer_is_told(host: str) -> None:
    """The queue is not empty until its datagrams are read."""
    with bind(host, 0, receive_buffer_bytes=BUFFER_BYTES) as sock:
        assert 0 == queued_bytes(sock)
        with socket.socket(sock.family, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a 1", sock.getsockname())
        assert 0 < (queued_bytes(sock) or 0) <= 2 * BUFFER_BYTES
        receive_all(sock)
        assert 0 == queued_bytes(sock)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_refusing_keeps_what_is_queued(host: str) -> None:
    """A socket that refuses datagrams still returns those that it holds, and receives no new ones."""
    with bind(host, 0, receive_buffer_bytes=BUFFER_BYTES) as sock:
        address = (host.replace("0.0.0.0", "127.0.0.1").replace("::", "::1").replace("::11", "::1"),)
        with socket.socket(sock.family, socket.SOCK_DGRAM) as sender:
            sender.connect((*address, sock.getsockname()[1]))
            sender.send(b"before 1")
            stop_queueing(sock)
            sender.send(b"after 1")
            with pytest.raises(ConnectionRefusedError):
                sender.send(b"after 1")
        assert [b"before 1"] == receive_all(sock)
