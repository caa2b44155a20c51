"""Samples that tests of storing commit."""

from collections.abc import Callable

from tally.engine import Archive, Outcome
from tests.engine.model import rolled_up

Create = Callable[..., Archive]


def fill(archive: Archive, buckets: range, names: int = 1, *, now: float | None = None) -> Outcome:
    """Commit one sample of 0.5 for each bucket and name, by default while the last bucket is open."""
    samples = [(f"name{number}", 0.5, bucket) for bucket in buckets for number in range(names)]
    return archive.commit(rolled_up(samples), now=buckets[-1] if now is None else now)
