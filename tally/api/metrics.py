"""The metrics for Prometheus: of the collectors, the archives, and the requests to this process.

METRICS is the catalogue. The metrics of collectors are read from their status files, so all processes answer the same
values. Each collector has its own series, from its start.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from tally import forks
from tally.api import alert_health, cluster_health
from tally.api.message import Reply
from tally.api.problems import Problem, problem
from tally.engine.archive import Archive
from tally.engine.catalog import Catalog
from tally.engine.files.status import Status
from tally.engine.files.wal import log_bytes
from tally.engine.storing import commit
from tally.engine.storing.spill import spill_path
from tally.errors import QueryTimeout, TallyError

ACCEPTED = "accepted"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Rows are counted again when the last count is older than this multiple of its duration, and this many seconds old.
COUNT_SHARE, COUNT_EVERY_S = 100, 60.0

Statuses = list[tuple[str, Status]]
Labels = tuple[str, ...]
Value = tuple[str, Labels, float]


class QueryOutcome(StrEnum):
    """How a query ended."""

    ANSWERED = "answered"
    WRONG = "wrong"
    REFUSED = "refused"
    BUSY = "busy"
    TIMEOUT = "timeout"
    FAILED = "failed"
    LEFT = "left"


MEANINGS = {
    QueryOutcome.ANSWERED: "the answer was sent completely",
    QueryOutcome.WRONG: "the request was invalid (4xx)",
    QueryOutcome.REFUSED: "the token was missing or wrong (401, 403), or the host name was not allowed (421)",
    QueryOutcome.BUSY: "too many queries ran at once (503)",
    QueryOutcome.TIMEOUT: "the query took longer than `TALLY_QUERY_TIMEOUT`",
    QueryOutcome.FAILED: "the archive could not be read (500, 503)",
    QueryOutcome.LEFT: "the client disconnected, or did not read the answer in time",
}
_BY_STATUS = {401: QueryOutcome.REFUSED, 403: QueryOutcome.REFUSED, 421: QueryOutcome.REFUSED, 503: QueryOutcome.BUSY}


class Metric(NamedTuple):
    """A metric. `lost` names the series whose growth means lost data."""

    name: str
    kind: str
    meaning: str
    labels: Labels = ()
    lost: str = ""


_OF_ARCHIVE = ("archive", "collector")
METRICS = (
    Metric("tally_datagrams_total", "counter", "datagrams by outcome: `taken`, or `refused` because of TALLY_ALLOW",
           ("collector", "outcome")),
    Metric("tally_kernel_drops_total", "counter", "datagrams that the kernel dropped because the receive buffer was "
           "full", ("collector",), "all"),
    Metric("tally_connections_total", "counter", "TCP and unix connections by outcome: `taken`, or `refused` because "
           "of TALLY_ALLOW or the limit on open connections", ("collector", "outcome")),
    Metric("tally_connections_open", "gauge", "open TCP and unix connections that send lines", ("collector",)),
    Metric("tally_receive_buffer_bytes", "gauge", "size of the receive buffer", ("collector",)),
    Metric("tally_receive_queue_bytes", "gauge", "bytes in the receive buffer at the start of the last flush",
           ("collector",)),
    Metric("tally_lines_accepted_total", "counter", "lines that were accepted as samples", ("collector",)),
    Metric("tally_lines_rejected_total", "counter", "rejected lines by reason; `unmatched` counts samples of accepted "
           "lines that no archive keeps", ("collector", "reason"), "all"),
    Metric("tally_lines_empty_total", "counter", "lines without a measurement: their value is `nan`", ("collector",)),
    Metric("tally_samples_total", "counter", "samples for an archive by outcome: `stored`, `expired`, `cardinality`, "
           "`dropped`, `spilled`; `taken_up` samples were spilled before, and are counted again by their final outcome",
           (*_OF_ARCHIVE, "outcome"), "`expired`, `cardinality`, `dropped`"),
    Metric("tally_samples_pending", "gauge", "samples that wait for the next flush because the last one failed",
           _OF_ARCHIVE),
    Metric("tally_samples_waiting_seconds", "gauge", "age of the oldest sample that is neither stored nor spilled",
           ("collector",)),
    Metric("tally_archive_failing_seconds", "gauge", "seconds since writes to an archive began to fail, 0 if they "
           "succeed", _OF_ARCHIVE),
    Metric("tally_status_age_seconds", "gauge", "age of a collector's status, 0 in its own process", ("collector",)),
    Metric("tally_archive_failing", "gauge", "1 if the last write to an archive failed, else 0", _OF_ARCHIVE),
    Metric("tally_flushes_total", "counter", "flushes", ("collector",)),
    Metric("tally_flush_seconds_total", "counter", "total duration of all flushes in seconds", ("collector",)),
    Metric("tally_flush_last_seconds", "gauge", "duration of the last flush in seconds", ("collector",)),
    Metric("tally_flush_last_timestamp_seconds", "gauge", "end of the last flush in unix seconds", ("collector",)),
    Metric("tally_collector_start_timestamp_seconds", "gauge", "start of the collector in unix seconds",
           ("collector",)),
    Metric("tally_archive_readable", "gauge", "1 if an archive can be read, else 0", ("archive",)),
    Metric("tally_archive_damaged", "gauge", "1 if an archive is known to be damaged, else 0", ("archive",)),
    Metric("tally_archive_rows", "gauge", "rows in an archive: one for each name in each bucket", ("archive",)),
    Metric("tally_archive_names", "gauge", "metric names in an archive", ("archive",)),
    Metric("tally_archive_bytes", "gauge", "size of an archive's file", ("archive",)),
    Metric("tally_archive_wal_bytes", "gauge", "size of an archive's write-ahead log, the file `-wal`", ("archive",)),
    Metric("tally_archive_spill_bytes", "gauge", "size of an archive's spill file", ("archive",)),
    Metric("tally_free_bytes", "gauge", "free disk space for the data directory"),
    Metric("tally_queries_total", "counter", "queries for data that this process answered, by outcome", ("outcome",)),
    Metric("tally_alerts", "gauge", "alerts of a rule by state: `ok`, `pending`, `firing`, `unknown`",
           ("rule", "state")),
    Metric("tally_alert_rule_failing", "gauge", "1 if the last evaluation of a rule failed, else 0", ("rule",)),
    Metric("tally_alert_left_out", "gauge", "names that have no state, because a rule has as many as it may", ("rule",),
           "all"),
    Metric("tally_alert_evaluation_seconds", "gauge", "duration of the last evaluation of a rule", ("rule",)),
    Metric("tally_alert_evaluated_age_seconds", "gauge", "age of the end of the last window of a rule", ("rule",)),
    Metric("tally_alert_changes_total", "counter", "changes of alerts by their new state", ("state",)),
    Metric("tally_alert_deliveries_total", "counter", "changes for receivers by outcome: `made`, `delivered`, "
           "`expired` after a day, `dropped` because too many waited; `failed` counts attempts", ("outcome",),
           "`expired`, `dropped`"),
    Metric("tally_alert_deliveries_pending", "gauge", "changes that wait for a receiver", ("receiver",)),
    Metric("tally_cluster_lag_seconds", "gauge", "age of the first change that a source has not shipped to the "
           "cluster, 0 if it has shipped everything; of other sources, as they reported it", ("source",)),
    Metric("tally_cluster_pending_cells", "gauge", "cells that a source has to ship", ("source",)),
    Metric("tally_cluster_expired_samples_total", "counter", "samples that expired before they could be shipped",
           ("source",), "all, in the cluster"),
    Metric("tally_cluster_report_age_seconds", "gauge", "age of the last report of a source's replicator", ("source",)),
    Metric("tally_cluster_failing_seconds", "gauge", "seconds since shipping began to fail, 0 if it succeeds",
           ("source",)),
    Metric("tally_posted_lines_total", "counter", "lines and data points posted in this process, by outcome: "
           "`accepted`, `empty`, or the reason for their rejection; `unmatched` counts samples of accepted lines",
           ("outcome",)),
    Metric("tally_posted_samples_total", "counter", "posted samples by archive and outcome: `stored`, "
           "`expired`, `cardinality`, `spilled`", ("archive", "outcome"), "`expired`, `cardinality`"),
)  # fmt: skip


class Count(NamedTuple):
    """The numbers of rows and names in an archive, when they were counted, and how long that took."""

    rows: int
    names: int
    counted: float
    took_s: float

    def is_old(self, now: float) -> bool:
        """Return whether it is time to count again."""
        return now - self.counted >= max(COUNT_EVERY_S, COUNT_SHARE * self.took_s)


def query_outcome(error: Exception) -> QueryOutcome:
    """Return the outcome of a query that raised `error`."""
    if isinstance(error, QueryTimeout):
        return QueryOutcome.TIMEOUT
    if isinstance(error, Problem) and error.status in _BY_STATUS:
        return _BY_STATUS[error.status]
    return QueryOutcome.WRONG if problem(error).status < 500 else QueryOutcome.FAILED


class QueryCounters:
    """Counts outcomes. It is thread-safe."""

    def __init__(self) -> None:
        self._counts: Counter[QueryOutcome] = Counter(dict.fromkeys(QueryOutcome, 0))
        self._lock = forks.lock()

    def count(self, outcome: QueryOutcome) -> None:
        """Count a query."""
        with self._lock:
            self._counts[outcome] += 1

    def counts(self) -> dict[QueryOutcome, int]:
        """Return the number of queries by outcome."""
        with self._lock:
            return dict(self._counts)


class CountedChunks:
    """The chunks of a reply, whose outcome is counted once: answered, failed, or closed early."""

    def __init__(self, reply: Reply, count: Callable[[QueryOutcome], None]) -> None:
        self._chunks = iter(reply.chunks)
        self._close = reply.close
        self._count = count
        self._lock = forks.lock()
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; raises what the query raises."""
        try:
            chunk = next(self._chunks, None)
        except Exception as error:
            self._end(query_outcome(error))
            raise
        if chunk is None:
            self._end(QueryOutcome.ANSWERED)
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Stop the query."""
        self._end(QueryOutcome.LEFT)
        self._close()

    def _end(self, outcome: QueryOutcome) -> None:
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            self._count(outcome)


class IngestCounters:
    """Counts posted lines by outcome, and their samples by archive and outcome. It is thread-safe."""

    def __init__(self) -> None:
        self._lines: Counter[str] = Counter()
        self._samples: Counter[tuple[str, str]] = Counter()
        self._lock = forks.lock()

    def count(self, lines: Counter[str], outcomes: Mapping[str, commit.Outcome]) -> None:
        """Add the lines of a body, and the outcomes of their samples by slug."""
        with self._lock:
            self._lines += lines
            for slug, outcome in outcomes.items():
                self._samples.update({(slug, each): count for each, count in outcome.counts().items()})

    def lines(self) -> dict[str, int]:
        """Return the number of lines by outcome."""
        with self._lock:
            return dict(self._lines)

    def samples(self) -> dict[tuple[str, str], int]:
        """Return the number of samples by slug and outcome."""
        with self._lock:
            return dict(self._samples)


class Metrics:
    """The values of all metrics. It is thread-safe."""

    def __init__(self, outcomes: QueryCounters) -> None:
        self.posted = IngestCounters()
        self._outcomes = outcomes
        self._counts: dict[str, Count] = {}
        self._lock = forks.lock()

    def text(self, catalog: Catalog, statuses: Statuses) -> bytes:
        """Return all metrics as Prometheus reads them; `statuses` are those of the collectors."""
        with forks.Postponed():  # It takes as long to import as all of tally.
            from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Values([*self._values(catalog, statuses)]))
        return generate_latest(registry)

    def _values(self, catalog: Catalog, statuses: Statuses) -> Iterator[Value]:
        for identity, status in statuses:
            yield from _collector_values(identity, status)
        for archive in _archives(catalog):
            yield from self._archive_values(archive)
        if catalog.directory.is_dir():
            yield "tally_free_bytes", (), shutil.disk_usage(catalog.directory).free
        for outcome, count in self._outcomes.counts().items():
            yield "tally_queries_total", (outcome,), count
        for line_outcome, count in self.posted.lines().items():
            yield "tally_posted_lines_total", (line_outcome,), count
        with suppress(TallyError):  # `/readyz` reports the error.
            yield from alert_health.values(catalog, time.time())
        yield from cluster_health.values(catalog.directory, time.time())
        for labels, count in self.posted.samples().items():
            yield "tally_posted_samples_total", labels, count

    def _archive_values(self, archive: Archive) -> Iterator[Value]:
        label = (archive.slug,)
        yield "tally_archive_wal_bytes", label, log_bytes(archive.path)
        yield "tally_archive_spill_bytes", label, _size_bytes(spill_path(archive.path))
        yield from self._read_values(archive)
        # Reading the archive may have detected the damage.
        yield "tally_archive_damaged", label, archive.damage() is not None

    def _read_values(self, archive: Archive) -> Iterator[Value]:
        label = (archive.slug,)
        try:
            size_bytes, count = archive.summary().bytes, self._count(archive)
        except TallyError:
            yield "tally_archive_readable", label, 0
            return
        yield "tally_archive_readable", label, 1
        yield "tally_archive_rows", label, count.rows
        yield "tally_archive_names", label, count.names
        yield "tally_archive_bytes", label, size_bytes

    def _count(self, archive: Archive) -> Count:
        with self._lock:
            last = self._counts.get(archive.slug)
            began = time.monotonic()
            if last is None or last.is_old(began):
                rows, names = archive.points(), archive.count_names()
                ended = time.monotonic()
                last = self._counts[archive.slug] = Count(rows, names, ended, ended - began)
            return last


def _collector_values(identity: str, status: dict[str, Any]) -> Iterator[Value]:
    own = (identity,)
    yield "tally_datagrams_total", (identity, "taken"), status["datagrams"]
    yield "tally_datagrams_total", (identity, "refused"), status["refused"]
    yield "tally_connections_total", (identity, "taken"), status["connections"]
    yield "tally_connections_total", (identity, "refused"), status["connections_refused"]
    for name, key in _NUMBERS:
        if status[key] is not None:
            yield name, own, status[key]
    for reason, count in status["rejected"].items():
        yield "tally_lines_rejected_total", (identity, reason), count
    for slug, account in status["archives"].items():
        for outcome in ("stored", "expired", "cardinality", "dropped", "spilled", "taken_up"):
            yield "tally_samples_total", (slug, identity, outcome), account[outcome]
        yield "tally_samples_pending", (slug, identity), account["pending"]
        yield "tally_archive_failing", (slug, identity), bool(account["error"])
        yield "tally_archive_failing_seconds", (slug, identity), account["failing"] or 0
    yield "tally_samples_waiting_seconds", own, status["waiting"] or 0
    yield "tally_status_age_seconds", own, status["stale"]


_NUMBERS = (
    ("tally_kernel_drops_total", "kernel_drops"),
    ("tally_connections_open", "connections_open"),
    ("tally_receive_buffer_bytes", "receive_buffer"),
    ("tally_receive_queue_bytes", "receive_queue"),
    ("tally_lines_accepted_total", "accepted"),
    ("tally_lines_empty_total", "empty"),
    ("tally_flushes_total", "flushes"),
    ("tally_flush_seconds_total", "flush_seconds_total"),
    ("tally_flush_last_seconds", "flush_seconds"),
    ("tally_flush_last_timestamp_seconds", "updated"),
    ("tally_collector_start_timestamp_seconds", "started"),
)


def _archives(catalog: Catalog) -> list[Archive]:
    try:
        return catalog.archives()
    except TallyError:
        return []  # `/readyz` reports the error.


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Values:
    """A collector, in the sense of prometheus_client, of values that are already known."""

    def __init__(self, values: Iterable[Value]) -> None:
        self._values = list(values)

    def collect(self) -> Iterator[Any]:
        """Yield one family for each metric."""
        with forks.Postponed():
            from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
        for metric in METRICS:
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.meaning, labels=metric.labels)
            for name, labels, value in self._values:
                if name == metric.name:
                    family.add_metric(labels, value)
            yield family
