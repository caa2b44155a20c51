"""`POST /v1/metrics`: what OpenTelemetry's exporters send is stored, and told as the protocol says."""

import gzip
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from tally.api import otlp
from tally.api.message import MAX_SAMPLES_BYTES
from tally.api.otlp import PROTOBUF
from tally.engine import Catalog
from tally.errors import ArchiveUnavailable
from tests.api.asking import Got, ask, service
from tests.api.cases import bearer
from tests.lines.test_otlp import NS, SECOND, number, request

CUMULATIVE, DELTA = 2, 1


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a directory with an archive that keeps percentiles."""
    made = Catalog(tmp_path)
    made.create("daily", resolution=10, retention=0, percentiles=1)
    return made


def post(
    catalog: Catalog, body: bytes, media_type: str = PROTOBUF, *, headers: dict[str, str] | None = None, **chosen: Any
) -> Got:
    """Send a body ten seconds after SECOND."""
    asked = service(catalog.directory, now=SECOND + 10, **{"write_token": "w", **chosen})
    sent = {**bearer("w"), "Content-Type": media_type, **(headers or {})}
    return ask(asked, "/v1/metrics", method="POST", headers=sent, body=body)


def send(catalog: Catalog, *metrics: dict[str, Any], **chosen: Any) -> str:
    """Send metrics, and return what is told of those that were rejected."""
    got = post(catalog, request(*metrics).SerializeToString(), **chosen)
    assert (200, PROTOBUF) == (got.status, got.headers["content-type"])
    return str(ExportMetricsServiceResponse.FromString(got.body).partial_success.error_message)


def counter(value: int, second: int, start: int = SECOND - 60, temporality: int = CUMULATIVE) -> dict[str, Any]:
    """Return a sum that never falls."""
    point = number(as_int=value, time_unix_nano=second * NS, start_time_unix_nano=start * NS)
    return {"name": "c", "sum": {"aggregation_temporality": temporality, "is_monotonic": True, "data_points": [point]}}


def histogram(counts: list[int], total: float, second: int, temporality: int, **more: Any) -> dict[str, Any]:
    """Return a histogram with the bounds 1, 2 and 4."""
    point = number(count=sum(counts), sum=total, bucket_counts=counts, explicit_bounds=[1, 2, 4], **more)
    point["time_unix_nano"] = second * NS
    return {"name": "h", "histogram": {"aggregation_temporality": temporality, "data_points": [point]}}


def test_a_cumulative_counter_is_stored_as_what_it_gained(catalog: Catalog) -> None:
    """From its start on, through a restart of tally, a repetition and a reset."""
    for value, second, start in ((5, 0, -60), (7, 10, -60), (7, 10, -60), (3, 20, 15)):
        assert "" == send(catalog, counter(value, SECOND + second, SECOND + start), max_future=100)
    assert {SECOND: 5, SECOND + 10: 2, SECOND + 20: 3} == catalog["daily"].aggregate("sum")


def test_a_delta_is_stored_as_it_is_and_once_for_each_message(catalog: Catalog) -> None:
    """The message is its own key: sent again after an error, it counts once."""
    for value in (5, 5, 6):
        send(catalog, counter(value, SECOND, temporality=DELTA))
    assert {"c": {"count": 2, "sum": 11, "avg": 5.5, "min": 5, "max": 6}} == catalog["daily"].aggregate(by="name")


def test_a_histogram_is_the_cell_that_it_is(catalog: Catalog) -> None:
    """Count, sum, smallest and largest value are stored, and percentiles come from the buckets."""
    send(catalog, histogram([0, 90, 0, 10], 200, SECOND, DELTA, min=1.25, max=8))
    found = catalog["daily"].aggregate(by="name", percentiles="50,95")["h"]
    assert (100, 200, 1.25, 8) == tuple(found[key] for key in ("count", "sum", "min", "max"))
    assert 1.25 <= found["p50"] <= 2
    assert 4 <= found["p95"] <= 8


def test_a_cumulative_histogram_is_what_each_bucket_gained(catalog: Catalog) -> None:
    """What was counted before is not counted again."""
    send(catalog, histogram([4, 0, 0, 0], 2, SECOND, CUMULATIVE))
    send(catalog, histogram([4, 0, 3, 0], 11, SECOND + 10, CUMULATIVE))
    found = catalog["daily"].aggregate(percentiles=(50,))[SECOND + 10]
    assert (3, 9) == (found["count"], found["sum"])
    assert 2 <= found["min"] <= found["p50"] <= found["max"] <= 4


def test_an_exponential_histogram_whose_scale_changes_still_counts(catalog: Catalog) -> None:
    """Count and sum are what was gained. Which values that were is not known then."""

    def send_one(second: int, count: int, scale: int, counts: list[int]) -> None:
        positive = {"offset": 0, "bucket_counts": counts}
        point = number(count=count, sum=3 * count, scale=scale, positive=positive, time_unix_nano=second * NS)
        data = {"aggregation_temporality": CUMULATIVE, "data_points": [point]}
        assert "" == send(catalog, {"name": "e", "exponential_histogram": data})

    send_one(SECOND, 2, 1, [1, 1])
    send_one(SECOND + 10, 5, 0, [5])
    found = catalog["daily"].aggregate()
    assert [(2, 6), (3, 9)] == [(found[each]["count"], found[each]["sum"]) for each in sorted(found)]


def test_rejected_data_points_are_told_and_the_others_stored(catalog: Catalog) -> None:
    """Summaries are not supported, and a time may not be far in the future. It is a partial success."""
    summary = {"name": "s", "summary": {"data_points": [number(count=1, sum=2)]}}
    far = {"name": "far", "gauge": {"data_points": [number(as_int=1, time_unix_nano=(SECOND + 71) * NS)]}}
    near = {"name": "near", "gauge": {"data_points": [number(as_int=1, time_unix_nano=(SECOND + 70) * NS)]}}
    told = send(catalog, summary, far, near, max_future=60)
    assert "data points were rejected: 1 as future, 1 as unsupported; the others are stored" == told
    assert ["near"] == catalog["daily"].names()
    body = json_format.MessageToJson(request(summary)).encode()
    got = post(catalog, body, "application/json")
    assert "1" == got.json["partialSuccess"]["rejectedDataPoints"]


def test_json_and_gzip_are_understood(catalog: Catalog) -> None:
    """The same message in JSON, with names in either case, or compressed."""
    message = request(counter(3, SECOND))
    for original in (True, False):
        text = json_format.MessageToJson(message, preserving_proto_field_name=original).encode()
        got = post(
            catalog, gzip.compress(text), "application/json; charset=utf-8", headers={"Content-Encoding": "gzip"}
        )
        assert (200, {}) == (got.status, got.json)
    assert {SECOND: 3} == catalog["daily"].aggregate("sum")


def test_an_empty_message_is_no_error(catalog: Catalog) -> None:
    """Exporters send one to try."""
    assert (200, b"") == ((got := post(catalog, b"")).status, got.body)


@pytest.mark.parametrize(
    ("body", "media_type", "coding", "status", "code"),
    [
        (b"\xff", PROTOBUF, "", 400, 3),
        (b"{", "application/json", "", 400, 3),
        (b"\xff", "application/json", "", 400, 3),
        (b'{"resourceMetrics": 5}', "application/json", "", 400, 3),
        (b"[" * 100_000, "application/json", "", 400, 3),
        (b"", "text/plain", "", 415, 3),
        (b"", PROTOBUF, "br", 415, 3),
        (b"x", PROTOBUF, "gzip", 400, 3),
        (gzip.compress(b"\0" * (MAX_SAMPLES_BYTES + 1), mtime=0), PROTOBUF, "gzip", 413, 8),
    ],
)  # fmt: skip
def test_an_error_is_a_status(
    catalog: Catalog, body: bytes, media_type: str, coding: str, status: int, code: int
) -> None:
    """It has a code of gRPC and a sentence, in the encoding of the request."""
    got = post(catalog, body, media_type, headers={"Content-Encoding": coding})
    assert status == got.status
    if media_type == PROTOBUF:
        assert got.body.startswith(b"\x08%c\x12" % code)
    else:
        assert code == json.loads(got.body)["code"]
    assert not catalog["daily"].names()


@pytest.mark.parametrize(
    "failing",
    [
        "archive.Archive.merge",
        "storing.ledger.Ledger.decide",
        "storing.counters.Turn.write",
        "storing.counters.Turn.read",
    ],
)
def test_a_full_disk_is_an_error_that_exporters_try_again(catalog: Catalog, failing: str) -> None:
    """The status is 503 with a time to wait; the same message again counts once."""
    body = request(counter(3, SECOND)).SerializeToString()
    with patch(f"tally.engine.{failing}", side_effect=ArchiveUnavailable("daily.db: the disk is full")):
        got = post(catalog, body)
    assert (503, "1", b"\x08\x0e\x12") == (got.status, got.headers["retry-after"], got.body[:3])
    assert b"the disk is full" in got.body
    assert 200 == post(catalog, body).status == post(catalog, body).status
    assert {SECOND: 3} == catalog["daily"].aggregate("sum")


def test_no_archive_is_an_error_that_exporters_try_again(tmp_path: Path) -> None:
    """Until there is one, nothing is stored."""
    got = post(Catalog(tmp_path), request(counter(3, SECOND)).SerializeToString())
    assert (503, "1") == (got.status, got.headers["retry-after"])


def export(directory: Path, values: range) -> list[int]:
    """Send what a counter has reached, one message after another, and return the statuses."""
    bodies = (request(counter(value, SECOND + value)).SerializeToString() for value in values)
    return [post(Catalog(directory), body, max_future=1000).status for body in bodies]


def test_messages_to_several_processes_count_once(catalog: Catalog) -> None:
    """Two processes get those of one stream at the same time; all that it gained is stored, and nothing twice."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        sent = [pool.submit(export, catalog.directory, range(first, 61, 2)) for first in (1, 2)]
        assert {200} == {status for each in sent for status in each.result(120)}
    assert 60 == sum(catalog["daily"].aggregate("sum").values())


