"""The answer of `/render`: chunks of JSON or CSV, one series after another, computed while they are read."""

import csv
import io
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime

from tally.engine import Catalog
from tally.graphite.budget import Budget
from tally.graphite.evaluation import evaluate
from tally.graphite.request import Render
from tally.graphite.series import Series
from tally.graphite.source import Source

CHUNK_CHARACTERS = 65_536

# A value, or None, and unix seconds.
Point = tuple[float | None, int]


class Rendering:
    """Yields the chunks of one answer. `close` stops the query, and may be called from any thread."""

    def __init__(self, catalog: Catalog, render: Render, *, timeout_s: float) -> None:
        """Start the timeout. The archives are read when the first chunk is requested."""
        self.media_type = "text/csv; charset=utf-8" if render.format == "csv" else "application/json"
        self._budget = Budget(timeout_s)
        self._render = render
        self._source = Source(catalog, self._budget)
        self._is_closed = False
        self._chunks = self._join()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; none follows after `close`.

        :raises InvalidQuestion: when a function or an argument is wrong, or the targets exceed the budget.
        :raises NotAnArchive, ArchiveUnavailable: when an archive cannot be read.
        :raises QueryTimeout: when the time is over, or `close` was called meanwhile.
        """
        if self._is_closed:
            raise StopIteration
        return next(self._chunks)

    def close(self) -> None:
        """Stop the query; further calls do nothing."""
        self._is_closed = True
        self._budget.stop()

    def _join(self) -> Iterator[bytes]:
        texts = _csv(self._series()) if self._render.format == "csv" else self._json()
        parts: list[str] = []
        size = 0
        for text in texts:
            parts.append(text)
            size += len(text)
            if size >= CHUNK_CHARACTERS:
                yield "".join(parts).encode("utf-8", "backslashreplace")
                parts, size = [], 0
                self._budget.left_s()
        yield "".join(parts).encode("utf-8", "backslashreplace")

    def _json(self) -> Iterator[str]:
        separator = "["
        for series in self._series():
            points_max = self._render.points_max
            points = _points(series if points_max is None else series.fit(points_max))
            if self._render.skips_nulls:
                points = [point for point in points if point[0] is not None]
                if not points:
                    continue
            yield separator + _item(series, points)
            separator = ","
        yield "[]" if separator == "[" else "]"

    def _series(self) -> Iterator[Series]:
        """Evaluate all targets, then yield their series."""
        found = [evaluate(target, self._source, self._render.window) for target in self._render.targets]
        for group in found:
            yield from group


def _points(series: Series) -> list[Point]:
    return [(_finite(value), series.start + i * series.step) for i, value in enumerate(series.values)]


def _item(series: Series, points: list[Point]) -> str:
    item = {"target": series.name, "tags": series.tags, "datapoints": points}
    return json.dumps(item, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _csv(series: Iterator[Series]) -> Iterator[str]:
    for each in series:
        # A spreadsheet would interpret such a name as a formula.
        name = f"'{each.name}" if each.name.startswith(("=", "+", "-", "@")) else each.name
        text = io.StringIO()
        writer = csv.writer(text)
        for i, value in enumerate(each.values):
            moment = datetime.fromtimestamp(each.start + i * each.step, UTC)
            writer.writerow((name, moment.strftime("%Y-%m-%d %H:%M:%S"), _finite(value)))
        yield text.getvalue()


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None
