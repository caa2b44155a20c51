"""`tally health`, of real servers and of what is none."""

import json
import signal
import socket
import threading
from pathlib import Path

import pytest

from tally.cli import health
from tally.cli.health import find_local_address
from tests.cli.command import invoke
from tests.processes import started, wait_for


def test_ready(tmp_path: Path) -> None:
    """A server that collects and can read its archives is ready: status 0, and the result of each check."""
    with started(tmp_path, "serve") as running:
        port = running.url.rpartition(":")[2]
        assert running.udp_port
        wait_for(lambda: 0 == invoke(tmp_path, "health", "--http-port", port).exit_code, "a flush")
        result = invoke(tmp_path, "health", "--http-port", port)
        assert ["check      ok   detail", "archives   yes  3 can be read"] == result.stdout.splitlines()[:2]
        told = json.loads(invoke(tmp_path, "health", "--json", TALLY_HTTP_PORT=port).stdout)
        assert ("ready", ["archives", "writing", "collector", "space", "logs", "names", "alerts", "cluster"]) == (
            told["status"],
            list(told["checks"]),
        )
        everywhere = invoke(tmp_path, "health", TALLY_HTTP_PORT=port, TALLY_HTTP_HOST="0.0.0.0")
        assert 0 == everywhere.exit_code
        running.end(signal.SIGTERM)


def test_not_ready(tmp_path: Path) -> None:
    """A failed check, or a wrong token, is reported with status 1."""
    (tmp_path / "broken.db").write_bytes(b"nonsense" * 1000)
    tokens = {"TALLY_READ_TOKEN": "reader,old", "TALLY_WRITE_TOKEN": "writer"}
    with started(tmp_path, "serve", **tokens) as running:
        port = running.url.rpartition(":")[2]
        for right in (tokens, {"TALLY_READ_TOKEN": "old"}, {"TALLY_WRITE_TOKEN": "writer"}):
            result = invoke(tmp_path, "health", TALLY_HTTP_PORT=port, **right)
            assert (1, "") == (result.exit_code, result.stderr)
            assert "archives   no" in result.stdout
        for wrong, answer in (({}, ""), ({"TALLY_READ_TOKEN": "guess"}, "the token is wrong: ")):
            result = invoke(tmp_path, "health", TALLY_HTTP_PORT=port, **wrong)
            expected = f"tally: http://127.0.0.1:{port}/ answers: {answer}give a read token or a write token"
            assert (1, "") == (result.exit_code, result.stdout)
            assert result.stderr.startswith(expected)
        running.end(signal.SIGTERM)


def answering(sock: socket.socket, answer: bytes) -> None:
    """Give one client an answer."""
    client, _ = sock.accept()
    with client:
        client.recv(4096)
        client.sendall(answer)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "Remote end closed connection without response"),
        (b"SSH-2.0\r\n", "SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "Expecting value"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "its answer is not that of /readyz"),
        (b'HTTP/1.1 404 Not Found\r\nContent-Length: 11\r\n\r\n{"error":1}', "answers: {'error': 1}"),
    ],
)
def test_what_is_not_tally(answer: bytes, says: str, tmp_path: Path) -> None:
    """A server that is not tally is reported in one line with status 1."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=answering, args=(sock, answer))
        thread.start()
        result = invoke(tmp_path, "health", TALLY_HTTP_PORT=sock.getsockname()[1])
        thread.join()
    assert (1, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert says in result.stderr


def test_what_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing listens, or the answer is late, the status is 1."""
    monkeypatch.setattr(health, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        silent = invoke(tmp_path, "health", TALLY_HTTP_PORT=port)
    closed = invoke(tmp_path, "health", TALLY_HTTP_PORT=port)
    beginning = f"tally: no tally server answers on http://127.0.0.1:{port}/: "
    assert [(1, f"{beginning}timed out\n"), (1, f"{beginning}[Errno 111] Connection refused\n")] == [
        (each.exit_code, each.stderr) for each in (silent, closed)
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("::1", "::1"),
        ("10.0.0.1", "10.0.0.1"),
        ("tally.test", "tally.test"),
    ],
)
def test_where_it_is_reached(host: str, expected: str) -> None:
    """An address such as 0.0.0.0 is replaced by the loopback address."""
    assert expected == find_local_address(host)
