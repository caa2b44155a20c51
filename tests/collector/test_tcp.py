"""TCP sockets."""

import socket

import pytest

from tally.collector.tcp import listen
from tally.errors import AddressUnavailable


@pytest.mark.parametrize(("host", "reached"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")])
def test_it_can_be_connected_to(host: str, reached: str) -> None:
    """A socket listens on an IPv4 or IPv6 address, or on both with `::`. Accepting never blocks."""
    with listen(host, 0) as sock:
        with pytest.raises(BlockingIOError):
            sock.accept()
        with socket.create_connection((reached, sock.getsockname()[1])):
            pass


def test_a_port_in_use_is_one_line() -> None:
    """The error for an unusable address names the address and the settings."""
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(AddressUnavailable, match=rf"TCP 127\.0\.0\.1 port {port}: .*TALLY_TCP_PORT") as caught:
            listen("127.0.0.1", port)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a" * 300])
def test_an_address_of_another_machine(host: str) -> None:
    """So does the error for an address that is foreign or malformed."""
    with pytest.raises(AddressUnavailable, match=r"cannot listen on HTTP .* set TALLY_HTTP_HOST and TALLY_HTTP_PORT"):
        listen(host, 0, purpose="HTTP")
