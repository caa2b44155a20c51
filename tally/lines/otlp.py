"""Reads the metrics of OpenTelemetry's protocol, OTLP: https://opentelemetry.io/docs/specs/otlp/.

A metric has data points. Each becomes a Number or a Distribution, or the reason why it is not stored. Its name is that
of the metric. Its tags are its own attributes, and those of its resource that are chosen.

    gauge                                a value
    sum                                  a value: what was gained, or the total that a counter has reached
    histogram, exponential histogram     a distribution, of what was gained or of all since the start
    summary                              not supported: its quantiles cannot be merged

Pure. The messages are those of the package opentelemetry-proto, or have the same attributes.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

from tally.lines.plain import NAME_MAX_BYTES, VALUE_MAX, Reason
from tally.lines.tags import clean_base, clean_tag, join_tags

NS_PER_MS = 1_000_000
CUMULATIVE = 2
NO_VALUE = 1
# Exponential buckets beyond the largest value are not read.
EXPONENT_MAX = 1000.0
SCALE_MAX = 100
# SDKs send 160 at most.
BUCKETS_MAX = 10_000


class Stream(NamedTuple):
    """What a data point belongs to: its name with tags, and what tells its stream from all others."""

    name: str
    identity: bytes


class Times(NamedTuple):
    """When a data point was measured, and when what it counts began or 0, in unix milliseconds."""

    time: int
    start: int


class Number(NamedTuple):
    """A value; if `is_total`, what a counter has reached since its start."""

    stream: Stream
    times: Times
    value: float
    is_total: bool


class Bucket(NamedTuple):
    """How many samples are above `lower`, and at most `upper`."""

    lower: float
    upper: float
    samples: float


class Distribution(NamedTuple):
    """Samples in buckets; if `is_total`, all since the start. `low` and `high` bound them, and may be infinite."""

    stream: Stream
    times: Times
    samples: float
    total: float
    low: float
    high: float
    buckets: Mapping[str, Bucket]
    is_total: bool


Point = Number | Distribution | Reason


def read_points(request: Any, kept: Collection[str]) -> Iterator[Point]:
    """Yield the data points of a message, with the attributes of their resources that are `kept` as tags."""
    for resource in request.resource_metrics:
        tags = {each.key: _to_text(each.value) for each in resource.resource.attributes if each.key in kept}
        whole = resource.resource.SerializeToString(deterministic=True)
        for scope in resource.scope_metrics:
            # Every point keeps it, and a resource may be long.
            origin = blake2b(whole + scope.scope.SerializeToString(deterministic=True), digest_size=16).digest()
            for metric in scope.metrics:
                yield from _read_metric(metric, tags, origin)


def _read_metric(metric: Any, tags: Mapping[str, str], origin: bytes) -> Iterator[Point]:
    kind = metric.WhichOneof("data")
    data: Any = getattr(metric, kind) if kind else None
    for point in data.data_points if data else ():
        own = {each.key: _to_text(each.value) for each in point.attributes}
        stream = _identify(metric.name, {**tags, **own}, origin)
        if kind == "summary":
            yield Reason.UNSUPPORTED
        elif point.flags & NO_VALUE:
            yield Reason.EMPTY
        elif isinstance(stream, Reason):
            yield stream
        elif kind in ("gauge", "sum"):
            # A total that may fall, such as the length of a queue, is a value like that of a gauge.
            is_total = kind == "sum" and data.is_monotonic and data.aggregation_temporality == CUMULATIVE
            yield _read_number(point, stream, is_total=is_total)
        else:
            yield _read_distribution(point, stream, is_total=data.aggregation_temporality == CUMULATIVE)


def _identify(metric: str, pairs: Mapping[str, str], origin: bytes) -> Stream | Reason:
    longest = max(len(metric), *(len(key) + len(value) for key, value in pairs.items()), 0)
    if longest > NAME_MAX_BYTES:  # It would take long to clean, for each point.
        return Reason.NAME
    name = join_tags(clean_base(metric), [clean_tag(*pair) for pair in pairs.items()])
    if name is None:
        return Reason.NAME
    own = sorted(f"{key}={value}" for key, value in pairs.items())
    return Stream(name, b"\0".join([origin, metric.encode(), *map(str.encode, own)]))


def _to_text(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind in ("string_value", "int_value", "double_value"):
        return str(getattr(value, kind))
    if kind == "array_value":
        return ",".join(map(_to_text, value.array_value.values))
    return ""


def _times(point: Any) -> Times:
    return Times(point.time_unix_nano // NS_PER_MS, point.start_time_unix_nano // NS_PER_MS)


def _read_number(point: Any, stream: Stream, *, is_total: bool) -> Point:
    kind = point.WhichOneof("value")
    value = float(getattr(point, kind)) if kind else 0.0
    if math.isnan(value) or not kind:
        return Reason.EMPTY
    return Number(stream, _times(point), value, is_total) if abs(value) <= VALUE_MAX else Reason.VALUE


def _read_distribution(point: Any, stream: Stream, *, is_total: bool) -> Point:
    is_explicit = hasattr(point, "explicit_bounds")
    if not is_explicit and abs(point.scale) > SCALE_MAX:
        return Reason.VALUE
    found = _explicit_buckets(point) if is_explicit else _exponential_buckets(point)
    buckets = dict(islice(found, BUCKETS_MAX + 1))
    if len(buckets) > BUCKETS_MAX:
        return Reason.VALUE
    filled = [each for each in buckets.values() if each.samples]
    low = point.min if point.HasField("min") else min((each.lower for each in filled), default=-math.inf)
    high = point.max if point.HasField("max") else max((each.upper for each in filled), default=math.inf)
    total = point.sum if point.HasField("sum") else sum(middle(each, low, high) * each.samples for each in filled)
    is_valid = abs(total) <= VALUE_MAX * max(1, point.count) and low <= high
    if not is_valid or max(abs(each) for each in (low, high, 0.0) if math.isfinite(each)) > VALUE_MAX:
        return Reason.VALUE
    return Distribution(stream, _times(point), float(point.count), total, low, high, buckets, is_total)


def _explicit_buckets(point: Any) -> Iterator[tuple[str, Bucket]]:
    bounds = [-math.inf, *point.explicit_bounds, math.inf]
    for index, (lower, upper, count) in enumerate(zip(bounds, bounds[1:], point.bucket_counts, strict=False)):
        yield f"{index}:{upper!r}", Bucket(lower, upper, count)


def _exponential_buckets(point: Any) -> Iterator[tuple[str, Bucket]]:
    """Yield the buckets of an exponential histogram: the bounds of bucket i are base ** i and base ** (i + 1)."""
    if point.zero_count:
        yield "0", Bucket(-point.zero_threshold, point.zero_threshold, point.zero_count)
    for sign, side in ((1, point.positive), (-1, point.negative)):
        for index, count in enumerate(side.bucket_counts, side.offset):
            exponents = [each * 2.0**-point.scale for each in (index, index + 1)]
            if count and max(map(abs, exponents)) < EXPONENT_MAX:
                lower, upper = sorted(sign * 2.0**each for each in exponents)
                yield f"{point.scale}:{sign}:{index}", Bucket(lower, upper, count)


def middle(bucket: Bucket, low: float, high: float) -> float:
    """Return a value that stands for the samples of a bucket, between `low` and `high`."""
    lower, upper = max(bucket.lower, low), min(bucket.upper, high)
    if not math.isfinite(lower) or not math.isfinite(upper):
        return next((each for each in (lower, upper) if math.isfinite(each)), 0.0)
    if lower > 0 or upper < 0:
        return math.copysign(math.sqrt(abs(lower)) * math.sqrt(abs(upper)), lower)
    return (lower + upper) / 2