@pytest.mark.parametrize(("limit", "value"), [("POINTS_MAX", 2), ("BUCKETS_MAX", 4)])
def test_a_message_has_a_bounded_number_of_points_and_buckets(catalog: Catalog, limit: str, value: int) -> None:
    """One with more is refused whole, before it is read to its end."""
    for points, status in ((2, 200), (3, 413)):
        metrics = [histogram([1, 1], 2.0, SECOND + each, DELTA) for each in range(points)]
        with patch.object(otlp, limit, value):
            assert status == post(catalog, request(*metrics).SerializeToString()).status
    assert 4 == sum(catalog["daily"].aggregate("count").values())


def test_without_the_package_it_says_what_to_install(catalog: Catalog) -> None:
    """The extra `otlp` brings it."""
    with patch.dict(sys.modules, {"opentelemetry.proto.collector.metrics.v1.metrics_service_pb2": None}):
        got = post(catalog, b"", "application/json")
    assert 501 == got.status
    assert "pip install 'tally[otlp]'" in got.json["message"]


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from([PROTOBUF, "application/json"]))
def test_no_body_is_an_error_of_the_server(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, media_type: str
) -> None:
    """Whatever is sent is stored or refused. A message that is cut or changed is, too."""
    catalog = Catalog(tmp_path_factory.getbasetemp() / "any")
    if "daily" not in catalog:
        catalog.create("daily")
    assert post(catalog, body, media_type).status in (200, 400)
    good = request(histogram([1, 2, 0, 1], 5, SECOND, DELTA)).SerializeToString()
    at = len(body) * 7 % len(good)
    assert post(catalog, good[:at] + body[:3] + good[at:]).status in (200, 400)
    ExportMetricsServiceRequest.FromString(good)
