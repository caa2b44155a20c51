"""OpenTelemetry's SDK for Python exports to a running tally: every number is stored."""

from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from tally.engine import Catalog
from tests.processes import started

DELTA = dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)
LATENCIES = (0.1, 0.2, 0.2, 0.4)


@pytest.mark.parametrize("temporality", [None, DELTA])
@pytest.mark.parametrize("is_exponential", [False, True])
def test_the_sdk_of_python(
    tmp_path: Path, temporality: dict[type, AggregationTemporality] | None, is_exponential: bool
) -> None:
    """Counters, gauges and histograms arrive with their attributes, cumulative or not, exported several times."""
    Catalog(tmp_path).create("all", resolution=10, retention=0, percentiles=1)
    with started(tmp_path, "serve", TALLY_WRITE_TOKEN="w") as running:
        exporter = OTLPMetricExporter(
            f"{running.url}/v1/metrics",
            headers={"Authorization": "Bearer w"},
            compression=Compression.Gzip,
            preferred_temporality=temporality,
        )
        views = [
            View(instrument_name="*", instrument_type=Histogram, aggregation=ExponentialBucketHistogramAggregation())
        ]
        provider = MeterProvider(
            [PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)],
            Resource({"service.name": "shop", "process.pid": 7}),
            views=views if is_exponential else (),
        )
        meter = provider.get_meter("test")
        orders, depth, latency = (
            meter.create_counter("orders"),
            meter.create_gauge("depth"),
            meter.create_histogram("s"),
        )
        for number in (3, 4):
            orders.add(number, {"plan": "pro"})
            depth.set(number)
            for each in LATENCIES:
                latency.record(each)
            assert provider.force_flush()
        provider.shutdown()
    found = Catalog(tmp_path)["all"].aggregate(by="name", percentiles=(50,))
    assert 7 == found["orders;plan=pro;service.name=shop"]["sum"]
    depth_of = found["depth;service.name=shop"]
    assert (3, 4) == (depth_of["min"], depth_of["max"])
    seconds = found["s;service.name=shop"]
    assert (8, pytest.approx(2 * sum(LATENCIES))) == (seconds["count"], seconds["sum"])
    assert seconds["min"] <= 0.2 <= seconds["max"]
