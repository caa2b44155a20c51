"""`uvicorn tally.api:app` as a process, over real connections."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tally.api.message import MAX_BODY_BYTES
from tally.engine import Catalog
from tests.api.asking import ASK_ENDLESS, Got, check, fill_endless
from tests.api.cases import CASES, bearer
from tests.api.server import Server, begun, read_to_end, serving
from tests.processes import LIMIT_S, wait_for

NAMES, BUCKETS = 200, 1000
HAS_PROC = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are seen in /proc")


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with an archive whose dump is larger than a connection's buffers, and an endless one."""
    directory = tmp_path_factory.mktemp("big")
    fill_endless(directory)
    archive = Catalog(directory).create("big", resolution=10, retention=0)
    archive.record((f"name.{n}", n + b / 8, 10 * b) for b in range(BUCKETS) for n in range(NAMES))
    return directory


@pytest.fixture(scope="module")
def served(filled: Path) -> Iterator[Server]:
    """Return a server of the cases' directory."""
    with serving(filled) as server:
        yield server


@pytest.fixture(scope="module")
def served_big(big: Path) -> Iterator[Server]:
    """Return a server of the big archive."""
    with serving(big) as server:
        yield server


def test_each_case_is_answered_as_the_table_says(served: Server) -> None:
    """The contract's examples, tables and errors hold over HTTP."""
    with httpx.Client(base_url=served.url, timeout=LIMIT_S) as http:
        for case in CASES:
            response = http.request(case.method, case.target)
            check(case, Got(response.status_code, response.headers, response.content))


def test_an_archives_life_with_tokens(tmp_path: Path) -> None:
    """With the tokens of the environment an archive is created, asked and deleted."""
    with (
        serving(tmp_path, TALLY_READ_TOKEN="r1,r2", TALLY_WRITE_TOKEN="w1,w2") as server,
        httpx.Client(base_url=server.url, timeout=LIMIT_S) as http,
    ):
        assert 401 == http.get("/archives/").status_code
        assert 403 == http.post("/archives/", json={"slug": "a"}, headers=bearer("r2")).status_code
        created = http.post("/archives/", json={"slug": "a"}, auth=("anyone", "w2"))
        assert (201, "/archives/a/") == (created.status_code, created.headers["location"])
        Catalog(tmp_path)["a"].record([("x", 1, 100)])
        assert {"x": {"100": 1.0}} == http.get("/values/a/sum/", headers=bearer("r1")).json()
        assert 204 == http.delete("/archives/a/", headers=bearer("w1")).status_code
        assert 404 == http.get("/values/a/", headers=bearer("w1")).status_code


def test_behind_a_root_path(filled: Path) -> None:
    """With uvicorn's root path the redirect and the addresses name it."""
    with (
        serving(filled, "--root-path", "/monitor/tally") as server,
        httpx.Client(base_url=server.url, timeout=LIMIT_S) as http,
    ):
        redirect = http.get("/values/daily?q=*")
        assert (308, "/monitor/tally/values/daily/?q=*") == (redirect.status_code, redirect.headers["location"])
        assert "/monitor/tally/values/daily/" == http.get("/archives/daily/").json()["values_url"]


def test_a_dump_is_streamed_whole(served_big: Server) -> None:
    """A long answer is sent in chunks, ends with the last one, and has every cell."""
    with httpx.Client(base_url=served_big.url, timeout=LIMIT_S) as http:
        response = http.get("/values/big/sum/")
    assert "chunked" == response.headers["transfer-encoding"]
    answer = response.json()
    assert NAMES * BUCKETS == sum(map(len, answer.values()))
    assert 3 + 7 / 8 == answer["name.3"]["70"]


def test_head_runs_no_query(served_big: Server) -> None:
    """HEAD is answered immediately without a body, even if GET would never end."""
    with httpx.Client(base_url=served_big.url, timeout=LIMIT_S) as http:
        response = http.head(ASK_ENDLESS)
    assert (200, b"", "application/json") == (response.status_code, response.content, response.headers["content-type"])


@HAS_PROC
def test_a_client_that_goes_away_in_the_middle_stops_its_query(served_big: Server, big: Path) -> None:
    """If the connection is closed during a dump, the archive is closed."""
    sock = served_big.get("/values/big/", receive_buffer_bytes=4096)
    assert sock.recv(4096).startswith(b"HTTP/1.1 200")
    assert served_big.holds(big / "big.db")
    sock.close()
    wait_for(lambda: not served_big.holds(big / "big.db"), "the query's end")


