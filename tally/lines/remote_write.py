"""Parses the messages of Prometheus remote write 1.0, uncompressed.

    WriteRequest      1 timeseries: TimeSeries, 3 metadata: MetricMetadata
    TimeSeries        1 labels: Label, 2 samples: Sample, 4 histograms
    Label             1 name, 2 value
    Sample            1 value: double, 2 timestamp: int64, in milliseconds
    MetricMetadata    1 type, 2 metric_family_name

`__name__` is the name of a series, and the other labels are its tags. Samples do not say whether they are of a counter.
`is_counter` decides by the metadata, which Prometheus sends once a minute, and else by the end of the name.

Pure. The reference is https://prometheus.io/docs/specs/prw/remote_write_spec/. The few messages are read here, so that
the labels of a series that returns need not be parsed again.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from tally.errors import InvalidSample
from tally.lines.plain import Reason
from tally.lines.protobuf import as_bytes, as_double, as_int64, read_fields
from tally.lines.tags import clean_base, clean_tag, join_tags

# Series, samples and descriptions of metrics in a message.
ITEMS_MAX = 100_000
# Longer labels cannot become a valid name.
LABELS_MAX_BYTES = 2048
NAME_CACHE_SIZE = 2**14
# The values of MetricMetadata.type.
KINDS = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
_COUNTERS_BY_SUFFIX = {
    "": ("counter",),
    "_total": ("counter",),
    "_bucket": ("histogram",),
    "_count": ("histogram", "summary"),
    "_sum": ("histogram", "summary"),
}


class Series(NamedTuple):
    """A series: its encoded labels, values with times in unix milliseconds, and the number of native histograms."""

    labels: bytes
    samples: list[tuple[float, int]]
    histograms: int


class WriteRequest(NamedTuple):
    """The series of a message, and the kinds of metrics by name that it describes."""

    series: list[Series]
    kinds: dict[str, str]


class Identity(NamedTuple):
    """The name of a metric, and that of the series with its tags."""

    family: str
    name: str


def parse_request(message: bytes) -> WriteRequest:
    """Parse a message.

    :raises InvalidSample: when it is truncated, malformed, or has more than ITEMS_MAX items.
    """
    request = WriteRequest([], {})
    items = 0
    for number, value in read_fields(message):
        items += 1
        if number == 1:
            series = _parse_series(as_bytes(value))
            request.series.append(series)
            items += len(series.samples)
        elif number == 3:
            request.kinds.update(_parse_metadata(as_bytes(value)))
        if items > ITEMS_MAX:
            raise InvalidSample(f"the message has more than {ITEMS_MAX} series and samples: send it in parts")
    return request


def _parse_series(message: bytes) -> Series:
    labels: list[bytes] = []
    samples: list[tuple[float, int]] = []
    histograms = 0
    for number, value in read_fields(message):
        if number == 1 and len(labels) <= LABELS_MAX_BYTES:
            labels.append(as_bytes(value))
        elif number == 2 and len(samples) <= ITEMS_MAX:
            samples.append(_parse_sample(as_bytes(value)))
        elif number == 4:
            histograms += 1
    # Each is preceded by its length, so that different labels are never encoded equally.
    return Series(b"".join(b"%d:%b" % (len(label), label) for label in labels), samples, histograms)


def _parse_sample(message: bytes) -> tuple[float, int]:
    value, time_ms = 0.0, 0
    for number, found in read_fields(message):
        if number == 1:
            value = as_double(found)
        elif number == 2:
            time_ms = as_int64(found)
    return value, time_ms


def _parse_metadata(message: bytes) -> Iterator[tuple[str, str]]:
    fields = dict(read_fields(message))
    kind = as_int64(fields.get(1, 0))
    family = as_bytes(fields.get(2, b"")).decode(errors="replace")
    if family and 0 < kind < len(KINDS) and len(family) <= LABELS_MAX_BYTES:
        yield family, KINDS[kind]


def identify(labels: bytes) -> Identity | Reason:
    """Return the identity of a series, or the reason if its labels are not valid."""
    return _identify(labels) if len(labels) <= LABELS_MAX_BYTES else Reason.NAME


@lru_cache(NAME_CACHE_SIZE)
def _identify(labels: bytes) -> Identity | Reason:
    try:
        pairs = dict(_read_labels(labels))
    except UnicodeDecodeError:
        return Reason.ENCODING
    family = pairs.pop("__name__", "")
    name = join_tags(clean_base(family), [clean_tag(*pair) for pair in pairs.items() if pair[1]])
    return Reason.NAME if name is None else Identity(family, name)


def _read_labels(labels: bytes) -> Iterator[tuple[str, str]]:
    while labels:
        size, _, labels = labels.partition(b":")
        fields = dict(read_fields(labels[: int(size)]))
        labels = labels[int(size) :]
        yield as_bytes(fields.get(1, b"")).decode(), as_bytes(fields.get(2, b"")).decode()


def families(name: str) -> Iterator[str]:
    """Yield the metrics whose description may be that of a series."""
    return (name.removesuffix(suffix) for suffix in _COUNTERS_BY_SUFFIX if name.endswith(suffix))


def is_counter(name: str, kinds: Mapping[str, str]) -> bool:
    """Return whether a series of this name only grows, by the kinds of metrics, and else by the end of the name."""
    suffixes = [suffix for suffix in _COUNTERS_BY_SUFFIX if name.endswith(suffix)]
    for suffix in suffixes:
        kind = kinds.get(name.removesuffix(suffix))
        if kind is not None:
            return kind in _COUNTERS_BY_SUFFIX[suffix]
    return len(suffixes) > 1
