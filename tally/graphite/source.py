"""Reads series: finds the metrics that match a pattern and queries their archives.

As in Graphite, a range excludes its start and includes its end. It is clipped to the retention of the archive and to
the current time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from functools import partial
from itertools import groupby
from typing import Any

from tally.engine import Archive, Catalog
from tally.engine.asking.matching import GLOBS_MAX
from tally.engine.asking.question import AGGREGATES, Question
from tally.engine.glob import escape
from tally.errors import InvalidQuestion, UnknownArchive
from tally.graphite import tagging, tree
from tally.graphite.budget import Budget
from tally.graphite.series import Origin, Series
from tally.graphite.tree import Metric

CONSOLIDATIONS = {"count": "sum", "sum": "sum", "avg": "average", "min": "min", "max": "max"}
# How percentiles are consolidated after a function has changed them. The greatest hides no slow bucket.
RANK_CONSOLIDATION = "max"
# How deep targets that functions such as `applyByNode` make may contain such functions.
NESTED_MAX = 4


@dataclass(frozen=True)
class Window:
    """A time range in unix seconds, `start` excluded and `end` included, requested at the time `now`.

    `auto_since` is the start by which the archive of `auto` is chosen, if not `start`. Days begin in `zone`.
    """

    start: float
    end: float
    now: float
    auto_since: float | None = None
    zone: tzinfo = UTC

    @property
    def since(self) -> float:
        """The start by which the archive of `auto` is chosen."""
        return self.start if self.auto_since is None else self.auto_since

    def first(self, step: int) -> int:
        """Return the first bucket of `step` seconds in the range."""
        return int(self.start // step) * step + step

    def buckets(self, step: int, *, oldest: float) -> range:
        """Return the buckets of `step` seconds in the range, from `oldest` to the current time.

        Like Graphite, a range without the start of a bucket returns the next bucket.
        """
        start, end = max(self.start, oldest), min(self.end, self.now)
        if start > end:
            return range(0)
        first = int(start // step) * step + step
        last = max(first, int(end // step) * step)
        return range(first, last + step, step)

    def shift(self, seconds: float) -> "Window":
        """Return the range moved to `seconds` later."""
        auto_since = None if self.auto_since is None else self.auto_since + seconds
        return replace(self, start=self.start + seconds, end=self.end + seconds, auto_since=auto_since)

    def extend(self, seconds: float) -> "Window":
        """Return the range with a start that is `seconds` earlier, in the same archive of `auto`."""
        return replace(self, start=self.start - seconds, auto_since=self.since)

    def begin_at(self, start: float) -> "Window":
        """Return the range with another start, in the same archive of `auto`."""
        return replace(self, start=start, auto_since=self.since)

    def last_second(self) -> "Window":
        """Return the last second of the range, in the same archive of `auto`."""
        return replace(self, start=min(self.end, self.now) - 1, auto_since=self.since)


class Source:
    """Reads series for one request, and caches them."""

    def __init__(self, catalog: Catalog, budget: Budget, *, x_files_factor: float = 0) -> None:
        self._catalog = catalog
        self._factor = x_files_factor
        self.budget = budget
        self.stacks: dict[str, list[float]] = {}
        self._nested = 0
        self._cache: dict[tuple[str, Window], list[Series]] = {}

    def read(self, pattern: str, window: Window) -> list[Series]:
        """Return the series of all metrics that match a pattern, sorted by path, including those without data.

        :raises InvalidQuestion: when the pattern is malformed, or the series exceed the budget.
        :raises NotAnArchive, ArchiveUnavailable, QueryTimeout: as `Archive.ask`.
        """
        cached = self._cache.get((pattern, window))
        if cached is not None:
            self.budget.spend(1, sum(len(each.values) for each in cached))
            return cached
        metrics = tree.metrics(self._catalog, pattern, self.budget, since=window.since)
        found = [replace(each, expression=pattern) for _, each in self._read_metrics(metrics, window)]
        self._cache[pattern, window] = found
        return found

    def read_tagged(self, expressions: tuple[str, ...], window: Window) -> list[Series]:
        """Return the series of all names whose tags match the expressions, under these names. Raises as `read`."""
        text = f"seriesByTag({','.join(map(repr, expressions))})"
        metrics = tagging.metrics(self._catalog, expressions, self.budget, since=window.since)
        return [
            replace(each, name=metric.name, expression=text, tags=tagging.read_tags(metric.name))
            for metric, each in self._read_metrics(metrics, window)
        ]

    def read_events(self, tags: tuple[str, ...], window: Window) -> list[float]:
        """Return when the events with all of the tags began that overlap the range."""
        found = self._catalog.events.find(since=window.start, until=window.end, tags=tags)
        return [event.since for event in found]

    def _read_metrics(self, metrics: list[Metric], window: Window) -> list[tuple[Metric, Series]]:
        """Return the series of metrics, sorted by path."""
        by_path = {metric.path: metric for metric in metrics}
        by_slug = groupby(metrics, key=lambda metric: metric.archive)
        series = [each for slug, group in by_slug for each in self._read_archive(slug, list(group), window)]
        return [(by_path[each.expression], each) for each in sorted(series, key=lambda s: s.name)]

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Evaluate a target that a function made.

        :raises InvalidQuestion: when such targets are nested deeper than NESTED_MAX.
        """
        if self._nested == NESTED_MAX:
            raise InvalidQuestion(f"targets in texts are nested deeper than {NESTED_MAX}: use fewer")
        self._nested += 1
        try:
            yield
        finally:
            self._nested -= 1

    def _read_archive(self, slug: str, metrics: list[Metric], window: Window) -> Iterator[Series]:
        try:
            archive = self._catalog[slug]
            definition = archive.definition()
            first = archive.summary().first if not definition.retention else None
        except UnknownArchive:
            return  # It was deleted after the directory was read.
        oldest = first - definition.resolution if first is not None else window.now - definition.retention * 3600
        buckets = window.buckets(definition.resolution, oldest=oldest)
        self.budget.spend(len(metrics), len(buckets))
        if buckets:
            found = _ArchiveReader(archive, buckets, now=window.now, budget=self.budget).read(metrics)
            factor = self._factor
            yield from (replace(each, x_files_factor=factor, common_factor=factor) for each in found)


