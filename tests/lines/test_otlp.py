"""OpenTelemetry's data points: their names, kinds and buckets."""

import math
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tally.lines.otlp import BUCKETS_MAX, Bucket, Distribution, Number, Point, middle, read_points
from tally.lines.plain import NAME_MAX_BYTES, Reason

SECOND = 1_700_000_000
NS = 10**9
TIMES = {"time_unix_nano": SECOND * NS, "start_time_unix_nano": (SECOND - 60) * NS}


def attribute(key: str, **value: Any) -> dict[str, Any]:
    """Return an attribute."""
    return {"key": key, "value": value}


def request(*metrics: dict[str, Any], resource: tuple[dict[str, Any], ...] = ()) -> ExportMetricsServiceRequest:
    """Return a message of one resource."""
    scopes: Any = [{"metrics": list(metrics)}]
    resources: Any = [{"resource": {"attributes": list(resource)}, "scope_metrics": scopes}]
    return ExportMetricsServiceRequest(resource_metrics=resources)


def read(*metrics: dict[str, Any], **more: Any) -> list[Point]:
    """Return the data points of metrics."""
    return list(read_points(request(*metrics, **more), ("service.name", "host.name")))


def one(metric: dict[str, Any]) -> Any:
    """Return the only data point of a metric."""
    [point] = read(metric)
    return point


def number(**point: Any) -> dict[str, Any]:
    """Return a data point."""
    return {**TIMES, **point}


def test_a_name_has_the_attributes_of_its_point_and_those_that_are_kept_of_its_resource() -> None:
    """Attributes of any type are text. What tags may not contain becomes `_`."""
    values = (
        attribute("http.route", string_value="/a b;c"), attribute("n", int_value=-3), attribute("x", double_value=0.5),
        attribute("ok", bool_value=True), attribute("l", array_value={"values": [{"int_value": 1}, {"int_value": 2}]}),
        attribute("none"),
    )  # fmt: skip
    resource = (attribute("service.name", string_value="shop"), attribute("process.pid", int_value=7))
    metric = {"name": "queue size", "gauge": {"data_points": [number(as_double=1.5, attributes=values)]}}
    [point] = read(metric, resource=resource)
    assert isinstance(point, Number)
    assert "queue_size;http.route=/a_b_c;l=1,2;n=-3;none=true;ok=true;service.name=shop;x=0.5" == point.stream.name
    assert (1.5, False, SECOND * 1000) == (point.value, point.is_total, point.times.time)
    [other] = read(metric, resource=resource[:1])
    assert isinstance(other, Number)
    assert point.stream.identity != other.stream.identity
    assert point.stream.name == other.stream.name


@pytest.mark.parametrize(
    ("temporality", "is_monotonic", "is_total"),
    [(1, True, False), (2, True, True), (1, False, False), (2, False, False)],
)
def test_only_a_cumulative_sum_that_never_falls_is_a_total(
    temporality: int, is_monotonic: bool, is_total: bool
) -> None:
    """Other sums are values as they are."""
    data = {"aggregation_temporality": temporality, "is_monotonic": is_monotonic, "data_points": [number(as_int=4)]}
    assert (4, is_total) == one({"name": "a", "sum": data})[2:]


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ({"name": "", "gauge": {"data_points": [number(as_int=1)]}}, "name"),
        ({"name": "n" * 256, "gauge": {"data_points": [number(as_int=1)]}}, "name"),
        ({"name": "a", "gauge": {"data_points": [number(as_double=math.nan)]}}, "empty"),
        ({"name": "a", "gauge": {"data_points": [number()]}}, "empty"),
        ({"name": "a", "gauge": {"data_points": [number(as_int=1, flags=1)]}}, "empty"),
        ({"name": "a", "gauge": {"data_points": [number(as_double=1.1e100)]}}, "value"),
        ({"name": "a", "summary": {"data_points": [number(count=1, sum=2)]}}, "unsupported"),
        ({"name": "a", "histogram": {"data_points": [number(count=1, sum=math.nan)]}}, "value"),
        ({"name": "a", "histogram": {"data_points": [number(count=1, sum=1, min=2, max=1)]}}, "value"),
        ({"name": "a", "exponential_histogram": {"data_points": [number(count=1, sum=1, scale=101)]}}, "value"),
    ],
)
def test_what_is_not_stored_has_a_reason(metric: dict[str, Any], reason: str) -> None:
    """A data point that is wrong does not hide the others."""
    good = {"name": "good", "gauge": {"data_points": [number(as_double=1e100)]}}
    first, second = read(metric, good)
    assert Reason(reason) == first
    assert isinstance(second, Number)


