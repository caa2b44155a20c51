"""`tally serve`, as a real process."""

import json
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from tally.engine import Archive, Catalog
from tests.collector.resolving import path_with_resolver
from tests.collector.test_workers import locked
from tests.processes import LIMIT_S, Running, free_ports, started, wait_for

DEFAULTS = {"daily": (10, 24), "weekly": (300, 168), "yearly": (3600, 8760)}


def get(running: Running, path: str) -> Any:
    """Return what a server answers."""
    response = httpx.get(running.url + path, timeout=LIMIT_S)
    assert 200 == response.status_code, response.text
    return response.json()


def send(running: Running, datagram: bytes) -> None:
    """Send a datagram to a server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(datagram, ("127.0.0.1", running.udp_port))


def failed(directory: Path, *arguments: str, **settings: object) -> str:
    """Return the one line with which a server ends that cannot start, and that has left nothing behind."""
    with started(directory, "serve", *arguments, **settings) as running:
        assert 2 == running.process.wait(LIMIT_S)
    [line] = running.lines
    return line


def test_in_an_empty_directory_it_creates_three_archives_and_says_so(tmp_path: Path) -> None:
    """The banner shows what was created, where the archives and the dashboard are, and what each archive keeps."""
    with started(tmp_path / "new" / "data", "serve") as running:
        assert running.udp_port
        listed = get(running, "/archives/")
    assert DEFAULTS == {each["slug"]: (each["resolution"], each["retention"]) for each in listed}
    archives = [f"{slug}: {s} s buckets, kept {h} h, all metrics\n" for slug, (s, h) in DEFAULTS.items()]
    assert [
        "created daily, weekly, yearly: `tally demo` sends made-up samples to look at\n",
        f"dashboard and API on {running.url}/\n",
        f"archives are in {tmp_path / 'new' / 'data'}\n",
        *archives,
    ] == running.lines[: 3 + len(archives)]


def test_where_there_is_an_archive_it_creates_none(tmp_path: Path) -> None:
    """A directory that is in use is not changed."""
    Catalog(tmp_path).create("mine", resolution=60)
    with started(tmp_path, "serve") as running:
        assert running.udp_port
        assert ["mine"] == [each["slug"] for each in get(running, "/archives/")]
    assert not [line for line in running.lines if "created" in line]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_it_with_everything_stored(tmp_path: Path, number: int, workers: int) -> None:
    """Samples sent before the signal are in each archive, which is one file afterwards, and the status is 0."""
    with started(tmp_path, "serve", TALLY_FLUSH_TIME=3600, TALLY_WORKERS=workers) as running:
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == workers, "all collectors")
        for _ in range(100):
            send(running, b"a 1\nb 2")
        assert 0 == running.end(number)
    assert [f"{slug}.db" for slug in DEFAULTS] == sorted(path.name for path in tmp_path.iterdir())
    for slug in DEFAULTS:
        assert {"a": 100, "b": 200} == Archive(tmp_path / f"{slug}.db").aggregate("sum", by="name")
    assert not [line for line in running.lines if "Traceback" in line]


def test_samples_that_are_lost_at_the_end_are_told(tmp_path: Path) -> None:
    """If samples can be neither stored nor spilled, the last line counts them, and the status is 1."""
    with started(tmp_path, "serve", TALLY_FLUSH_TIME=3600) as running:
        assert running.url
        (tmp_path / "daily.spill").mkdir()
        send(running, b"a 1\nb 2")
        with locked(tmp_path / "daily.db"):
            assert 1 == running.end(signal.SIGTERM)
    assert running.lines[-1].startswith("tally: lost 2 samples of daily: ")
    assert not [line for line in running.lines if "Traceback" in line]


def test_a_signal_while_an_answer_is_under_way(tmp_path: Path) -> None:
    """A client that does not read its answer delays the end of the server by a few seconds at most."""
    archive = Catalog(tmp_path).create("big", resolution=1, retention=0)
    archive.record((f"name.{n}", n / 7, b) for b in range(400) for n in range(200))
    with started(tmp_path, "serve") as running:
        assert running.udp_port
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", httpx.URL(running.url).port))
            client.sendall(b"GET /values/big/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(1)
            assert 0 == running.end(signal.SIGTERM)
            running.said("timeout graceful shutdown exceeded")
    assert not [line for line in running.lines if "Traceback" in line]
    assert ["big.db"] == [path.name for path in tmp_path.iterdir()]


def test_it_collects_and_answers(tmp_path: Path) -> None:
    """A sample can be queried after the next flush."""
    with started(tmp_path, "serve") as running:
        send(running, b"requests.get.index 0.25\nrequests.get.index 0.75")
        wait_for(lambda: get(running, "/aggregate/daily/sum/byname/") == {"requests.get.index": 1.0}, "the answer")
        # Archives are committed one after the other.
        counted = "/aggregate/yearly/count/byname/"
        wait_for(lambda: get(running, counted) == {"requests.get.index": 2}, "the other archive")


def test_both_protocols_have_addresses_of_their_own(tmp_path: Path) -> None:
    """HTTP and samples have separate addresses, which may be IPv6."""
    with started(tmp_path, "serve", "--host", "127.0.0.2", "--http-host", "::1") as running:
        running.said(r"collecting on UDP 127\.0\.0\.2 port \d+ ")
        assert re.fullmatch(r"http://\[::1\]:\d+", running.url)
        assert len(DEFAULTS) == len(get(running, "/archives/"))


def test_all_of_ipv6_is_all_of_ipv4_too(tmp_path: Path) -> None:
    """On `::`, both IPv4 and IPv6 are answered, by HTTP and UDP."""
    with started(tmp_path, "serve", "--host", "::", "--http-host", "::") as running:
        port = running.url.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            assert 200 == httpx.get(f"http://{host}:{port}/archives/", timeout=LIMIT_S).status_code
            assert running.udp_port


def test_a_name_is_served_at_each_of_its_addresses(tmp_path: Path) -> None:
    """A host name is listened on at all of its addresses, and the log names each."""
    path = path_with_resolver(tmp_path / "path", "127.0.0.1", "::1")
    hosts = ("--host", "many", "--http-host", "many", "--tcp-port", "0")
    with started(tmp_path / "data", "serve", *hosts, PYTHONPATH=path) as running:
        port, url = running.udp_port, running.url
        assert port == int(running.said(r"collecting on UDP ::1 port (\d+)")[1])
        tcp_port = int(running.said(r"collecting on TCP ::1 port (\d+)")[1])
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, tcp_port)) as stream:
                stream.sendall(b"tcp 1\n")
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"udp 1", (host, port))
        running.said(rf"dashboard and API on {url.replace('127.0.0.1', r'.::1.')}/")
        wait_for(lambda: get(running, "/aggregate/daily/count/byname/") == {"tcp": 2, "udp": 2}, "the answer")
        assert 200 == httpx.get(url.replace("127.0.0.1", "[::1]") + "/archives/", timeout=LIMIT_S).status_code


@pytest.mark.parametrize(
    "which", ["TALLY_PORT", "TALLY_TCP_PORT", "TALLY_HTTP_PORT", "TALLY_UNIX_STREAM", "TALLY_DATA_DIR"]
)
def test_where_one_address_cannot_be_had_nothing_is_left(tmp_path: Path, which: str) -> None:
    """The start fails with one line, and releases the paths and ports that were already bound."""
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        (tmp_path / "file").write_text("mine")
        taken = {
            "TALLY_PORT": udp.getsockname()[1],
            "TALLY_TCP_PORT": other.getsockname()[1],
            "TALLY_HTTP_PORT": other.getsockname()[1],
            "TALLY_UNIX_STREAM": tmp_path / "file",
            "TALLY_DATA_DIR": tmp_path / "file",
        }[which]
        chosen = {"TALLY_UNIX_DATAGRAM": tmp_path / "datagrams", "TALLY_UNIX_STREAM": tmp_path / "stream", which: taken}
        line = failed(chosen.pop("TALLY_DATA_DIR", tmp_path / "data"), TALLY_WORKERS=2, **chosen)
    assert str(taken) in line
    assert ["file"] == [path.name for path in tmp_path.iterdir()]


def can_connect(port: int) -> bool:
    """Return whether a TCP port can be connected to."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_once_it_answers_samples_are_taken(tmp_path: Path) -> None:
    """Samples are accepted as soon as HTTP is answered."""
    http_port, port = free_ports(2)
    with (
        started(tmp_path, "serve", TALLY_PORT=port, TALLY_HTTP_PORT=http_port) as running,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        wait_for(lambda: can_connect(http_port), "HTTP")
        sender.connect(("127.0.0.1", port))
        sender.send(b"a 1")
        sender.send(b"a 1")  # The kernel would tell here that the first was refused.
        wait_for(lambda: get(running, "/aggregate/daily/sum/byname/") == {"a": 2}, "both samples")


def test_a_udp_port_in_use_is_one_line(tmp_path: Path) -> None:
    """If another process uses the port, the start fails with the settings named, and creates no directory."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        line = failed(tmp_path / "data", TALLY_PORT=port)
    told = f"tally: cannot listen on UDP 127.0.0.1 port {port}: Address already in use; set TALLY_HOST and TALLY_PORT"
    assert line.startswith(told)
    assert not (tmp_path / "data").exists()


def test_a_tcp_port_in_use_is_one_line(tmp_path: Path) -> None:
    """If another process uses the HTTP port, the start fails as well."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = failed(tmp_path / "data", TALLY_HTTP_PORT=port)
    told = f"tally: cannot listen on HTTP 127.0.0.1 port {port}: Address already in use; set TALLY_HTTP_HOST and"
    assert line.startswith(told)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--http-host", "192.0.2.1"], "tally: cannot listen on HTTP 192.0.2.1 port 0: "),
        (["--host", "192.0.2.1"], "tally: cannot listen on UDP 192.0.2.1 port 0: "),
        (["--http-port", "65536"], "tally: --http-port='65536' is not a port: use a whole number from 0 to 65535"),
        (["--workers", "0"], "tally: --workers='0' is not a number of processes: use"),
        (["--data-dir", "/dev/null/data"], "tally: /dev/null/data: cannot be "),
        (["--data-dir", "/proc"], "tally: /proc: cannot be written: "),
        (["surplus"], "tally serve: got unexpected extra argument (surplus); see tally serve --help"),
    ],
)
def test_what_is_wrong_at_the_start_is_one_line(tmp_path: Path, arguments: list[str], told: str) -> None:
    """An unusable address or directory fails the start with one line that names it, and status 2."""
    assert failed(tmp_path, *arguments).startswith(told)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TALLY_FLUSH_TIME", "0", "TALLY_FLUSH_TIME='0' is not a duration: use a number of seconds greater than 0"),
        ("TALLY_ALLOW", "10.0.0.1/8", "TALLY_ALLOW='10.0.0.1/8' is not a list of networks: use "),
        ("TALLY_HOST", "", "TALLY_HOST='' is not an address to listen on: use an IP address or a host name"),
        ("TALLY_READ_TOKEN", "a,,b", "TALLY_READ_TOKEN=(not shown) is not a list of tokens: use "),
    ],
)
def test_a_malformed_setting_is_one_line_that_names_it(tmp_path: Path, name: str, value: str, told: str) -> None:
    """The error names the setting, its value unless it is secret, and valid values. Nothing is created."""
    assert failed(tmp_path / "data", **{name: value}).startswith(f"tally: {told}")
    assert not (tmp_path / "data").exists()


