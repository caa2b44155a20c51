"""Random expressions of all functions, answered by tally and by graphite-web 1.1.10 from the same series.

`EXPRESSIONS` is how many, `SEED` where the random numbers begin.
"""

import json
import math
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tally.graphite.budget import Budget
from tally.graphite.evaluation import evaluate
from tally.graphite.functions import FUNCTIONS
from tally.graphite.source import Source, Window
from tally.graphite.template import parse_target
from tests.clients import graphite_answers, graphite_expressions

pytestmark = pytest.mark.skipif(
    "GRAPHITE_PYTHON" not in os.environ, reason="`nox -s graphite` runs it, with a Python that has graphite-web"
)
COUNT = int(os.environ.get("EXPRESSIONS", "5000"))
SEED = int(os.environ.get("SEED", "1"))
LIMIT_S = 600
END = int(time.time()) // 600 * 600 - 600
START = END - 600
BEGIN = START - 3600


def made(rng: random.Random) -> dict[str, dict[int, float]]:
    """Return random values with gaps by name and time; one series is rare, and one is always 0."""
    found: dict[str, dict[int, float]] = {}
    for number, name in enumerate(graphite_expressions.NAMES):
        share = 0.1 if name.startswith("rare") else (1.0, 0.9, 0.5)[number % 3]
        digits = number % 3
        found[name] = {
            at: 0.0 if name.startswith("zero") else round(rng.uniform(-20 if number % 4 == 1 else 0, 100), digits)
            for at in range(BEGIN, END + 10, 10)
            if rng.random() < share
        }
    return found


@pytest.fixture(scope="module")
def made_both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Path]:
    """Return an archive with random values, and a directory with the same values for graphite-web."""
    data, root = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("graphite")
    values = made(random.Random(SEED))
    catalog = Catalog(data, clock=lambda: END + 30.0)
    archive = catalog.create("daily", resolution=10, retention=24)
    archive.record((name, value, at) for name, points in values.items() for at, value in points.items())
    series = {f"daily.{name}.avg": list(points.items()) for name, points in values.items()}
    (root / "series.json").write_text(json.dumps(series))
    return catalog, root


@contextmanager
def of_graphite(root: Path, targets: list[str]) -> Iterator[Callable[[], list[Any]]]:
    """Let graphite-web answer meanwhile, and give a function that waits for its answers."""
    command = [os.environ["GRAPHITE_PYTHON"], graphite_answers.__file__, str(root), str(START), str(END)]
    (root / "targets").write_text("".join(json.dumps(target) + "\n" for target in targets))
    with (root / "targets").open() as asked, (root / "answers").open("w") as answers:
        process = subprocess.Popen(command, stdin=asked, stdout=answers, stderr=subprocess.PIPE)

        def wait() -> list[Any]:
            _, errors = process.communicate(timeout=LIMIT_S)
            assert not process.returncode, errors.decode()
            return [json.loads(line) for line in (root / "answers").read_text().splitlines()]

        try:
            yield wait
        finally:
            process.kill()
            process.wait()


class Remembering(Source):
    """Reads each pattern and range once for all targets."""

    read = lru_cache(None)(Source.read)


def of_tally(source: Source, target: str) -> Any:
    """Return the answer of tally in the same form."""
    window = Window(START, END, END + 30)
    source.budget = Budget(60)
    source.stacks.clear()
    try:
        found = evaluate(parse_target(target), source, window)
    except InvalidQuestion as error:
        return f"InvalidQuestion: {error}"
    return [[each.name, [[value, each.start + i * each.step] for i, value in enumerate(each.values)]] for each in found]


def are_equal(target: str, ours: Any, theirs: Any) -> bool:
    """Return whether two answers have the same names and times, and values as close as rounding allows."""
    if target.startswith("stdev") and not isinstance(ours, str):
        # Where the variance is 0, Graphite has what rounding leaves of it, which may be negative, and then no value.
        ours, theirs = ([[name, [[value or 0.0, at] for value, at in points]] for name, points in each]
                        for each in (ours, theirs))  # fmt: skip
    if target.startswith("exponentialMovingAverage"):
        # Graphite puts the mean of the values before the range first, and so all others one step too late.
        theirs = [[name, [[value, at - step(points)] for value, at in points[1:]]] for name, points in theirs]
    if isinstance(ours, str) or [name for name, _ in ours] != [name for name, _ in theirs]:
        return False
    return all(are_close(mine, other) for (_, mine), (_, other) in zip(ours, theirs, strict=True))


def step(points: list[list[Any]]) -> int:
    """Return the time between two points."""
    return int(points[1][1] - points[0][1])


def shown(value: float | None) -> float | None:
    """Return a value as JSON has it: without infinity and NaN."""
    return value if value is not None and math.isfinite(value) else None


def are_close(mine: list[list[Any]], other: list[list[Any]]) -> bool:
    """Return whether two lists of points are equal but for rounding; numbers that JSON does not have are none."""
    if [at for _, at in mine] != [at for _, at in other]:
        return False
    known = [
        [None if value is None or not math.isfinite(value) else value for value, _ in each] for each in (mine, other)
    ]
    least = 1e-6 * max((abs(value) for value in known[1] if value is not None), default=0)
    return all(
        a == b or (None not in (a, b) and math.isclose(a, b, rel_tol=1e-7, abs_tol=least))
        for a, b in zip(*known, strict=True)
    )


def test_all_functions_are_tried() -> None:
    """Only the functions that have no fixed answer are left out."""
    listed = {name for name, function in FUNCTIONS.items() if function.listed}
    assert listed == graphite_expressions.functions() | graphite_expressions.APART


def test_random_expressions(made_both: tuple[Catalog, Path]) -> None:
    """Names, times and values of all series equal those of graphite-web wherever it does not fail."""
    catalog, root = made_both
    rng = random.Random(SEED)
    every = [
        graphite_expressions.fill(rng, template, 1, "S")
        for text in (
            graphite_expressions.KEEPING,
            graphite_expressions.FINE,
            graphite_expressions.COARSE,
            graphite_expressions.LAST,
        )
        for template in graphite_expressions.templates(text)
    ]
    # Deep expressions take Graphite long to parse.
    depths = rng.choices((1, 2, 3, 4), (4, 3, 2, 1), k=COUNT - len(every))
    targets = every + [graphite_expressions.make(rng, depth, "top") for depth in depths]
    with of_graphite(root, targets) as wait:
        source = Remembering(catalog, Budget(LIMIT_S))
        answered = [of_tally(source, target) for target in targets]
        answers = wait()
    compared = [each for each in zip(targets, answered, answers, strict=True) if not isinstance(each[2], str)]
    # Some expressions mean nothing, such as lists of different lengths.
    assert len(compared) > 0.9 * len(targets)
    different = [each for each in compared if not are_equal(*each)]
    first = "; ".join(target for target, _, _ in different[:5])
    assert not different, f"seed {SEED}: {len(different)} of {len(targets)}, such as {first}"
