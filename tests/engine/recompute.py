"""What every question shall answer, recomputed in plain Python from the samples; nothing of tally's is used.

Samples are (name, value, unix seconds). An answer is a list of rows (name, time, values) in the order of the answer:
name or time is None where it is no key of it, and values has the aggregates that are asked for, or is None in a series
where a bucket has none.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import ceil, copysign, fsum, log
from typing import Any, NamedTuple

AGGREGATES = ("count", "sum", "avg", "min", "max")
_ZEROS = {"count": 0, "sum": 0.0, "avg": 0.0, "min": 0.0, "max": 0.0}

Number = int | float
Values = tuple[Number, ...]
Row = tuple[str | None, int | None, Values | None]
# What fell into each bucket.
Series = dict[int, list[float]]


class Chosen(NamedTuple):
    """Which names a question is about, and what they are grouped by."""

    q: tuple[str, ...]
    where: tuple[str, ...]
    group: str | None


@dataclass(frozen=True)
class Asked:
    """A question. Times are unix seconds, `step` and `moving` are seconds, None means not given."""

    kind: str
    aggregate: str | None = None
    by: str = "time"
    q: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    group: str | None = None
    since: float | None = None
    until: float | None = None
    step: int | None = None
    moving: int | None = None
    limit: int | None = None
    percentiles: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    fill: str | None = None

    @property
    def chosen(self) -> Chosen:
        """Which names it is about."""
        return Chosen(self.q, self.where, self.group)

    @property
    def shown(self) -> tuple[str, ...]:
        """The aggregates that the answer has."""
        return (*AGGREGATES, *self.percentiles) if self.aggregate is None else (self.aggregate,)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that are asked for."""
        given = {field.name: getattr(self, field.name) for field in fields(self)[3:]}
        given["percentiles"] = ",".join(name.removeprefix("p") for name in self.percentiles) or None
        return {name: value for name, value in given.items() if value not in (None, ())}

    @property
    def has_meaning(self) -> bool:
        """Whether every parameter has a meaning for this kind of question."""
        over_time = self.kind != "aggregate" or self.by == "time"
        over_names = self.kind == "values" or (self.kind == "aggregate" and self.by == "name")
        return (
            (self.by == "time" or self.kind != "timedata")
            and (over_time or self.moving is None)
            and (over_names or (self.limit is None and self.group is None))
            and (self.aggregate is not None or (self.low is None and self.high is None))
            and (self.aggregate is None or not self.percentiles)
            and (self.kind == "timedata" or self.fill is None)
        )


def matrix(**choices: Iterable[Any]) -> list[Asked]:
    """Return every valid question with these choices."""
    return [
        asked
        for chosen in product(*choices.values())
        if (asked := Asked(**dict(zip(choices, chosen, strict=True)))).has_meaning
    ]


def summary(values: list[float]) -> dict[str, Number]:
    """Return all aggregates of values."""
    total = fsum(values)
    return {
        "count": len(values),
        "sum": total,
        "avg": total / len(values),
        "min": min(values),
        "max": max(values),
    }


def percentile(values: list[float], name: str, accuracy: int) -> float:
    """Return a percentile such as p95 as an archive with this accuracy in percent answers it.

    It is the middle of the bin that the value of the nearest rank falls into, within the least and greatest value.
    """
    ascending, low, high = sorted(values), min(values), max(values)
    portion = Fraction(name.removeprefix("p")) / 100
    if portion in (0, 1):
        return high if portion else low
    nearest = ascending[max(1, ceil(portion * len(values))) - 1]
    gamma = (1 + 0.01) / (1 - 0.01)
    number = ceil(ceil(log(abs(nearest)) / log(gamma)) / accuracy) if nearest else 0
    middle = copysign(2 * gamma ** (accuracy * number) / (gamma**accuracy + 1), nearest) if nearest else 0.0
    assert abs(middle - nearest) <= accuracy / 100 * abs(nearest) * (1 + 1e-9)
    return min(max(middle, low), high)


def matches(name: str, globs: tuple[str, ...]) -> bool:
    """Return whether a name matches any of the globs, or there are none."""
    return not globs or any(fnmatchcase(name, glob.replace("[^", "[!")) for glob in globs)


def tag(name: str, key: str) -> str:
    """Return the value of a tag, or "". `name` is the tag of the part before the tags."""
    base, *tags = name.split(";")
    found = dict(each.split("=", 1) for each in tags if "=" in each)
    return base if key == "name" else found.get(key, "")


def holds(name: str, expression: str) -> bool:
    """Return whether a tag expression holds for a name."""
    for operator in ("!=~", "=~", "!=", "="):
        key, found, value = expression.partition(operator)
        if found and not set(key) & {"!", "="}:
            is_match = re.match(value, tag(name, key)) if "~" in operator else tag(name, key) == value
            return bool(is_match) is not operator.startswith("!")
    raise AssertionError(expression)


def group_of(name: str, group: str | None) -> str:
    """Return the group of a name, or the name if there are none."""
    if group is None:
        return name
    kind, _, parts = group.partition(":")
    if kind == "tag":
        return ";".join(tag(name, key) for key in parts.split(","))
    nodes = name.split(";")[0].split(".")
    at = dict(enumerate(nodes)) | {index - len(nodes): node for index, node in enumerate(nodes)}
    return ".".join(at.get(int(part), "") for part in parts.split(","))