def _foreign(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)


def _newer(path: Path) -> None:
    Catalog(path.parent).create(path.stem)
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 99").fetchall()
    connection.close()


@pytest.mark.parametrize(
    ("make", "told"),
    [(_foreign, "is not a tally archive"), (_newer, "has format 99; this version of tally reads formats 1 and 2")],
    ids=["foreign", "newer"],
)
def test_a_file_that_cannot_be_used_is_told_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    """A line tells what is wrong with it, asking it is an error of the server's, and the others are served."""
    Catalog(tmp_path).create("good", resolution=10)
    make(tmp_path / "bad.db")
    before = (tmp_path / "bad.db").read_bytes()
    with started(tmp_path, "serve") as running:
        running.said(rf"{tmp_path}/bad\.db: .*{told}.*; it gets no samples until it can be read")
        send(running, b"a 1")
        wait_for(lambda: get(running, "/aggregate/good/count/byname/") == {"a": 1}, "the answer")
        response = httpx.get(f"{running.url}/names/bad/", timeout=LIMIT_S)
        assert 0 == running.end(signal.SIGTERM)
    problem = json.loads(response.content)
    assert (response.status_code, "application/problem+json") == (problem["status"], response.headers["content-type"])
    assert 500 <= response.status_code < 600
    assert before == (tmp_path / "bad.db").read_bytes()
