"""Clients of InfluxDB: every number that they write is stored."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from influxdb import InfluxDBClient as FirstClient
from influxdb_client.client.influxdb_client import InfluxDBClient as SecondClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from tally.engine import Catalog
from tests.processes import started

POINTS = [
    {"measurement": "cpu load", "tags": {"host": "web 1", "az": "a,b"}, "time": 1_700_000_000_000_000_000,
     "fields": {"user": 0.5, "tasks": 3, "busy": True, "note": 'said "hello", left'}},
    {"measurement": "cpu load", "tags": {"host": "web 1", "az": "a,b"}, "time": 1_700_000_010_000_000_000,
     "fields": {"user": 1.5}},
]  # fmt: skip
STORED = {"cpu_load.user;az=a,b;host=web_1": 2.0, "cpu_load.tasks;az=a,b;host=web_1": 3.0,
          "cpu_load.busy;az=a,b;host=web_1": 1.0}  # fmt: skip


def test_the_client_influxdb(tmp_path: Path) -> None:
    """influxdb creates its database, writes, and is told of lines that are rejected."""
    Catalog(tmp_path).create("all", resolution=10, retention=0)
    with started(tmp_path, "serve", TALLY_WRITE_TOKEN="w") as running:
        client = FirstClient("127.0.0.1", urlsplit(running.url).port, "any", "w", "telegraf")
        assert client.ping().startswith("1.8")
        client.create_database("telegraf")
        assert client.write_points(POINTS)
        assert STORED == Catalog(tmp_path)["all"].aggregate("sum", by="name")
        client.close()


def test_the_client_influxdb_client(tmp_path: Path) -> None:
    """influxdb-client writes points, compressed or not, in any precision, and raises if lines are rejected."""
    Catalog(tmp_path).create("all", resolution=10, retention=0)
    with started(tmp_path, "serve", TALLY_WRITE_TOKEN="w") as running:
        for gzip in (False, True):
            with SecondClient(running.url, "w", org="any", enable_gzip=gzip) as client:
                assert client.ping()
                with client.write_api(write_options=SYNCHRONOUS) as writer:
                    writer.write("any", record=[Point.from_dict(point) for point in POINTS])
                    writer.write("any", record="other value=2 1700000000", write_precision="s")
        expected = {name: 2 * value for name, value in STORED.items()} | {"other.value": 4}
        assert expected == Catalog(tmp_path)["all"].aggregate("sum", by="name")
        for token, line, told in (("w", "nonsense", "1 line rejected, line 1 for its fields"), ("x", "a b=1", "401")):
            client = SecondClient(running.url, token, org="any")
            with client, client.write_api(write_options=SYNCHRONOUS) as writer, pytest.raises(ApiException, match=told):
                writer.write("any", record=line)