def test_a_histogram_has_the_buckets_between_its_bounds() -> None:
    """The first has no lower and the last no upper bound; the smallest and the largest sample bound them all."""
    points = [number(count=6, sum=30, min=-1, max=20, explicit_bounds=[0, 10], bucket_counts=[1, 3, 2])]
    found = one({"name": "a", "histogram": {"aggregation_temporality": 2, "data_points": points}})
    assert isinstance(found, Distribution)
    assert [Bucket(-math.inf, 0, 1), Bucket(0, 10, 3), Bucket(10, math.inf, 2)] == list(found.buckets.values())
    assert (6, 30, -1, 20, True) == (found.samples, found.total, found.low, found.high, found.is_total)


def test_an_exponential_histogram_has_the_buckets_of_its_scale() -> None:
    """With scale 1 a bucket's bounds are powers of the root of 2; negative values mirror them."""
    points = [number(count=6, sum=3, scale=1, zero_count=1, positive={"offset": 2, "bucket_counts": [2, 0, 1]},
                     negative={"offset": -2, "bucket_counts": [2]})]  # fmt: skip
    found = one({"name": "a", "exponential_histogram": {"aggregation_temporality": 1, "data_points": points}})
    values = [value for bucket in found.buckets.values() for value in bucket]
    assert [0, 0, 1, 2, 2**1.5, 2, 4, 2**2.5, 1, -(2**-0.5), -(2**-1), 2] == pytest.approx(values)
    assert (-(2**-0.5), 2**2.5, False) == pytest.approx((found.low, found.high, found.is_total))


@pytest.mark.parametrize(
    ("bucket", "low", "high", "expected"),
    [((1, 4), 0, 9, 2), ((-4, -1), -9, 9, -2), ((-1, 3), -9, 9, 1), ((0, 4), 0, 9, 2), ((1, 4), 2, 2, 2),
     ((-math.inf, 5), -math.inf, 9, 5), ((5, math.inf), 0, math.inf, 5), ((5, math.inf), 0, 20, 10)],
)  # fmt: skip
def test_a_bucket_is_represented_by_its_middle(
    bucket: tuple[float, float], low: float, high: float, expected: float
) -> None:
    """That is the geometric mean, where both bounds have one sign, within all samples."""
    assert expected == pytest.approx(middle(Bucket(*bucket, 1), low, high))


@pytest.mark.parametrize("key", ["service.name", "process.pid"])
def test_a_long_resource_is_not_kept_for_each_point(key: str) -> None:
    """What tells its streams apart is short, and a name that is too long is rejected before it is made."""
    metric = {"name": "a", "gauge": {"data_points": [number(as_int=value) for value in range(3)]}}
    for length, is_short in ((NAME_MAX_BYTES + 1, False), (200, True)):
        for point in read(metric, resource=(attribute(key, string_value="x" * length),)):
            if key == "service.name" and not is_short:
                assert point is Reason.NAME
            else:
                assert isinstance(point, Number)
                assert len(point.stream.identity) < NAME_MAX_BYTES


@pytest.mark.parametrize("kind", ["histogram", "exponential_histogram"])
def test_a_histogram_has_a_bounded_number_of_buckets(kind: str) -> None:
    """One more is rejected."""
    for buckets, is_taken in ((BUCKETS_MAX, True), (BUCKETS_MAX + 1, False)):
        counts = {"bucket_counts": [1] * buckets}
        if kind == "histogram":
            counts["explicit_bounds"] = list(range(buckets - 1))
        point = number(count=buckets, sum=1.0, **(counts if kind == "histogram" else {"positive": counts, "scale": 20}))
        found = one({"name": "a", kind: {"data_points": [point], "aggregation_temporality": 1}})
        assert is_taken == isinstance(found, Distribution)
        assert is_taken or found is Reason.VALUE


def test_a_histogram_without_extremes_is_taken() -> None:
    """Also if the buckets that have no bound below or above have samples; NaN is no extreme."""
    counts = {"count": 3, "sum": 6.0, "bucket_counts": [1, 1, 1], "explicit_bounds": [1, 2]}
    found = one({"name": "a", "histogram": {"data_points": [number(**counts)], "aggregation_temporality": 1}})
    assert (3, 6.0, -math.inf, math.inf) == (found.samples, found.total, found.low, found.high)
    for extreme in ("min", "max"):
        point = number(**counts, **{extreme: math.nan})
        assert one({"name": "a", "histogram": {"data_points": [point]}}) is Reason.VALUE
