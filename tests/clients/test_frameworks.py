"""The middleware with real servers and a real collector: each request is counted once, with its duration."""

import signal
import sys
from pathlib import Path

import httpx
import pytest

from tests.clients.collecting import collecting
from tests.clients.shop import STREAMED_S
from tests.processes import LIMIT_S, environment, launched

ROOT = Path(__file__).parents[2]
SERVERS = {
    "uvicorn": (("uvicorn", "tests.clients.shop:fast", "--port", "0"), r"running on http://127.0.0.1:(\d+)"),
    "gunicorn": (
        ("gunicorn", "tests.clients.shop:flask", "--bind", "127.0.0.1:0", "--workers", "2", "--threads", "2"),
        r"Listening at: http://127.0.0.1:(\d+)",
    ),
}
ARTICLES = 100


@pytest.mark.parametrize("server", SERVERS)
def test_every_request_arrives(server: str, tmp_path: Path) -> None:
    """Pages, errors, streams and 404s are stored under their routes, once for each request."""
    arguments, listening = SERVERS[server]
    with collecting(tmp_path) as collector:
        variables = {**environment(tmp_path, TALLY_PORT=collector.port), "PYTHONPATH": str(ROOT)}
        with launched([sys.executable, "-m", *arguments], variables, cwd=tmp_path) as running:
            url = f"http://127.0.0.1:{running.said(listening)[1]}"
            with httpx.Client(base_url=url, timeout=LIMIT_S, headers={"Connection": "close"}) as http:
                assert {200} == {http.get(f"/articles/{number}").status_code for number in range(ARTICLES)}
                assert [404, 500] == [http.get(path).status_code for path in ("/nowhere", "/broken")]
                assert b"abc" == http.get("/stream").content
            running.end(signal.SIGTERM)
        stored = collector.end()
    assert {
        "requests.get.articles.<int:pk>": ARTICLES,
        "requests.get.broken": 1,
        "requests.get.404": 1,
        "requests.get.stream": 1,
    } == {name: count for name, (count, *_) in stored.items()}
    assert STREAMED_S <= stored["requests.get.stream"][1] < LIMIT_S
