"""Builders of series and sources for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tally.engine import Catalog
from tally.graphite.budget import Budget
from tally.graphite.series import Series
from tally.graphite.source import Source, Window

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


def source(made: Catalog) -> Source:
    """Return the source of one request."""
    return Source(made, Budget(60))
