"""Prometheus itself, by remote write: what it scrapes is stored."""

import json
import os
import shutil
import signal
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tally.engine import Catalog
from tests.processes import free_ports, launched, started, wait_for

PROMETHEUS = shutil.which("prometheus")
CONFIGURATION = """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: itself
    static_configs:
      - targets: ["127.0.0.1:{port}"]
remote_write:
  - url: {url}/api/v1/write
    authorization:
      credentials: writer
    queue_config:
      batch_send_deadline: 200ms
    metadata_config:
      send_interval: 1s
"""
COUNTER = "go_memstats_alloc_bytes_total"


def scraped(port: int, name: str) -> list[tuple[int, float]]:
    """Return the values that Prometheus has of one of its own series, with their seconds."""
    with urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={quote(name)}[5m]", timeout=10) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
    return [(int(time), float(value)) for time, value in found[0]["values"]]


@pytest.mark.skipif(PROMETHEUS is None and "CI" not in os.environ, reason="Prometheus is not installed")
def test_prometheus_ships_what_it_scrapes(tmp_path: Path) -> None:
    """A gauge arrives as its values, a counter as what it gained, with labels as tags."""
    assert PROMETHEUS is not None, "Prometheus is not installed"
    archive = Catalog(tmp_path / "data").create("all", resolution=1)
    [port] = free_ports(1)  # Prometheus has to know its own before it starts, to scrape itself.
    with started(tmp_path / "data", "serve", TALLY_WRITE_TOKEN="writer") as tally:
        configuration = tmp_path / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(port=port, url=tally.url))
        command = [PROMETHEUS, f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
        with launched([*command, f"--web.listen-address=127.0.0.1:{port}"], {}) as prometheus:
            prometheus.said("Server is ready")
            wait_for(lambda: sum(archive.aggregate("count", by="name", q=f"{COUNTER};*").values()) >= 4, COUNTER)
            own, up = scraped(port, COUNTER), scraped(port, "up")
            assert 0 == prometheus.end(signal.SIGTERM)
        ((name, gained),) = archive.values("sum", q=f"{COUNTER};*").items()
        assert f"{COUNTER};instance=127.0.0.1:{port};job=itself" == name
        ((_, alive),) = archive.values("sum", q="up;*").items()
        assert 0 == tally.end(signal.SIGTERM)
    gains: dict[int, float] = defaultdict(float)
    values: dict[int, float] = defaultdict(float)
    for (_, before), (second, after) in pairwise([own[0], *own]):
        gains[second] += after - before
    for second, value in up:
        values[second] += value
    # Of the last second, there may be more.
    assert {each: gains[each] for each in sorted(gains)[:-1]}.items() <= gained.items()
    assert {each: values[each] for each in sorted(values)[:-1]}.items() <= alive.items()
