"""What all collectors of one service listen on."""

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tally.collector import listener
from tally.collector.binding import bind_all, bind_http
from tally.collector.listener import bind
from tally.collector.sockets import Inherited, Sockets
from tally.collector.tcp import listen
from tally.collector.unix import bind as bind_unix
from tally.errors import AddressUnavailable, InvalidSetting
from tally.settings import Settings
from tests.collector.resolving import resolving


@contextmanager
def bound(settings: Settings, inherited: Sequence[Inherited] = ()) -> Iterator[list[Sockets]]:
    """Bind all sockets, and close them."""
    with ExitStack() as stack:
        sockets = bind_all(settings, inherited)
        for each in sockets:
            stack.callback(each.close)
        yield sockets


def test_without_further_settings_there_is_one_socket() -> None:
    """By default, a collector listens on UDP only."""
    with bound(Settings.load({}, port=0)) as [sockets]:
        assert [1, 0, 0] == [len(sockets.datagrams), len(sockets.streams), len(sockets.paths)]
        assert not sockets.are_inherited


def test_the_first_worker_has_all_that_is_not_udp(tmp_path: Path) -> None:
    """Only one process listens on TCP and unix sockets, each on UDP. Paths are removed at the end."""
    paths = {"unix_datagram": tmp_path / "datagrams", "unix_stream": tmp_path / "stream"}
    with bound(Settings.load({}, port=0, tcp_port=0, workers=3, **paths)) as [first, *others]:
        kinds = [(sock.family, sock.type) for sock in (*first.datagrams, *first.streams)]
        assert [
            (socket.AF_INET, socket.SOCK_DGRAM),
            (socket.AF_UNIX, socket.SOCK_DGRAM),
            (socket.AF_INET, socket.SOCK_STREAM),
            (socket.AF_UNIX, socket.SOCK_STREAM),
        ] == kinds
        assert [(1, 0), (1, 0)] == [(len(each.datagrams), len(each.streams)) for each in others]
        assert 1 == len({each.datagrams[0].getsockname() for each in (first, *others)})
        assert sorted(paths.values()) == sorted(tmp_path.iterdir())
    assert [] == list(tmp_path.iterdir())


def test_what_is_handed_over_is_all_there_is(tmp_path: Path) -> None:
    """Inherited sockets are recognized by their type and name. One named http is not used, and no path is removed."""
    settings = Settings.load({}, tcp_port=0, receive_buffer=65_536)
    with listen("127.0.0.1", 0) as http, bound(Settings.load({}, port=0), [Inherited("http", http)]) as [own]:
        assert not own.are_inherited
    udp, tcp = bind("127.0.0.1", 0, receive_buffer_bytes=4096), listen("127.0.0.1", 0)
    pickles = listen("127.0.0.1", 0)
    unix = bind_unix(tmp_path / "lines", socket.SOCK_DGRAM)
    given = [Inherited("pickle", udp), Inherited("tcp", tcp), Inherited("unix", unix), Inherited("pickle", pickles)]
    with bound(settings, given) as [sockets]:
        assert Sockets([udp, unix], [tcp], are_inherited=True, pickles=[pickles]) == sockets
        assert 2 * 65_536 == udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert (tmp_path / "lines").exists()


def test_several_workers_cannot_share_what_is_handed_over() -> None:
    """Several workers with inherited sockets would each count the kernel's drops."""
    said = r"TALLY_WORKERS='2' is not valid with inherited sockets: use 1"
    with bind("127.0.0.1", 0, receive_buffer_bytes=4096) as udp, pytest.raises(InvalidSetting, match=said):
        bind_all(Settings.load({}, workers=2), [Inherited("udp", udp)])


def test_a_path_in_use_leaves_nothing_behind(tmp_path: Path) -> None:
    """A collector that cannot start removes its sockets, and reports the error."""
    (tmp_path / "stream").write_text("mine")
    settings = Settings.load({}, port=0, unix_stream=tmp_path / "stream", unix_datagram=tmp_path / "datagrams")
    with pytest.raises(AddressUnavailable, match="stream: Address already in use"):
        bind_all(settings)
    assert ["stream"] == [path.name for path in tmp_path.iterdir()]


def test_a_udp_port_in_use_leaves_nothing_behind(tmp_path: Path) -> None:
    """UDP is bound last. If it fails, the other sockets are closed, and paths removed."""
    paths = {"unix_datagram": tmp_path / "datagrams", "unix_stream": tmp_path / "stream"}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        tcp_port = probe.getsockname()[1]
    with bind("127.0.0.1", 0, receive_buffer_bytes=4096) as udp:
        settings = Settings.load({}, port=udp.getsockname()[1], tcp_port=tcp_port, **paths)
        with pytest.raises(AddressUnavailable, match=r"UDP .* Address already in use"):
            bind_all(settings)
    assert [] == list(tmp_path.iterdir())
    with socket.create_server(("127.0.0.1", tcp_port)):
        pass


def test_nothing_is_taken_until_all_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the UDP port is bound, TCP connections are refused, for lines and HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [sock.getsockname()[1] for sock in (one, other)]
    settings = Settings.load({}, port=0, tcp_port=ports[0], http_port=ports[1])
    found: list[int] = []

    def looking(host: str, port: int, **options: Any) -> socket.socket:
        for tcp_port in ports:
            with socket.socket() as client:
                found.append(client.connect_ex(("127.0.0.1", tcp_port)))
        return bind(host, port, **options)

    monkeypatch.setattr(listener, "bind", looking)
    [http] = bind_http(settings)
    with http, bound(settings), socket.create_connection(("127.0.0.1", ports[0])):
        assert [errno.ECONNREFUSED] * 2 == found


@pytest.mark.parametrize("workers", [1, 3])
def test_a_name_is_listened_on_at_each_of_its_addresses(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """UDP, TCP and HTTP each use one port at all addresses of a name, and workers share the UDP port."""
    resolving(monkeypatch, "::1", "127.0.0.1", "127.0.0.2")
    settings = Settings.load({}, host="many", port=0, tcp_port=0, http_host="many", http_port=0, workers=workers)
    http = bind_http(settings)
    with ExitStack() as stack, bound(settings) as [first, *others]:
        for sock in http:
            stack.enter_context(sock)
        for sockets in (first.datagrams, first.streams, http, *(each.datagrams for each in others)):
            assert ["::1", "127.0.0.1", "127.0.0.2"] == [sock.getsockname()[0] for sock in sockets]
            assert 1 == len({sock.getsockname()[1] for sock in sockets})
        assert 1 == len({sock.getsockname()[1] for each in (first, *others) for sock in each.datagrams})
        assert workers == 1 + len(others)
