"""Where series come from: the metrics that a pattern matches, read from their archives.

As Graphite has it, a range begins after its first moment and ends with its last, and is cut to what an archive can
hold: not before its retention, nor after now.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from tally.engine import Archive, Catalog
from tally.engine.asking.question import AGGREGATES, Question
from tally.engine.asking.sql import GLOBS_MAX
from tally.errors import UnknownArchive
from tally.graphite import tree
from tally.graphite.budget import Budget
from tally.graphite.pattern import literal
from tally.graphite.series import Series
from tally.graphite.tree import Metric

CONSOLIDATIONS = {"count": "sum", "sum": "sum", "avg": "average", "min": "min", "max": "max"}


@dataclass(frozen=True)
class Window:
    """A range of time in unix seconds: after `start`, until `end`, as seen at `now`."""

    start: float
    end: float
    now: float

    def first(self, step: int) -> int:
        """Return the first bucket of `step` seconds."""
        return int(self.start // step) * step + step

    def buckets(self, step: int, *, oldest: float) -> range:
        """Return the buckets of `step` seconds, those before `oldest` and after now left out."""
        start, end = max(self.start, oldest), min(self.end, self.now)
        first = int(start // step) * step + step
        return range(first, max(int(end // step) * step + step, first + step if start <= end else 0), step)

    def moved(self, seconds: float) -> "Window":
        """Return the range so much later, as seen at the same time."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)

    def widened(self, seconds: float) -> "Window":
        """Return the range with so much before it."""
        return replace(self, start=self.start - seconds)


class Source:
    """Reads series for one request; what was read once is not read again."""

    def __init__(self, catalog: Catalog, budget: Budget) -> None:
        self._catalog = catalog
        self.budget = budget
        self._read: dict[tuple[str, Window], list[Series]] = {}

    def fetch(self, pattern: str, window: Window) -> list[Series]:
        """Return the series of the metrics that a pattern matches, by path, with or without data in the window.

        :raises InvalidQuestion: when it is no pattern, or there is more than the budget allows.
        :raises NotAnArchive, ArchiveUnavailable, QueryTimeout: as `Archive.ask`.
        """
        key = (pattern, window)
        if key in self._read:
            self.budget.spend(1, sum(len(each.values) for each in self._read[key]))
        else:
            found = tree.metrics(self._catalog, pattern, self.budget)
            by_slug = groupby(found, key=lambda metric: metric.slug)
            series = [each for slug, group in by_slug for each in self._of_archive(slug, list(group), window)]
            self._read[key] = [replace(each, expression=pattern) for each in sorted(series, key=lambda s: s.name)]
        return self._read[key]

    def _of_archive(self, slug: str, metrics: list[Metric], window: Window) -> Iterator[Series]:
        try:
            archive = self._catalog[slug]
            definition = archive.definition()
            first = archive.summary().first if not definition.retention else None
        except UnknownArchive:
            return  # It was deleted since the directory was read.
        oldest = first - definition.resolution if first is not None else window.now - definition.retention * 3600
        buckets = window.buckets(definition.resolution, oldest=oldest)
        self.budget.spend(len(metrics), len(buckets))
        if buckets:
            yield from _Reading(archive, buckets, now=window.now, budget=self.budget).series(metrics)


class _Reading:
    """Reads metrics of one archive at `buckets`, as seen at `now`."""

    def __init__(self, archive: Archive, buckets: range, *, now: float, budget: Budget) -> None:
        self._archive = archive
        self._buckets = buckets
        self._now = now
        self._budget = budget

    def series(self, metrics: Sequence[Metric]) -> Iterator[Series]:
        """Yield the series of metrics, with or without data."""
        names = [(name, list(group)) for name, group in groupby(metrics, key=lambda metric: metric.name)]
        for begin in range(0, len(names), GLOBS_MAX):
            yield from self._of_names(dict(names[begin : begin + GLOBS_MAX]))

    def _of_names(self, names: dict[str, list[Metric]]) -> Iterator[Series]:
        """Yield the series of a question's names, one name after the other as their rows come."""
        given = {"q": tuple(map(literal, names)), "since": self._buckets[0], "until": self._buckets[-1]}
        question = Question.create("values", aggregate=None, by="time", given=given)
        left = dict(names)
        with self._archive.ask(question, timeout_s=self._budget.left_s()) as answer:
            self._budget.interruptible(answer.close)
            try:
                for name, rows in groupby(answer.rows(), key=lambda row: str(row[0])):
                    yield from self._of_name(left.pop(name), list(rows))
            finally:
                self._budget.interruptible(None)
        for metrics in left.values():
            yield from self._of_name(metrics, [])

    def _of_name(self, metrics: list[Metric], rows: list[Any]) -> Iterator[Series]:
        """Yield the series of a name's metrics; a row is name, bucket, and the aggregates in their order.

        A bucket has no value until it is over, as in Graphite: otherwise a chart would end in a drop.
        """
        first, step = self._buckets.start, self._buckets.step
        rows = [row for row in rows if row[1] + step <= self._now]
        at = [(bucket - first) // step for _, bucket, *_ in rows]
        for metric in metrics:
            values: list[float | None] = [None] * len(self._buckets)
            column = 2 + AGGREGATES.index(metric.aggregate)
            for index, row in zip(at, rows, strict=True):
                values[index] = row[column]
            path, consolidation = metric.path, CONSOLIDATIONS[metric.aggregate]
            weights = self._weights(at, rows) if metric.aggregate == "avg" else None
            yield Series(path, path, first, step, values, consolidation, weights, metric.tags)

    def _weights(self, at: list[int], rows: list[Any]) -> list[float]:
        """Return how many samples each bucket has."""
        weights: list[float] = [0] * len(self._buckets)
        for index, row in zip(at, rows, strict=True):
            weights[index] = row[2 + AGGREGATES.index("count")]
        return weights
