"""Random questions over HTTP, from Python and with `tally query` have the answers recomputed from the samples."""

import random
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlencode

import pytest

from tally.engine import Archive, Catalog
from tally.engine.storing import sealing
from tests.api.asking import ask, service
from tests.cli.command import invoke
from tests.engine.forms import by_python, difference, rows_of_json
from tests.engine.model import rolled_up, sealing_in_steps
from tests.engine.recompute import AGGREGATES, Asked, Recomputation, Row

# So many archives, and so many questions about each.
ARCHIVES, QUESTIONS = 20, 100
T = 1_700_000_400
SPAN_S = 3600
NAMES = ("a", "a.b", "a.c;env=prod;host=w1", "a.c;env=test;host=w2", "b.é;env=prod", "b", 'c,"d"', "𝄞;host=w1")
RANKS = ("p0", "p50", "p95", "p99.9", "p100")
WHERE = ("env=prod", "env!=prod", "host=~^w", "env=", "name=a.c")
Sample = tuple[str, float, int]
Way = Callable[[Path, str, Asked], list[Row]]


def over_http(directory: Path, slug: str, asked: Asked) -> list[Row]:
    """Ask over HTTP."""
    aggregate = f"{asked.aggregate}/" if asked.aggregate else ""
    by = "byname/" if asked.by == "name" else ""
    got = ask(service(directory), f"/{asked.kind}/{slug}/{aggregate}{by}?{urlencode(asked.parameters, doseq=True)}")
    assert 200 == got.status, got.body
    return rows_of_json(asked, got.body.decode())


def from_python(directory: Path, slug: str, asked: Asked) -> list[Row]:
    """Ask from Python."""
    return by_python(Catalog(directory)[slug], asked)


def by_command(directory: Path, slug: str, asked: Asked) -> list[Row]:
    """Ask with the command."""
    options = [
        f"--{name}={item}"
        for name, value in asked.parameters.items()
        for item in (value if isinstance(value, tuple) else (value,))
    ]
    by = () if asked.kind == "timedata" else ("--by", asked.by)
    aggregate = (asked.aggregate,) if asked.aggregate else ()
    result = invoke(directory, "query", slug, *aggregate, "--kind", asked.kind, *by, "--format", "json", *options)
    assert 0 == result.exit_code, result.stderr
    return rows_of_json(asked, result.stdout)


WAYS: tuple[Way, ...] = (over_http, from_python, by_command)


def make_samples(chance: random.Random) -> list[Sample]:
    """Return samples whose sums are exact in any order."""
    return [
        (chance.choice(NAMES), chance.randrange(-40, 400) / 8, T + chance.randrange(SPAN_S))
        for _ in range(chance.randrange(1, 300))
    ]


def fill(archive: Archive, samples: list[Sample], chance: random.Random) -> None:
    """Commit samples in parts, with buckets sealed at random, so that some samples are late."""
    with patch.multiple(sealing, **sealing_in_steps(chance.randrange(1, 60))):
        for start in range(0, len(samples), 50):
            archive.commit(rolled_up(samples[start : start + 50]), now=T + chance.randrange(SPAN_S))


def choose(chance: random.Random, resolution: int, ranks: tuple[str, ...]) -> Asked:
    """Return a random question."""

    def maybe(value: object) -> object:
        return value if chance.random() < 0.4 else None

    while True:
        step = maybe(resolution * chance.randrange(1, 6))
        aggregate = chance.choice([None, *AGGREGATES, *ranks])
        asked = Asked(
            chance.choice(["values", "aggregate", "timedata"]),
            aggregate,
            chance.choice(["time", "name"]),
            q=tuple(chance.sample(["a*", "b*", "*", "?", "*env=prod*"], chance.randrange(3))),
            where=tuple(chance.sample(WHERE, chance.randrange(2))),
            group=maybe(chance.choice(["node:0", "tag:env", "node:0,1"])),  # type: ignore[arg-type]
            since=maybe(T + chance.randrange(-100, SPAN_S)),  # type: ignore[arg-type]
            until=maybe(T + chance.randrange(-100, SPAN_S + 100)),  # type: ignore[arg-type]
            step=step,  # type: ignore[arg-type]
            moving=maybe((step or resolution) * chance.randrange(1, 8)),  # type: ignore[arg-type, operator]
            limit=maybe(chance.randrange(1, 6)),  # type: ignore[arg-type]
            percentiles=ranks[: chance.randrange(4)] if aggregate is None else (),
            low=maybe(chance.randrange(0, 80) / 8),  # type: ignore[arg-type]
            high=maybe(chance.randrange(80, 400) / 8),  # type: ignore[arg-type]
            fill=maybe(chance.choice(["0", "previous"])),  # type: ignore[arg-type]
        )
        if asked.has_meaning:
            return asked


@pytest.mark.parametrize("seed", range(ARCHIVES))
def test_every_way_has_the_recomputed_answer(tmp_path: Path, seed: int) -> None:
    """The archive has late samples; half of the archives become coarser, and half of those with percentiles, too."""
    chance = random.Random(f"oracle-{seed}")
    samples, resolution, accuracy = make_samples(chance), chance.choice([1, 7, 10, 60]), chance.choice([0, 1, 2, 4])
    archive = Catalog(tmp_path).create("daily", resolution=resolution, retention=0, percentiles=accuracy)
    fill(archive, samples, chance)
    if chance.random() < 0.5:
        resolution, accuracy = resolution * 3, accuracy * 2
        archive.edit(resolution=resolution, percentiles=accuracy)
    recomputation = Recomputation(samples, resolution, accuracy=accuracy)
    for number in range(QUESTIONS):
        asked, way = choose(chance, resolution, RANKS if accuracy else ()), WAYS[number % len(WAYS)]
        slug = chance.choice(["daily", "auto"]) if way is not from_python else "daily"
        assert difference(recomputation.rows(asked), way(tmp_path, slug, asked)) <= 1e-12, (seed, slug, asked, way)
    assert () == archive.check().damage
