"""The answer of `/render` in chunks, one series after another, computed while they are read.

    json      [{"target":"a.b.sum","tags":{"name":"a.b.sum"},"datapoints":[[1.0,1700000000],[null,1700000010]]}]
    csv       a.b.sum,2023-11-14 22:13:20,1.0
    raw       a.b.sum,1700000000,1700000020,10|1.0,None
    dygraph   {"labels":["Time","a.b.sum"],"data":[[1700000000000,1.0],[1700000010000,null]]}
    rickshaw  [{"target":"a.b.sum","datapoints":[{"x":1700000000,"y":1.0},{"x":1700000010,"y":null}]}]

With `jsonp`, JSON is the argument of a call in JavaScript. Numbers that JSON does not have are null.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any

from tally.engine import Catalog
from tally.graphite.budget import Budget, check_points
from tally.graphite.evaluation import evaluate
from tally.graphite.request import Render
from tally.graphite.series import Series
from tally.graphite.source import Source

CHUNK_CHARACTERS = 65_536

JAVASCRIPT = "text/javascript; charset=utf-8"
JSON_FORMATS = ("json", "dygraph", "rickshaw")
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "raw": "text/plain; charset=utf-8",
    **dict.fromkeys(JSON_FORMATS, "application/json"),
}

# A value, or None, and unix seconds.
Point = tuple[float | None, int]


class Rendering:
    """Yields the chunks of one answer. `close` stops the query, and may be called from any thread."""

    def __init__(self, catalog: Catalog, render: Render, *, timeout_s: float) -> None:
        """Start the timeout. The archives are read when the first chunk is requested."""
        self.media_type = JAVASCRIPT if render.jsonp and render.format in JSON_FORMATS else MEDIA_TYPES[render.format]
        self._budget = Budget(timeout_s)
        self._render = render
        self._source = Source(catalog, self._budget, x_files_factor=render.x_files_factor)
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
        texts = self._texts()
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

    def _texts(self) -> Iterator[str]:
        write, callback = _WRITERS[self._render.format], self._render.jsonp
        if self._render.format not in JSON_FORMATS or not callback:
            return write(self._series(), self._render)
        return chain([f"{callback}("], write(self._series(), self._render), [")"])

    def _series(self) -> Iterator[Series]:
        """Evaluate all targets, then yield their series."""
        found = [evaluate(target, self._source, self._render.window) for target in self._render.targets]
        for group in found:
            yield from group


def _json(series: Iterable[Series], render: Render) -> Iterator[str]:
    separator = "["
    for each in series:
        points = _points(each if render.points_max is None else each.fit(render.points_max))
        if render.skips_nulls:
            points = [point for point in points if point[0] is not None]
            if not points:
                continue
        yield separator + _encode({"target": each.name, "tags": each.tags, "datapoints": points})
        separator = ","
    yield "[]" if separator == "[" else "]"


def _rickshaw(series: Iterable[Series], _render: Render) -> Iterator[str]:
    separator = "["
    for each in series:
        points = [{"x": time, "y": value} for value, time in _points(each)]
        yield separator + _encode({"target": each.name, "datapoints": points})
        separator = ","
    yield "[]" if separator == "[" else "]"


def _dygraph(series: Iterable[Series], _render: Render) -> Iterator[str]:
    """Yield a row for each time that any series has.

    :raises InvalidQuestion: when there are more than POINTS_MAX values, missing ones included.
    """
    given = list(series)
    columns = [{time: value for value, time in _points(each)} for each in given]
    times = sorted(set[int]().union(*columns))
    check_points(len(times) * len(columns))
    yield f'{{"labels":{_encode(["Time", *(each.name for each in given)])},"data":['
    for index, time in enumerate(times):
        yield ("," if index else "") + _encode([time * 1000, *(column.get(time) for column in columns)])
    yield "]}"


def _raw(series: Iterable[Series], _render: Render) -> Iterator[str]:
    for each in series:
        # A line break in a name would end the line.
        name = " ".join(each.name.splitlines())
        values = ",".join(str(_finite(value)) for value in each.values)
        yield f"{name},{each.start},{each.end},{each.step}|{values}\n"


def _points(series: Series) -> list[Point]:
    return [(_finite(value), series.start + i * series.step) for i, value in enumerate(series.values)]


def _encode(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _csv(series: Iterable[Series], render: Render) -> Iterator[str]:
    for each in series:
        # A spreadsheet would interpret such a name as a formula.
        name = f"'{each.name}" if each.name.startswith(("=", "+", "-", "@")) else each.name
        text = io.StringIO()
        writer = csv.writer(text)
        for i, value in enumerate(each.values):
            moment = datetime.fromtimestamp(each.start + i * each.step, render.window.zone)
            writer.writerow((name, moment.strftime("%Y-%m-%d %H:%M:%S"), _finite(value)))
        yield text.getvalue()


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


_WRITERS: dict[str, Callable[[Iterable[Series], Render], Iterator[str]]] = {
    "json": _json,
    "csv": _csv,
    "raw": _raw,
    "dygraph": _dygraph,
    "rickshaw": _rickshaw,
}
