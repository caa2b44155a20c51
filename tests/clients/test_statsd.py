"""Clients of StatsD: every number that they send is stored."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from datadog.dogstatsd import base as dogstatsd
from statsd import StatsClient
from statsd.client import base as statsd

from tests.clients.collecting import Collecting, collecting
from tests.processes import LIMIT_S, free_ports, launched, wait_for

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_the_client_statsd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """statsd sends counters, timings, gauges with changes, sets, rates, and a pipeline in one datagram."""
    monkeypatch.setattr(statsd, "random", SimpleNamespace(random=float))
    with collecting(tmp_path) as collector:
        client = StatsClient("127.0.0.1", collector.port, prefix="shop")
        client.incr("orders")
        client.incr("orders", 4)
        client.decr("orders", 2)
        client.incr("views", 3, rate=0.1)
        client.timing("page", 320)
        client.timing("page", 80, rate=0.5)
        client.gauge("queue", 10)
        client.gauge("queue", 5, delta=True)
        client.gauge("queue", -7, delta=True)
        client.gauge("balance", -2)
        with client.pipeline() as pipeline:
            for user in ("ada", "bob", "ada"):
                pipeline.set("users", user)
            pipeline.incr("piped")
        client.close()
        assert {
            "shop.orders": (3, 3, -2, 4),
            "shop.views": (10, 30, 3, 3),
            "shop.page": (3, 480, 80, 320),
            "shop.queue": (3, 33, 8, 15),
            "shop.balance": (2, -2, -2, 0),
            "shop.users": (1, 2, 2, 2),
            "shop.piped": (1, 1, 1, 1),
        } == collector.end()


def test_the_client_datadog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """datadog sends all types with tags and rates; events and service checks are counted and dropped."""
    monkeypatch.setattr(dogstatsd, "random", float)
    with collecting(tmp_path) as collector:
        client = dogstatsd.DogStatsd(
            "127.0.0.1", collector.port, constant_tags=["env:prod"], disable_telemetry=True, container_id="0123abc"
        )
        client.increment("views", tags=["page:/about us"])
        client.increment("views", 2, sample_rate=0.5, tags=["page:/about us"])
        client.decrement("views", 1)
        client.gauge("queue", 3.5)
        client.histogram("size", 100, sample_rate=0.25)
        client.distribution("seconds", 0.25)
        client.timing("page", 320, tags=["cached"])
        for user in ("ada:1", "bob", "ada:1"):
            client.set("users", user)
        client.gauge_with_timestamp("past", 9, 1_700_000_000)
        client.event("deployed", "by ada")
        client.service_check("shop", 0, message="fine")
        client.flush()
        client.close_socket()
        assert {
            "views;env=prod;page=/about_us": (3, 5, 1, 2),
            "views;env=prod": (1, -1, -1, -1),
            "queue;env=prod": (1, 3.5, 3.5, 3.5),
            "size;env=prod": (4, 400, 100, 100),
            "seconds;env=prod": (1, 0.25, 0.25, 0.25),
            "page;cached=true;env=prod": (1, 320, 320, 320),
            "users;env=prod": (1, 2, 2, 2),
        } == collector.end()
        collector.running.said(
            r"1 line: service checks .*_sc\|shop.*; 1 line: events .*; 1 sample of all: past its retention"
        )


def answered(collector: Collecting) -> float:
    """Return the number of responses that gunicorn has reported, its last metric of a request."""
    found = collector.stored().get("web.gunicorn.request.status.200")
    return found["sum"] if found else 0


def test_gunicorn_with_statsd_host(tmp_path: Path) -> None:
    """gunicorn's requests are counted and timed."""
    (tmp_path / "shop.py").write_text(APP)
    [port] = free_ports(1)
    with collecting(tmp_path / "data", TALLY_FLUSH_TIME=0.1) as collector:
        command = [sys.executable, "-m", "gunicorn", "shop:app", "--bind", f"127.0.0.1:{port}"]
        command += ["--statsd-host", f"127.0.0.1:{collector.port}", "--statsd-prefix", "web", "--no-control-socket"]
        with launched(command, {**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path) as server:
            server.said("Booting worker")
            for _ in range(7):
                assert "ok" == httpx.get(f"http://127.0.0.1:{port}/", timeout=LIMIT_S).text
            wait_for(lambda: answered(collector) == 7, "all answers")
        stored = collector.stored()
    assert (7, 7) == (stored["web.gunicorn.requests"]["count"], stored["web.gunicorn.requests"]["sum"])
    timed = stored["web.gunicorn.request.duration"]
    assert timed["count"] == 7
    assert 0 <= timed["min"] <= timed["max"] < LIMIT_S * 1000
    assert 1 == stored["web.gunicorn.workers"]["max"]