class _ArchiveReader:
    """Reads the metrics of one archive in `buckets`, at the time `now`."""

    def __init__(self, archive: Archive, buckets: range, *, now: float, budget: Budget) -> None:
        self._archive = archive
        self._buckets = buckets
        self._now = now
        self._budget = budget

    def read(self, metrics: Sequence[Metric]) -> Iterator[Series]:
        """Yield the series of metrics, including those without data."""
        names = [(name, list(group)) for name, group in groupby(metrics, key=lambda metric: metric.name)]
        for begin in range(0, len(names), GLOBS_MAX):
            yield from self._read_names(dict(names[begin : begin + GLOBS_MAX]))

    def _read_names(self, names: dict[str, list[Metric]]) -> Iterator[Series]:
        """Yield the series of at most GLOBS_MAX names, read with one question."""
        given: dict[str, Any] = {"q": tuple(map(escape, names))}
        wanted = {metric.aggregate for metrics in names.values() for metric in metrics}
        if ranks := tuple(sorted(wanted - {*AGGREGATES})):
            given["percentiles"] = ranks
        given |= {"since": self._buckets[0], "until": self._buckets[-1]}
        question = Question.create("values", aggregate=None, by="time", given=given)
        coarse = _CoarseReader(self, question)
        without_data = dict(names)
        for name, rows in groupby(self.ask(question), key=lambda row: str(row[0])):
            yield from self._build(without_data.pop(name), list(rows), coarse)
        for metrics in without_data.values():
            yield from self._build(metrics, [], coarse)

    def ask(self, question: Question) -> Iterator[Any]:
        """Yield the rows of an answer."""
        with self._archive.ask(question, timeout_s=self._budget.left_s()) as answer:
            self._budget.set_interrupt(answer.close)
            try:
                yield from answer.rows()
            finally:
                self._budget.set_interrupt(None)

    def _build(self, metrics: list[Metric], rows: list[Any], coarse: "_CoarseReader") -> Iterator[Series]:
        """Yield the series of the metrics of one name; a row is name, bucket, and the values of the question.

        As in Graphite, a bucket has no value until it is over. Otherwise every chart would end in a drop.
        """
        first, step = self._buckets.start, self._buckets.step
        rows = [row for row in rows if row[1] + step <= self._now]
        indexes = [(bucket - first) // step for _, bucket, *_ in rows]
        for metric in metrics:
            values: list[float | None] = [None] * len(self._buckets)
            column = 2 + coarse.question.shown.index(metric.aggregate)
            for index, row in zip(indexes, rows, strict=True):
                values[index] = row[column]
            path, consolidation = metric.path, CONSOLIDATIONS.get(metric.aggregate, RANK_CONSOLIDATION)
            weights = self._weights(indexes, rows) if metric.aggregate == "avg" else None
            if metric.is_rate:
                values, consolidation = [None if value is None else value / step for value in values], "average"
            origin = None
            if metric.aggregate not in AGGREGATES:
                origin = Origin(values, first, partial(coarse.read, metric.name, metric.aggregate))
            yield Series(path, path, first, step, values, consolidation, weights, metric.tags, origin=origin)

    def _weights(self, indexes: list[int], rows: list[Any]) -> list[float]:
        """Return the number of samples of each bucket."""
        weights: list[float] = [0] * len(self._buckets)
        for index, row in zip(indexes, rows, strict=True):
            weights[index] = row[2 + AGGREGATES.index("count")]
        return weights


class _CoarseReader:
    """Asks the question of a reader again for longer buckets, once for all of its series.

    A value is that of a whole bucket, even if the range begins or ends within it.
    """

    def __init__(self, reader: _ArchiveReader, question: Question) -> None:
        self.question = question
        self._reader = reader
        self._answers: dict[int | None, dict[str, dict[int, Any]]] = {}

    def read(self, name: str, aggregate: str, step: int | None) -> list[float | None]:
        """Return the values of all buckets of `step` seconds in the range of the question, or of one for all of it."""
        first, last = int(self.question.since or 0), int(self.question.until or 0)
        buckets = [0] if step is None else range(first - first % step, last + 1, step)
        if step not in self._answers:
            self._answers[step] = self._ask(step, since=first if step is None else buckets[0])
        rows, column = self._answers[step].get(name, {}), self.question.shown.index(aggregate)
        return [rows[bucket][column] if bucket in rows else None for bucket in buckets]

    def _ask(self, step: int | None, *, since: int) -> dict[str, dict[int, Any]]:
        """Return the values by name and bucket."""
        question = replace(self.question, step=step, since=since)
        if step is None:
            question = replace(question, kind="aggregate", by="name")
        found: dict[str, dict[int, Any]] = {}
        for name, *rest in self._reader.ask(question):
            bucket, values = (0, rest) if step is None else (rest[0], rest[1:])
            found.setdefault(str(name), {})[bucket] = values
        return found