class Recomputation:
    """All answers of an archive with `samples` and buckets of `resolution` seconds."""

    def __init__(self, samples: Iterable[tuple[str, float, int]], resolution: int, *, accuracy: int = 1) -> None:
        self._resolution = resolution
        self._accuracy = accuracy
        self._all = [(name, timestamp, float(value)) for name, value, timestamp in samples]
        self._samples = lru_cache(maxsize=8)(self._grouped)
        # Many questions are about the same buckets.
        self._bucketed = lru_cache(maxsize=64)(self._bucketed_anew)
        self._merged = lru_cache(maxsize=16)(self._merged_anew)
        self._unbounded = lru_cache(maxsize=4)(self._unbounded_anew)

    def rows(self, asked: Asked) -> list[Row]:
        """Return the answer to a question."""
        if asked.kind == "timedata":
            return self._timedata(asked)
        rows = self._unbounded(replace(asked, low=None, high=None))
        return [row for row in rows if _is_kept(asked, row[2])]

    def _unbounded_anew(self, asked: Asked) -> list[Row]:
        return self._by_name(asked) if asked.kind == "aggregate" and asked.by == "name" else self._by_time(asked)

    def _grouped(self, asked: Chosen) -> dict[str, list[tuple[int, float]]]:
        """Return the samples of each name or group."""
        found: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for name, timestamp, value in self._all:
            if matches(name, asked.q) and all(holds(name, each) for each in asked.where):
                found[group_of(name, asked.group)].append((timestamp, value))
        return found

    def _bucketed_anew(self, chosen: Chosen, name: str, size: int) -> Series:
        series: Series = defaultdict(list)
        for timestamp, value in self._samples(chosen)[name]:
            series[timestamp - timestamp % size].append(value)
        return dict(sorted(series.items()))

    def _merged_anew(self, chosen: Chosen, names: tuple[str, ...], size: int) -> Series:
        merged: Series = defaultdict(list)
        for name in names:
            for bucket, values in self._bucketed(chosen, name, size).items():
                merged[bucket] += values
        return dict(sorted(merged.items()))

    def _shown(self, asked: Asked, values: list[float]) -> Values:
        return tuple(self._value(name, values) for name in asked.shown)

    def _value(self, name: str, values: list[float]) -> Number:
        return summary(values)[name] if name in AGGREGATES else percentile(values, name, self._accuracy)

    def _size(self, asked: Asked) -> int:
        return asked.step or self._resolution

    def _names(self, asked: Asked) -> tuple[str, ...]:
        """Return the names or groups that the answer is about, in byte order."""
        names = sorted(self._samples(asked.chosen), key=str.encode)
        if asked.limit is None:
            return tuple(names)
        rank = asked.aggregate or "sum"
        ranks = {name: self._value(rank, values) for name in names if (values := self._in_range(asked, name))}
        highest = sorted(ranks, key=lambda name: -ranks[name])[: asked.limit]
        return tuple(sorted(highest, key=str.encode))

    def _in_range(self, asked: Asked, name: str) -> list[float]:
        series = self._bucketed(asked.chosen, name, self._size(asked))
        return [value for bucket, values in series.items() if _in_span(asked, bucket) for value in values]

    def _by_name(self, asked: Asked) -> list[Row]:
        found = {name: values for name in self._names(asked) if (values := self._in_range(asked, name))}
        rows: list[Row] = [(name, None, self._shown(asked, values)) for name, values in found.items()]
        return sorted(rows, key=lambda row: -row[2][0]) if asked.aggregate and rows else rows  # type: ignore[index]

    def _by_time(self, asked: Asked) -> list[Row]:
        size, names = self._size(asked), self._names(asked)
        if asked.kind == "aggregate":
            return [
                (None, bucket, values) for bucket, values in self._along(asked, self._merged(asked.chosen, names, size))
            ]
        rows: list[Row] = [
            (name, bucket, values)
            for name in names
            for bucket, values in self._along(asked, self._bucketed(asked.chosen, name, size))
        ]
        return rows if asked.by == "time" else sorted(rows, key=lambda row: row[1] or 0)

    def _along(self, asked: Asked, series: Series) -> Iterable[tuple[int, Values]]:
        """Yield the buckets of the range that have samples, with their aggregates."""
        window = self._window(asked, series)
        for bucket in series:
            if _in_span(asked, bucket):
                yield bucket, self._shown(asked, window(bucket))

    def _window(self, asked: Asked, series: Series) -> Callable[[int], list[float]]:
        """Return what gives the samples of a bucket, or of the seconds that end with it."""
        size = self._size(asked)
        moving = asked.moving or size
        buckets = list(series)

        def window(bucket: int) -> list[float]:
            first, end = bisect_right(buckets, bucket - moving), bisect_left(buckets, bucket + size)
            return [value for each in buckets[first:end] for value in series[each]]

        return window

    def _timedata(self, asked: Asked) -> list[Row]:
        size = self._size(asked)
        series = self._merged(asked.chosen, self._names(asked), size)
        window = self._window(asked, series)
        inside = [bucket for bucket in series if _in_span(asked, bucket)]
        if not inside and (asked.since is None or asked.until is None):
            return []
        first = inside[0] if asked.since is None else int(-(-asked.since // size)) * size
        last = inside[-1] if asked.until is None else int(asked.until // size) * size
        rows: list[Row] = []
        blank: Values | None = tuple(_ZEROS.get(name, 0.0) for name in asked.shown) if asked.fill == "0" else None
        for bucket in range(first, last + size, size):
            found = window(bucket)
            values = self._shown(asked, found) if found else None
            values = values if _is_kept(asked, values) else None
            blank = values if values and asked.fill == "previous" else blank
            rows.append((None, bucket, values or blank))
        return rows


def _in_span(asked: Asked, bucket: int) -> bool:
    return (asked.since is None or bucket >= asked.since) and (asked.until is None or bucket <= asked.until)


def _is_kept(asked: Asked, values: Values | None) -> bool:
    return values is not None and (
        (asked.low is None or values[0] >= asked.low) and (asked.high is None or values[0] <= asked.high)
    )
