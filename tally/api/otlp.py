"""`POST /v1/metrics`: stores what OpenTelemetry's exporters send by OTLP over HTTP, as protobuf or JSON.

A histogram is stored as the cell that it is. What is cumulative is stored as what it gained since its last reading.
Readings are written after the archives. A message is its own idempotency key, so one that is sent again after an error
is counted once.

It answers 200, with how many data points were rejected, or an error as the protocol's Status.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any, TypeGuard

from tally import forks
from tally.api.message import JSON, RETRY_AFTER, Reply, encode, whole_bytes
from tally.api.parameters import read_body
from tally.api.problems import Problem, problem
from tally.api.route import Call
from tally.api.samples import Lines, store
from tally.engine.sketch import Cell, Sketch, find_bin, to_weight
from tally.engine.storing.counters import Reading, Turn
from tally.engine.storing.gains import Gains, Total
from tally.engine.storing.rollup import Rollup
from tally.errors import PackageMissing, TallyError
from tally.lines.otlp import Distribution, Number, Point, middle, read_points
from tally.lines.plain import TIMESTAMP_END, Reason, Sample
from tally.lines.protobuf import write_varint

PROTOBUF = "application/x-protobuf"
BODY = "ExportMetricsServiceRequest"
POINTS_MAX = 100_000
# Of all its histograms. A bucket takes about 400 bytes in memory.
BUCKETS_MAX = 500_000
# The codes of google.rpc that clients may see in a Status.
_CODES = {400: 3, 404: 5, 413: 8, 415: 3, 422: 6, 501: 12, 503: 14}

_SUCCESS = {"rejectedDataPoints": {"type": "string"}, "errorMessage": {"type": "string"}}
SCHEMAS: dict[str, dict[str, Any]] = {
    BODY: {"type": "object", "description": "see OpenTelemetry's protocol"},
    "ExportMetricsServiceResponse": {
        "type": "object",
        "properties": {"partialSuccess": {"type": "object", "properties": _SUCCESS}},
    },
    "RpcStatus": {"type": "object", "properties": {"code": {"type": "integer"}, "message": {"type": "string"}}},
}


def export(call: Call) -> Reply:
    """Commit the data points in a message, and answer how many were rejected, with the reasons."""
    media_type = call.request.headers.get("content-type", PROTOBUF).partition(";")[0].strip().lower()
    try:
        return _store(call, media_type)
    except (Problem, TallyError) as error:
        return _status(problem(error), media_type)


def _store(call: Call, media_type: str) -> Reply:
    body = read_body(call.request, call.route.max_body_bytes)
    points = list(_bounded(read_points(_parse(body, media_type), call.settings.otlp_tags)))
    counts: Counter[str] = Counter()
    if points:
        lines = _add(call, body, points)
        counts.update(reason for _, reason in lines.rejected)
        counts[str(Reason.UNSUPPORTED)] += lines.ignored.get(Reason.UNSUPPORTED, 0)
    return _answer(+counts, media_type)


def _bounded(points: Iterable[Point]) -> Iterator[Point]:
    """Yield data points.

    :raises Problem: 413 if there are more than POINTS_MAX, or if they have more than BUCKETS_MAX buckets.
    """
    buckets = 0
    for number, point in enumerate(points):
        buckets += len(point.buckets) if isinstance(point, Distribution) else 0
        if number >= POINTS_MAX or buckets > BUCKETS_MAX:
            text = f"the message has more than {POINTS_MAX} data points or {BUCKETS_MAX} buckets: send it in parts"
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
        yield point


def _add(call: Call, body: bytes, points: Sequence[Point]) -> Lines:
    with call.catalog.counters.turn() if any(map(_is_total, points)) else nullcontext() as turn:
        adding = Adding(points, turn)
        lines, _ = store(call, body, adding, key=f"otlp-{hashlib.sha256(body).hexdigest()}")
        if turn:
            turn.write(adding.readings)
    return lines


class Adding:
    """Adds data points to a rollup, as a Parsing. `readings` has the new readings of totals."""

    def __init__(self, points: Sequence[Point], turn: Turn | None) -> None:
        self._points = points
        self._gains = Gains(turn, (_to_total(point) for point in points if _is_total(point)))

    @property
    def readings(self) -> dict[str, Reading]:
        """What is to be stored after the samples."""
        return self._gains.readings

    def __call__(self, rollup: Rollup, now: int, max_future_s: int) -> tuple[list[tuple[int, str]], Mapping[str, int]]:
        """Add the data points to the rollup. The numbers of those that are rejected are those in the message."""
        latest = min(now + max_future_s, TIMESTAMP_END - 1)
        rejected: list[tuple[int, str]] = []
        ignored: Counter[str] = Counter()
        for number, point in enumerate(self._points, 1):
            reason = point if isinstance(point, Reason) else self._add(rollup, point, now, latest)
            if reason in (Reason.UNSUPPORTED, Reason.REPEATED):
                ignored[str(reason)] += 1
            elif reason is not None:
                rollup.reject(b"", reason)
                rejected += [(number, str(reason))] * (reason is not Reason.EMPTY)
        return rejected, ignored

    def _add(self, rollup: Rollup, point: Number | Distribution, now: int, latest: int) -> Reason | None:
        second = point.times.time // 1000 or now
        if second > latest:
            return Reason.FUTURE
        parts: Mapping[str, float] | None = _parts(point)
        if point.is_total:
            parts = self._gains.of(_to_total(point))
        if parts is None:
            return Reason.REPEATED
        if isinstance(point, Number):
            is_added = rollup.add_sample(Sample(point.stream.name, parts[""], second))
        else:
            cell = to_cell(point, parts)
            is_added = cell is None or rollup.add_cell(point.stream.name, second, cell)
        return None if is_added else Reason.CARDINALITY


def to_cell(point: Distribution, parts: Mapping[str, float]) -> Cell | None:
    """Return what a distribution gained as a cell, or None if that is nothing.

    Its sketch is unknown if the buckets do not tell which samples were gained, as when their bounds have changed.
    """
    count = parts[""]
    if count <= 0:
        return None
    buckets = [each._replace(samples=parts[key]) for key, each in point.buckets.items() if parts[key]]
    is_known = (
        bool(buckets) and all(each.samples > 0 for each in buckets) and sum(each.samples for each in buckets) == count
    )
    values = [middle(each, point.low, point.high) for each in buckets] if is_known else [parts["sum"] / count]
    low, high = min(values), max(values)
    if not point.is_total:
        low, high = (each if math.isfinite(each) else mean for each, mean in ((point.low, low), (point.high, high)))
    sketch: Sketch = {}
    for value, bucket in zip(values, buckets, strict=False) if is_known else ():
        sketch[find_bin(value)] = sketch.get(find_bin(value), 0) + to_weight(bucket.samples)
    return (count, parts["sum"], low, high, sketch or None)


def _is_total(point: Point) -> TypeGuard[Number | Distribution]:
    return not isinstance(point, Reason) and point.is_total


def _parts(point: Number | Distribution) -> Mapping[str, float]:
    if isinstance(point, Number):
        return {"": point.value}
    return {"": point.samples, "sum": point.total, **{key: each.samples for key, each in point.buckets.items()}}


def _to_total(point: Number | Distribution) -> Total:
    return Total(point.stream.identity, *point.times, _parts(point))


def _parse(body: bytes, media_type: str) -> Any:
    """Return a message.

    :raises Problem: 415 if it is neither protobuf nor JSON; 400 if it is malformed.
    :raises PackageMissing: when the package opentelemetry-proto is not installed.
    """
    if media_type not in (PROTOBUF, JSON):
        text = f"the body is {media_type!r:.100}: send {PROTOBUF} or {JSON}"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, headers=(("Accept", f"{PROTOBUF}, {JSON}"),))
    try:
        with forks.Postponed():
            from google.protobuf import json_format
            from google.protobuf.message import DecodeError
            from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    except ImportError:
        raise PackageMissing("OTLP is read by the package opentelemetry-proto: pip install 'tally[otlp]'") from None
    message = ExportMetricsServiceRequest()
    try:
        if media_type == PROTOBUF:
            message.ParseFromString(body)
        else:
            json_format.Parse(body, message, ignore_unknown_fields=True)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        text = f"the body is not an ExportMetricsServiceRequest in {media_type}: {error}"
        raise Problem(HTTPStatus.BAD_REQUEST, f"{text:.300}") from None
    return message


def _answer(counts: Mapping[str, int], media_type: str) -> Reply:
    """Return an ExportMetricsServiceResponse."""
    total = sum(counts.values())
    listed = ", ".join(f"{count} as {reason}" for reason, count in sorted(counts.items()))
    text = f"data points were rejected: {listed}; the others are stored" if total else ""
    if media_type == JSON:
        partial = {"partialSuccess": {"rejectedDataPoints": str(total), "errorMessage": text}} if total else {}
        return whole_bytes(encode(partial, pretty=False), JSON)
    content = b"\x08" + write_varint(total) + b"\x12" + write_varint(len(text.encode())) + text.encode()
    return whole_bytes(b"\x0a" + write_varint(len(content)) + content if total else b"", PROTOBUF)


def _status(error: Problem, media_type: str) -> Reply:
    """Return an error as google.rpc.Status."""
    code, text = _CODES.get(error.status, 2), str(error)
    if media_type == PROTOBUF:
        body = b"\x08" + write_varint(code) + b"\x12" + write_varint(len(text.encode())) + text.encode()
    else:
        body = encode({"code": code, "message": text}, pretty=False)
    headers = error.headers
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = (*((name, value) for name, value in headers if name != RETRY_AFTER[0]), RETRY_AFTER)
    return whole_bytes(body, PROTOBUF if media_type == PROTOBUF else JSON, status=error.status, headers=headers)
