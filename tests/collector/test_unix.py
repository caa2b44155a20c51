"""Unix sockets."""

import socket
from pathlib import Path

import pytest

from tally.collector.unix import bind
from tally.errors import AddressUnavailable

KINDS = [socket.SOCK_DGRAM, socket.SOCK_STREAM]


@pytest.mark.parametrize("kind", KINDS)
def test_it_can_be_connected_to(tmp_path: Path, kind: socket.SocketKind) -> None:
    """A socket of either kind is bound to its path, and does not block."""
    path = tmp_path / "lines"
    with bind(path, kind) as sock, socket.socket(socket.AF_UNIX, kind) as client:
        assert not sock.getblocking()
        client.connect(str(path))


@pytest.mark.parametrize("left", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_dead_collector_left_is_replaced(
    tmp_path: Path, left: socket.SocketKind, kind: socket.SocketKind
) -> None:
    """A socket that nobody listens on any more keeps nobody from the path, whatever kind it was."""
    path = tmp_path / "lines"
    bind(path, left).close()
    assert path.is_socket()
    with bind(path, kind), socket.socket(socket.AF_UNIX, kind) as client:
        client.connect(str(path))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("there", KINDS)
def test_a_socket_in_use_stays(tmp_path: Path, there: socket.SocketKind, kind: socket.SocketKind) -> None:
    """A path on which another process listens is an error, and keeps working."""
    path = tmp_path / "lines"
    with bind(path, there), socket.socket(socket.AF_UNIX, there) as client:
        with pytest.raises(AddressUnavailable, match="Address already in use"):
            bind(path, kind)
        client.connect(str(path))


def test_a_file_stays(tmp_path: Path) -> None:
    """A file that is not a socket is not overwritten."""
    path = tmp_path / "lines"
    path.write_text("mine")
    with pytest.raises(AddressUnavailable, match=r"lines: Address already in use; set TALLY_UNIX_DATAGRAM"):
        bind(path, socket.SOCK_DGRAM)
    assert "mine" == path.read_text()


@pytest.mark.parametrize("name", ["nowhere/lines", "x" * 200])
def test_a_path_that_cannot_be_one_is_one_line(tmp_path: Path, name: str) -> None:
    """A missing directory and a path that is too long are errors."""
    with pytest.raises(AddressUnavailable, match="cannot listen on unix socket") as caught:
        bind(tmp_path / name, socket.SOCK_STREAM)
    assert "\n" not in str(caught.value)
