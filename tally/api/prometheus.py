"""`POST /api/v1/write`: stores what Prometheus sends by remote write 1.0.

A sample of a gauge is stored as it is, and one of a counter as what the counter gained since its last reading. Readings
are written after the archives. A message is its own idempotency key, so one that is sent again after an error or a
crash is counted once, and finds the readings as they were.

It answers 204. If samples are rejected it answers 400, as the protocol asks, and the others are stored.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from tally import forks
from tally.api.message import Reply, Request, empty
from tally.api.parameters import check_size
from tally.api.problems import Problem
from tally.api.route import Call
from tally.api.samples import store
from tally.engine.storing.counters import Counters, Reading, Turn, gain
from tally.engine.storing.rollup import Rollup
from tally.errors import InvalidSample, PackageMissing
from tally.lines.plain import TIMESTAMP_END, VALUE_MAX, Reason, Sample
from tally.lines.protobuf import read_varint
from tally.lines.remote_write import Identity, Series, families, identify, is_counter, parse_request

PROTOBUF = "application/x-protobuf"
# Of these parameters of the media type, only the first message is understood.
MESSAGES = ("", "prometheus.WriteRequest")
_SPLIT = "send it in parts"


def write(call: Call) -> Reply:
    """Commit the samples in a message.

    :raises Problem: 400 if samples were rejected, after the others were stored; 413 if the message is too long; 415 if
        it is not of remote write 1.0, compressed by snappy; and as `store`.
    :raises InvalidSample: when the message is truncated or malformed.
    :raises PackageMissing: when the package cramjam is not installed.
    """
    _check_type(call.request)
    message = decompress(call.request.body, call.route.max_body_bytes)
    request = parse_request(message)
    call.catalog.counters.write_kinds(request.kinds)
    if not request.series:
        return empty(204)
    key = f"prometheus-{hashlib.sha256(message).hexdigest()}"
    with call.catalog.counters.turn() as turn:
        adding = Adding(request.series, turn, call.catalog.counters)
        lines, _ = store(call, message, adding, key=key)
        turn.write(adding.readings)
    if not lines.rejected:
        return empty(204)
    counts = Counter(reason for _, reason in lines.rejected)
    listed = ", ".join(f"{count} as {reason}" for reason, count in sorted(counts.items()))
    text = f"samples were rejected: {listed}; the others are stored"
    raise Problem(HTTPStatus.BAD_REQUEST, text)


def decompress(body: bytes, max_bytes: int) -> bytes:
    """Return a body of snappy's block format decompressed.

    Its first field is the size that it decompresses to, so nothing larger is decompressed.

    :raises Problem: 413 if it is longer than `max_bytes`, compressed or not; 400 if it is not of this format.
    :raises PackageMissing: when the package cramjam is not installed.
    """
    check_size(body, max_bytes, _SPLIT)
    try:
        with forks.Postponed():
            from cramjam import DecompressionError, snappy
    except ImportError:
        text = "remote write is decompressed by the package cramjam: pip install 'tally[prometheus]'"
        raise PackageMissing(text) from None
    try:
        size, _ = read_varint(body, 0)
        if size > max_bytes:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {max_bytes} bytes: {_SPLIT}")
        return bytes(snappy.decompress_raw(body))
    except (InvalidSample, DecompressionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not compressed by snappy: {error}") from None


class Adding:
    """Adds the samples of a message to a rollup, as a Parsing. `readings` has the new readings of counters."""

    def __init__(self, series: Sequence[Series], turn: Turn, counters: Counters) -> None:
        self.readings: dict[str, Reading] = {}
        self._series = series
        self._turn = turn
        self._counters = counters
        self._ignored: Counter[str] = Counter()

    def __call__(self, rollup: Rollup, now: int, max_future_s: int) -> tuple[list[tuple[int, str]], Mapping[str, int]]:
        """Add the samples to the rollup. The numbers of rejected samples are those in the message, from 1."""
        known, keys = self._read_counters()
        latest = min(now + max_future_s, TIMESTAMP_END - 1)
        rejected: list[tuple[int, str]] = []
        number = 0
        for series in self._series:
            self._ignored[Reason.UNSUPPORTED] += series.histograms
            found, key = identify(series.labels), keys.get(series.labels)
            for value, time_ms in series.samples:
                number += 1
                reason = found if isinstance(found, Reason) else _find_reason(value, time_ms, latest)
                if reason is None and isinstance(found, Identity):
                    own = value if key is None else self._gain(known, key, Reading(time_ms, value))
                    if own is not None:
                        rollup.add_sample(Sample(found.name, own, time_ms // 1000))
                elif reason is not None:
                    rollup.reject(series.labels, reason)
                    rejected += [(number, str(reason))] * (reason is not Reason.EMPTY)
        return rejected, +self._ignored

    def _read_counters(self) -> tuple[dict[str, Reading], dict[bytes, str]]:
        """Return the last readings by key, and the keys of the series that are counters by their labels."""
        found = {each.labels: identify(each.labels) for each in self._series}
        names = {labels: each.family for labels, each in found.items() if isinstance(each, Identity)}
        kinds = self._counters.read_kinds({family for name in names.values() for family in families(name)})
        keys = {labels: _key(labels) for labels, name in names.items() if is_counter(name, kinds)}
        return self._turn.read(keys.values()), keys

    def _gain(self, known: dict[str, Reading], key: str, reading: Reading) -> float | None:
        """Return what a counter gained, or None if its reading was counted before."""
        gained = gain(known.get(key), reading)
        if gained is None:
            self._ignored[Reason.REPEATED] += 1
        else:
            known[key] = self.readings[key] = reading
        return gained


def _key(labels: bytes) -> str:
    return hashlib.blake2b(labels, digest_size=16).hexdigest()


def _find_reason(value: float, time_ms: int, latest: int) -> Reason | None:
    """Return why a sample is rejected, or None. Marks of staleness are NaN."""
    if math.isnan(value):
        return Reason.EMPTY
    if abs(value) > VALUE_MAX:
        return Reason.VALUE
    if time_ms < 0:
        return Reason.TIMESTAMP
    return Reason.FUTURE if time_ms // 1000 > latest else None


def _check_type(request: Request) -> None:
    """Check the type and the encoding of the body. A sender of remote write 2.0 that gets 415 falls back to 1.0."""
    media_type, _, parameter = request.headers.get("content-type", PROTOBUF).lower().partition(";")
    message = parameter.strip().removeprefix("proto=").strip('"')
    coding = request.headers.get("content-encoding", "snappy").strip().lower()
    if media_type.strip() != PROTOBUF or message not in map(str.lower, MESSAGES) or coding != "snappy":
        given = f"{media_type}; {message}" if message else media_type
        text = (
            f"the body is {given!r:.100}, encoded as {coding!r:.100}: send remote write 1.0, as {PROTOBUF} encoded by "
            "snappy"
        )
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, headers=(("Accept", PROTOBUF), ("Accept-Encoding", "snappy"))
        )
