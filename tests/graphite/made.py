"""Builders of series and sources for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tally.engine import Catalog
from tally.graphite.budget import Budget
from tally.graphite.evaluation import evaluate
from tally.graphite.series import Series
from tally.graphite.source import Source, Window
from tally.graphite.template import parse_target

NOW = 1_700_000_100.0
# The ten buckets of 10 s from 1700000000 on.
WINDOW = Window(1_699_999_999, 1_700_000_090, NOW)
START = 1_700_000_000


def series(*values: float | None, name: str = "a.b.sum", **fields: Any) -> Series:
    """Return a series with one value for every 10 s from START, with changes."""
    return Series(**{"name": name, "expression": name, "start": START, "step": 10, "values": values, **fields})


def values(found: Sequence[Series]) -> list[list[float | None]]:
    """Return the values of each series."""
    return [list(each.values) for each in found]


def names(found: Sequence[Series]) -> list[str]:
    """Return the name of each series."""
    return [each.name for each in found]


def catalog(directory: Path, **samples: Mapping[str, Sequence[float | None]]) -> Catalog:
    """Create archives of 10 s by slug, with one sample or none for each name in each bucket from START."""
    made = Catalog(directory, clock=lambda: NOW)
    for slug, by_name in samples.items():
        made.create(slug, resolution=10, retention=0).record(
            (name, value, START + index * 10)
            for name, values in by_name.items()
            for index, value in enumerate(values)
            if value is not None
        )
    return made


# Series of one archive, `daily`, for tests of what functions answer.
DATA: dict[str, list[float | None]] = {
    "web.a": [1.0, 2.0, None, 4.0],
    "web.b": [5.0, None, 7.0, 8.0],
    "web.c10": [0.0, 0.0, 0.0, 9.0],
    "tagged;env=prod;host=1": [1.0],
    "tagged;env=prod;host=2": [2.0],
    "tagged;env=dev;host=1": [4.0],
}
WEB_A, WEB_B, WEB = "daily.web.a.sum", "daily.web.b.sum", "daily.web.*.sum"


def answered(made: Catalog, text: str) -> list[Series]:
    """Return the series of a target."""
    return evaluate(parse_target(text), source(made), WINDOW)


def first(found: Sequence[Series]) -> tuple[str, list[float | None]]:
    """Return the name and the first four values of the only series."""
    (only,) = found
    return only.name, [value if value is None else round(value, 6) for value in only.values[:4]]


def shown(found: Sequence[Series]) -> str:
    """Return the third nodes of the names of series."""
    return " ".join(each.name.split(".")[2] for each in found)


def source(made: Catalog) -> Source:
    """Return the source of one request."""
    return Source(made, Budget(60))
