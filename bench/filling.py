"""Archives to measure on: filled bucket by bucket as a collector does it."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

from tally.engine import Archive, Catalog
from tally.engine.sketch import Cell
from tally.engine.storing.commit import Rules
from tally.engine.storing.merging import Cells

RESOLUTION_S = 60


def empty(directory: Path, slug: str = "big", *, resolution: int = RESOLUTION_S) -> Archive:
    """Return a new archive that keeps everything for ever."""
    return Catalog(directory).create(slug, resolution=resolution, retention=0)


def fill(archive: Archive, *, names: int, buckets: int, until: float | None = None) -> None:
    """Put a cell of every name into each of so many buckets, the last one before `until`, in the order of time."""
    step = archive.definition().resolution
    end = int(time.time() if until is None else until) // step * step
    for bucket, cells in made(names, range(end - buckets * step, end, step)):
        archive.merge(cells, Rules(bucket + step))


def made(names: int, buckets: range) -> Iterator[tuple[int, Cells]]:
    """Yield made-up cells bucket by bucket, the same each time."""
    chance = random.Random(1)
    known = [f"requests.get.page{number}" for number in range(names)]
    for bucket in buckets:
        yield bucket, {bucket: {name: _cell(chance) for name in known}}


def _cell(chance: random.Random) -> Cell:
    """Return a cell of 1 to 20 samples between 0 and 2."""
    low, high = chance.random(), 1 + chance.random()
    count = 1 + int(20 * chance.random())
    return (count, count * (low + high) / 2, low, high, None)
