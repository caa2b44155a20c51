"""The same lines by every input: the stored samples are the same."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.api.asking import ask, service
from tests.api.cases import bearer
from tests.cli.command import run
from tests.clients.collecting import Collecting, collecting

NOW = 1_700_000_000
# As real clients write them, each line with what is odd about it; a byte order mark stands before all of them.
LINES = b"""plain 2
tagged;b=1;a=2 1
tagged;a=2;b=1 3
collectd.gauge nan
views:1|c|@0.5|#env:prod,country=china,svc:Kafka::Config|c:ci-1|e:it|card:low
page,env=prod,host=web1:320|ms
page[host=web1,env=prod]:80|ms
queue:5|g
queue: -2|g
queue:nan|g
users:ada|s:bob|s
users:ada|s
late:1|c|zz:top
injected:9|c|#x 0.25
_sc|check|0
"""
EXPECTED = {
    "plain": (1, 2, 2, 2),
    "tagged;a=2;b=1": (2, 4, 1, 3),
    "views;country=china;env=prod;svc=Kafka::Config": (2, 2, 1, 1),
    "page;env=prod;host=web1": (2, 400, 80, 320),
    "queue": (2, 8, 3, 5),
    "users": (1, 2, 2, 2),
    "late": (1, 1, 1, 1),
}
DATA = b"\xef\xbb\xbf" + LINES
Stored = dict[str, tuple[float, ...]]


def stored(directory: Path) -> Stored:
    """Return `(count, sum, min, max)` of all samples by name."""
    found = Catalog(directory)["all"].aggregate(by="name")
    return {name: tuple(each[key] for key in ("count", "sum", "min", "max")) for name, each in found.items()}


def collected(directory: Path, send: Callable[[Collecting], None]) -> Stored:
    """Return what a collector stores of the lines that `send` sends."""
    paths = {f"TALLY_UNIX_{kind}": directory / kind.lower() for kind in ("DATAGRAM", "STREAM")}
    with collecting(directory, TALLY_TCP_PORT=0, **paths) as collector:
        assert collector.tcp_port  # By then all sockets are bound.
        send(collector)
        found = collector.end()
        collector.running.said(r"accepted 11 lines, rejected 2; .* 2 lines had no measurement")
    return found


def connected(family: int, kind: int, address: str | tuple[str, int]) -> None:
    """Send the lines to a socket."""
    with socket.socket(family, kind) as made:
        made.connect(address)
        made.sendall(DATA)


def by_udp(directory: Path) -> Stored:
    """Send one datagram."""
    return collected(
        directory,
        lambda collector: connected(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", collector.port)),
    )


def by_tcp(directory: Path) -> Stored:
    """Send a stream."""
    return collected(
        directory,
        lambda collector: connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", collector.tcp_port)),
    )


def by_unix_datagram(directory: Path) -> Stored:
    """Send one datagram to a path."""
    path = str(directory / "datagram")
    return collected(directory, lambda _: connected(socket.AF_UNIX, socket.SOCK_DGRAM, path))


def by_unix_stream(directory: Path) -> Stored:
    """Send a stream to a path."""
    path = str(directory / "stream")
    return collected(directory, lambda _: connected(socket.AF_UNIX, socket.SOCK_STREAM, path))


def by_tally_send(directory: Path) -> Stored:
    """Send a file by `tally send`, which counts the lines that it drops."""
    with collecting(directory) as collector:
        result = run(directory, "send", "-", stdin=DATA, TALLY_PORT=collector.port)
        assert b"read 15 lines, rejected 2 (check 1, fields 1), empty 2" in result.stdout
        return collector.end()


def by_tally_import(directory: Path) -> Stored:
    """Store a file by `tally import`."""
    Catalog(directory).create("all", resolution=10)
    result = run(directory, "import", "-", stdin=DATA)
    assert b"read 15 lines, rejected 2 (check 1, fields 1), empty 2" in result.stdout
    return stored(directory)


def by_post(directory: Path) -> Stored:
    """Post a body."""
    Catalog(directory).create("all", resolution=10)
    asked = service(directory, now=NOW, write_token="w")
    got = ask(asked, "/samples/", method="POST", headers=bearer("w"), body=DATA)
    assert (200, 11, 2) == (got.status, got.json["accepted"], got.json["empty"])
    assert [{"line": 14, "reason": "fields"}, {"line": 15, "reason": "check"}] == got.json["rejected"]
    return stored(directory)


@pytest.mark.parametrize(
    "way", [by_udp, by_tcp, by_unix_datagram, by_unix_stream, by_tally_send, by_tally_import, by_post]
)
def test_every_way_takes_the_same_lines(tmp_path: Path, way: Callable[[Path], Stored]) -> None:
    """Plain lines, StatsD and DogStatsD lines, empty and rejected ones give the same samples by every input."""
    assert EXPECTED == way(tmp_path)