@HAS_PROC
def test_a_client_that_goes_away_before_the_first_byte_stops_its_query(served_big: Server, big: Path) -> None:
    """If the connection is closed before the first chunk, the query is interrupted."""
    sock = served_big.get(ASK_ENDLESS)
    wait_for(lambda: served_big.holds(big / "endless.db"), "the query's beginning")
    sock.close()
    wait_for(lambda: not served_big.holds(big / "endless.db"), "the query's end", limit_s=5)


def test_a_long_query_holds_nobody_up(served_big: Server) -> None:
    """Other requests are answered during a long query."""
    with served_big.get(ASK_ENDLESS), httpx.Client(base_url=served_big.url, timeout=LIMIT_S) as http:
        assert {"status": "ok"} == http.get("/healthz").json()
        assert 1 == len(http.get("/values/big/?q=name.7").json())


def test_a_query_that_takes_too_long_is_503(big: Path) -> None:
    """A timeout before the first byte is answered by a status."""
    with serving(big, TALLY_QUERY_TIMEOUT=0.2) as server:
        head, _, body = read_to_end(server.get(ASK_ENDLESS)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert "TALLY_QUERY_TIMEOUT" in json.loads(body)["detail"]


def test_a_query_that_takes_too_long_is_cut(big: Path) -> None:
    """After a timeout, the connection is closed without the last chunk."""
    with serving(big, TALLY_QUERY_TIMEOUT=1) as server:
        sock, received = begun(lambda: server.get("/values/big/", receive_buffer_bytes=4096))
        server.said("took too")
        received += read_to_end(sock)
    assert received.startswith(b"HTTP/1.1 200")
    assert not received.endswith(b"0\r\n\r\n")


def test_a_very_long_answer_is_cut(big: Path) -> None:
    """An answer that takes too long is cut, even if the client reads it continuously."""
    with serving(big, TALLY_QUERY_TIMEOUT=1) as server:
        sock, received = begun(lambda: server.get("/timedata/big/count/?since=0&until=99999990"))
        received += read_to_end(sock)
    assert received.startswith(b"HTTP/1.1 200")
    assert not received.endswith(b"0\r\n\r\n")


def test_a_body_is_refused_before_all_of_it_has_come(tmp_path: Path) -> None:
    """A body that is too long is answered while the client still sends it."""
    with serving(tmp_path, TALLY_WRITE_TOKEN="w") as server, server.connect() as sock:
        head = b"POST /archives/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer w\r\n"
        sock.sendall(head + b"Content-Length: 1000000000\r\n\r\n" + b" " * (MAX_BODY_BYTES + 1))
        assert sock.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET /values/daily/?q=\xff HTTP/1.1", b"400"),
        (b"GET /values/\xff/ HTTP/1.1", b"40"),
        (b"GET /values/%ff%00%0d%0a/ HTTP/1.1", b"404"),
        (b"GET /values/daily/?" + b"q=%00&" * 50 + b" HTTP/1.1", b"400"),
        (b"GET /values/" + b"a" * 5000 + b"/ HTTP/1.1", b"404"),
        (b"GET //archives HTTP/1.1", b"404"),
        (b"GET /values/a%2f..%2f.. HTTP/1.1", b"404"),
        (b"GET http://tally.test/healthz HTTP/1.1", b"404"),
        (b"OPTIONS * HTTP/1.1", b"404"),
    ],
)
def test_strange_bytes_never_fail(line: bytes, expected: bytes, served: Server) -> None:
    """No request line causes a server error."""
    with served.connect() as sock:
        sock.sendall(line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = read_to_end(sock)
    assert received.startswith(b"HTTP/1.1 " + expected)


def test_connections_are_kept(served: Server) -> None:
    """A connection can be used for several requests, also after errors and HEAD."""
    requests = b"".join(
        f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{end}\r\n".encode()
        for method, target, end in (
            ("HEAD", "/values/daily/", ""),
            ("GET", "/nowhere", ""),
            ("GET", "/values/daily/avg/", ""),
            ("GET", "/healthz", "Connection: close\r\n"),
        )
    )
    with served.connect() as sock:
        sock.sendall(requests)
        sock.settimeout(LIMIT_S)
        received = read_to_end(sock)
    assert 4 == received.count(b"HTTP/1.1 ")
    assert received.endswith(b'{"status":"ok"}')
