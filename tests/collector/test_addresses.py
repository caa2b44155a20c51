"""The addresses of a host name."""

import logging
import socket
import subprocess
import sys
from functools import partial

import pytest

from tally.collector import addresses as module
from tally.collector import listener, tcp
from tally.collector.addresses import TRIES, bind_each
from tally.errors import AddressUnavailable
from tests.collector.resolving import resolving

UDP = partial(listener.bind, receive_buffer_bytes=65_536)
# A network of its own for a process that runs a line of Python once it has only IPv4.
ONLY_IPV4 = """
import fcntl, socket, struct
open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w").write("1")
with socket.socket() as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, loopback, running
from tests.collector.test_addresses import bound_without_ipv6
bound_without_ipv6()
"""


@pytest.mark.parametrize("bind", [UDP, tcp.bind])
def test_each_address_of_a_name_has_the_port(monkeypatch: pytest.MonkeyPatch, bind: module.Bind) -> None:
    """A host name has all of its addresses once, of both families."""
    resolving(monkeypatch, "127.0.0.1", "::1", "127.0.0.1")
    first, second = bind_each("many", 0, bind)
    with first, second:
        assert ["127.0.0.1", "::1"] == [first.getsockname()[0], second.getsockname()[0]]
        assert first.getsockname()[1] == second.getsockname()[1] > 0


def test_a_given_port_is_the_port_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A given port is the only one tried. If it is taken at one address, none is bound."""
    resolving(monkeypatch, "127.0.0.1", "::1")
    with UDP("::1", 0) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressUnavailable, match=f"UDP ::1 port {port}: Address already in use"):
            bind_each("many", port, UDP)
        with UDP("127.0.0.1", port):
            pass
    with UDP("127.0.0.1", port):
        pass


@pytest.mark.parametrize(("taken", "is_bound"), [(TRIES, True), (TRIES + 1, False)])
def test_a_free_port_is_looked_for_again(monkeypatch: pytest.MonkeyPatch, taken: int, is_bound: bool) -> None:
    """If the port that the kernel chose is taken at another address, it chooses another, a few times."""
    resolving(monkeypatch, "127.0.0.1", "::1")
    asked: list[str] = []

    def bind(host: str, port: int) -> socket.socket:
        asked.append(host)
        if host == "::1" and asked.count(host) <= taken:
            raise AddressUnavailable("in use")
        return UDP(host, port)

    if is_bound:
        first, second = bind_each("many", 0, bind)
        with first, second:
            assert first.getsockname()[1] == second.getsockname()[1]
    else:
        with pytest.raises(AddressUnavailable, match="in use"):
            bind_each("many", 0, bind)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 300, "192.0.2.1"])
def test_what_is_no_address_here_is_told_by_whoever_binds(host: str) -> None:
    """The error names one address."""
    with pytest.raises(AddressUnavailable, match=r"cannot listen on UDP .* TALLY_HOST"):
        bind_each(host, 0, UDP)


def test_an_address_of_another_machine_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an unsupported family is skipped. A wrong address is an error, and nothing remains bound."""
    resolving(monkeypatch, "127.0.0.1", "192.0.2.1")
    with pytest.raises(AddressUnavailable, match=r"cannot listen on UDP 192\.0\.2\.1"):
        bind_each("many", 0, UDP)


def bound_without_ipv6() -> None:
    """Bind a name of both families, and log at which addresses that was."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with pytest.MonkeyPatch.context() as patch:
        resolving(patch, "::1", "127.0.0.1")
        logging.info("listening on %s", [sock.getsockname()[0] for sock in bind_each("many", 0, UDP)])
        resolving(patch, "::1")
        with pytest.raises(AddressUnavailable, match="UDP ::1"):
            bind_each("many", 0, UDP)


def test_a_family_that_the_machine_does_not_have_is_left_out() -> None:
    """Without IPv6, only the IPv4 address of a name is used, and the log says so."""
    command = ["unshare", "--net", sys.executable, "-c", ONLY_IPV4]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Operation not permitted" in ended.stderr:
        pytest.skip("this user may not have a network of its own")
    told = "not listening on ::1, an address of many: this machine has no IPv6\nlistening on ['127.0.0.1']\n"
    assert (told, "") == (ended.stdout, ended.stderr)
