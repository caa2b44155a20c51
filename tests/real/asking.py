"""Which questions are put to archives of real samples, and the bounds that these samples give them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from tests.engine.recompute import AGGREGATES, Asked, Recomputation

RESOLUTIONS_S = (300, 86_400)
Sample = tuple[str, float, int]
# As a part of the largest of two neighbours: so far apart that no rounding puts one on the other's side.
APART = 1e-6


def read(path: Path) -> list[Sample]:
    """Return the samples of a file of lines."""
    samples = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, value, timestamp = line.split()
        samples.append((name, float(value), int(timestamp)))
    return samples


def forms() -> Iterator[Asked]:
    """Yield every question of the values and aggregate matrix without parameters."""
    for kind in ("values", "aggregate"):
        for by in ("time", "name"):
            for aggregate in (None, *AGGREGATES):
                yield Asked(kind, aggregate, by)


def parameters(samples: Iterable[Sample], resolution: int) -> list[dict[str, Any]]:
    """Return what each parameter may be; `low` and `high` are the part of the answers that is to be left."""
    times = sorted(timestamp for _, _, timestamp in samples)
    return [
        {"q": ("traffic.*",)},
        {"q": ("*cpu*", "traffic.speed_????")},
        {"since": times[len(times) // 4]},
        {"until": times[len(times) * 3 // 4]},
        {"step": 4 * resolution},
        {"moving": 12 * resolution},
        {"limit": 5},
        {"low": 0.3},
        {"high": 0.7},
    ]


def chosen(choices: list[dict[str, Any]], most: int) -> Iterator[dict[str, Any]]:
    """Yield no parameter, up to `most` of them together in every way, and all together."""
    for number in range(most + 1):
        for some in combinations(choices, number):
            yield {name: value for each in some for name, value in each.items()}
    yield {name: value for each in choices for name, value in each.items()}


def questions(recomputation: Recomputation, choices: list[dict[str, Any]], most: int) -> Iterator[Asked]:
    """Yield every form of a question with every choice of parameters that has a meaning for it."""
    for given in chosen(choices, most):
        for form in forms():
            asked = Asked(form.kind, form.aggregate, form.by, **given)
            if asked.has_meaning and (asked.moving is None or asked.moving % (asked.step or 1) == 0):
                yield bounded(recomputation, asked)


def bounded(recomputation: Recomputation, asked: Asked) -> Asked:
    """Return the question with parts for bounds turned into values between two answers."""
    given = {name: part for name in ("low", "high") if (part := getattr(asked, name)) is not None}
    if not given:
        return asked
    rows = recomputation.rows(replace(asked, low=None, high=None))
    found = sorted({values[0] for _, _, values in rows if values})
    bounds: dict[str, Any] = {name: between(found, part) for name, part in given.items()}
    return replace(asked, **bounds)


def between(found: list[float], part: float) -> float:
    """Return a number between two neighbours, below which about that part of them is; outside where all are one."""
    first = int(len(found) * part)
    gaps = zip(found[first:], found[first + 1 :], strict=False)
    outside = min(found, default=0) - 1 if part < 0.5 else max(found, default=0) + 1
    return next(((low + high) / 2 for low, high in gaps if high - low > APART * max(abs(low), abs(high))), outside)
