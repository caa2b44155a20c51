"""The route that Prometheus writes to."""

import sys
import tracemalloc
from pathlib import Path
from unittest.mock import patch

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.api.message import MAX_SAMPLES_BYTES
from tally.api.prometheus import decompress
from tally.engine import Catalog
from tally.errors import ArchiveUnavailable
from tests.api.asking import Got, ask, service
from tests.api.cases import bearer
from tests.lines.messages import described, series, varint

NOW = 1_700_000_000
T = NOW * 1000
STALE = b"\x02\x00\x00\x00\x00\x00\xf0\x7f"
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a directory with an archive of all names."""
    made = Catalog(tmp_path)
    made.create("daily", resolution=10, retention=0)
    return made


def send(catalog: Catalog, message: bytes, headers: dict[str, str] | None = None, *, body: bytes | None = None) -> Got:
    """Send a message at NOW, from a new process."""
    asked = service(catalog.directory, now=NOW, write_token="w")
    compressed = bytes(cramjam.snappy.compress_raw(message)) if body is None else body
    given = {**HEADERS, **bearer("w"), **(headers or {})}
    return ask(asked, "/api/v1/write", method="POST", headers=given, body=compressed)


def test_gauges_are_samples(catalog: Catalog) -> None:
    """Labels are tags, and times are in milliseconds."""
    got = send(catalog, series({"__name__": "up", "job": "a"}, [(1, T - 9001), (0, T)]))
    assert (204, b"") == (got.status, got.body)
    assert {"up;job=a": {NOW - 10: 1, NOW: 0}} == catalog["daily"].values("sum")


def test_counters_are_what_they_gained(catalog: Catalog) -> None:
    """The first reading gains nothing, a reset the whole value; the sum counts on from message to message."""
    labels = {"__name__": "hits_total", "code": "200"}
    for values in ([(100, T - 50_000), (103, T - 40_000)], [(110, T - 30_000)], [(4, T - 20_000)], [(4, T)]):
        assert 204 == send(catalog, series(labels, values)).status
    stored = catalog["daily"].aggregate(by="name")["hits_total;code=200"]
    assert (5, 3 + 7 + 4) == (stored["count"], stored["sum"])


def test_a_kind_decides(catalog: Catalog) -> None:
    """What Prometheus says about a metric counts more than its name, in messages to come."""
    assert 204 == send(catalog, described("hits", 1) + described("money_total", 2)).status
    for value, time in ((5, T - 10_000), (7, T)):
        message = series({"__name__": "hits"}, [(value, time)]) + series({"__name__": "money_total"}, [(value, time)])
        assert 204 == send(catalog, message).status
    assert {"hits": 2, "money_total": 12} == catalog["daily"].aggregate("sum", by="name")


def test_a_message_counts_once(catalog: Catalog) -> None:
    """One that is sent again, for the answer was lost, changes nothing, and the next one counts on."""
    labels = {"__name__": "hits_total"}
    gauge = series({"__name__": "queue"}, [(5, T)])
    first = series(labels, [(100, T - 20_000), (101, T - 10_000)]) + gauge
    for message in (first, first, series(labels, [(104, T)])):
        assert 204 == send(catalog, message).status
    assert {"hits_total": 4, "queue": 5} == catalog["daily"].aggregate("sum", by="name")
    assert {"hits_total": 3, "queue": 1} == catalog["daily"].aggregate("count", by="name")


@pytest.mark.parametrize("fails", ["tally.engine.storing.counters.Turn.write", "tally.engine.Archive.merge"])
def test_a_message_that_failed_counts_once_when_it_is_sent_again(catalog: Catalog, fails: str) -> None:
    """Whether the archives or the readings could not be written, the answer is 503, and a retry completes it."""
    labels = {"__name__": "hits_total"}
    send(catalog, series(labels, [(100, T - 20_000)]))
    message = series(labels, [(107, T - 10_000)])
    with patch(fails, side_effect=ArchiveUnavailable("full")):
        assert 503 == send(catalog, message).status
    for each in (message, series(labels, [(108, T)])):
        assert 204 == send(catalog, each).status
    assert {"hits_total": 8} == catalog["daily"].aggregate("sum", by="name")


def test_every_sample_that_is_not_stored_is_counted(catalog: Catalog) -> None:
    """The others are stored, and the answer tells how many were rejected for which reason."""
    asked = service(catalog.directory, now=NOW, write_token="w", max_future=10)
    wrong = [(float("nan"), T), (float("inf"), T), (2e100, T), (3, -1), (4, T + 11_000)]
    message = (
        series({"__name__": "good"}, [(1, T), *wrong])
        + series({"job": "a"}, [(1, T), (2, T)])
        + series({"__name__": "hits_total"}, [(1, T), (2, T), (3, T - 1)], histograms=1)
    )  # fmt: skip
    body = bytes(cramjam.snappy.compress_raw(message))
    got = ask(asked, "/api/v1/write", method="POST", headers={**HEADERS, **bearer("w")}, body=body)
    assert 400 == got.status
    assert "1 as future, 2 as name, 1 as timestamp, 2 as value; the others are stored" in got.json["detail"]
    assert {"good": 1, "hits_total": 0} == catalog["daily"].aggregate("sum", by="name")
    metrics = ask(asked, "/metrics").body.decode()
    for outcome, count in {
        "accepted": 2, "empty": 1, "future": 1, "name": 2, "timestamp": 1, "value": 2, "repeated": 2, "unsupported": 1
    }.items():  # fmt: skip
        assert f'tally_posted_lines_total{{outcome="{outcome}"}} {count}.0' in metrics


def test_a_stale_mark_is_empty(catalog: Catalog) -> None:
    """It is no reading, so a counter that returns counts on."""
    labels = {"__name__": "hits_total"}
    mark = series(labels, [(1, T - 10_000)]).replace(b"\x00\x00\x00\x00\x00\x00\xf0\x3f", STALE)
    for message in (series(labels, [(5, T - 20_000)]), mark, series(labels, [(7, T)])):
        assert 204 == send(catalog, message).status
    assert (2, 2) == tuple(catalog["daily"].aggregate(by="name")["hits_total"][key] for key in ("count", "sum"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/x-protobuf;proto=prometheus.WriteRequest"}, 204),
        ({"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Authorization": "Bearer wrong"}, 401),
    ],
)
def test_the_type_and_the_token_are_checked(catalog: Catalog, headers: dict[str, str], status: int) -> None:
    """A sender of version 2 gets 415, and falls back to 1."""
    assert status == send(catalog, series({"__name__": "up"}, [(1, T)]), headers).status


def test_a_bomb_is_not_decompressed(catalog: Catalog) -> None:
    """A body says how long it becomes. One that is too long is 413, and takes no memory."""
    bomb = bytes(cramjam.snappy.compress_raw(bytes(MAX_SAMPLES_BYTES + 1)))
    tracemalloc.start()
    try:
        assert 413 == send(catalog, b"", body=bomb).status
        assert 413 == send(catalog, b"", body=varint(2**32 - 1) + bomb[4:]).status
        assert 413 == send(catalog, b"", body=bytes(MAX_SAMPLES_BYTES + 1)).status
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_SAMPLES_BYTES
    finally:
        tracemalloc.stop()
    assert bytes(MAX_SAMPLES_BYTES) == decompress(
        bytes(cramjam.snappy.compress_raw(bytes(MAX_SAMPLES_BYTES))), MAX_SAMPLES_BYTES
    )


def test_the_package_is_named_that_is_missing(catalog: Catalog) -> None:
    """Without cramjam the answer is 501, and says how to install it."""
    with patch.dict(sys.modules, {"cramjam": None}):
        got = send(catalog, series({"__name__": "up"}, [(1, T)]))
    assert (501, True) == (got.status, "tally[prometheus]" in got.json["detail"])


GOOD = bytes(cramjam.snappy.compress_raw(series({"__name__": "up"}, [(1, T)]) * 3))
edited = st.tuples(st.integers(0, len(GOOD) - 1), st.binary(max_size=3)).map(
    lambda edit: GOOD[: edit[0]] + edit[1] + GOOD[edit[0] + len(edit[1]) :]
)


def test_a_damaged_body_is_never_a_failure(catalog: Catalog) -> None:
    """It is 400 or 413, or another message."""

    @settings(max_examples=40, deadline=None)
    @given(st.binary(max_size=60) | st.integers(0, len(GOOD)).map(lambda size: GOOD[:size]) | edited)
    def check(body: bytes) -> None:
        assert send(catalog, b"", body=body).status in (204, 400, 413)

    check()
