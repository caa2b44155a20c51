"""What percentiles cost: `python -m bench.percentiles [--names 1000] [--buckets 1440] [--runs 7]`.

One archive keeps percentiles and one does not; both have the same cells of 25 log-normal samples. Each question is put
with a percentile and with the average, in turns, in this process. Collecting adds the same lines to a rollup with
sketches and to one without, and commits them.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.server import machine
from bench.table import head, middle, row
from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.sketch import LEVELS, Cell, make_sketch
from tally.engine.storing.commit import Rules
from tally.engine.storing.native_rollup import new_rollup

SAMPLES = 25
RESOLUTION_S = 60
FIRST = 1_700_000_000 // RESOLUTION_S * RESOLUTION_S
# So many different cells are made; they are repeated.
CELLS = 2_000
LINES, NAMES_OF_LINES = 150_000, 1_000
# Kind, by, and parameters of each question.
QUESTIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    "one name": ("values", "time", {"q": "requests.get.page7"}),
    "all names by time": ("aggregate", "time", {}),
    "leaderboard": ("aggregate", "name", {}),
}


def cells(chance: random.Random) -> list[Cell]:
    """Return cells of log-normal samples."""
    values = [[chance.lognormvariate(-2, 1) for _ in range(SAMPLES)] for _ in range(CELLS)]
    return [(SAMPLES, sum(each), min(each), max(each), make_sketch(each)) for each in values]


def fill(archive: Archive, made: list[Cell], *, names: int, buckets: int) -> None:
    """Commit a cell of every name into each bucket."""
    chance = random.Random(2)
    known = [f"requests.get.page{number}" for number in range(names)]
    for bucket in range(FIRST, FIRST + buckets * RESOLUTION_S, RESOLUTION_S):
        chosen = {bucket: {name: chance.choice(made) for name in known}}
        archive.commit(chosen, now=bucket + RESOLUTION_S)


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def parse(title: str, aggregate: str) -> Question:
    """Return the question of this title."""
    kind, by, parameters = QUESTIONS[title]
    return Question.parse(kind, parameters.items(), aggregate=aggregate, by=by, now=time.time())


def ask(archive: Archive, question: Question) -> None:
    """Put a question, and read its answer."""
    for _ in archive.ask(question):
        pass


def collect(archive: Archive, datagrams: list[bytes], *, sketched: bool) -> None:
    """Add lines to a rollup, and commit its cells."""
    rollup = new_rollup(RESOLUTION_S, sketched=sketched)
    for start in range(0, len(datagrams), 64):
        rollup.add(datagrams[start : start + 64], FIRST)
    archive.merge(rollup.take(), Rules(FIRST))


def lines(chance: random.Random) -> list[bytes]:
    """Return datagrams of 15 lines."""
    made = [
        b"requests.get.page%d %.6f" % (chance.randrange(NAMES_OF_LINES), chance.lognormvariate(-2, 1))
        for _ in range(LINES)
    ]
    return [b"\n".join(made[start : start + 15]) for start in range(0, LINES, 15)]


def turns(runs: int, *works: Callable[[], object]) -> list[float]:
    """Return the median CPU seconds of each work, run in turns after once that does not count."""
    for work in works:
        work()
    times = [[cpu_s(work) for work in works] for _ in range(runs)]
    return [middle(list(each)) for each in zip(*times, strict=True)]


def main() -> None:
    """Fill archives, and print a table of questions, one of collecting, and one of sizes."""
    parser = argparse.ArgumentParser(prog="python -m bench.percentiles", description="Measure what percentiles cost.")
    for option, default in (("--names", 1_000), ("--buckets", 1_440), ("--runs", 7)):
        parser.add_argument(option, type=int, default=default)
    options = parser.parse_args()
    chance = random.Random(1)
    made, datagrams = cells(chance), lines(chance)
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as place:
        archives = {
            accuracy: Catalog(Path(place)).create(
                f"p{accuracy}", resolution=RESOLUTION_S, retention=0, percentiles=accuracy
            )
            for accuracy in (0, *LEVELS)
        }
        for accuracy, archive in archives.items():
            fill(archive, made, names=options.names, buckets=options.buckets if accuracy < 2 else 200)
        print(*head("question", "avg, CPU ms", "p95, CPU ms", "ratio"), sep="\n")
        for title in QUESTIONS:
            plain, ranked = turns(
                options.runs,
                lambda title=title: ask(archives[0], parse(title, "avg")),  # type: ignore[misc]
                lambda title=title: ask(archives[1], parse(title, "p95")),  # type: ignore[misc]
            )
            print(row(title, plain * 1000, ranked * 1000, ranked / plain), flush=True)
        plain, ranked = turns(
            options.runs,
            lambda: collect(archives[0], datagrams, sketched=False),
            lambda: collect(archives[1], datagrams, sketched=True),
        )
        print("", *head("collecting", "without, k lines a CPU s", "with", "ratio"), sep="\n")
        print(row("15 lines a datagram, 1,000 names", LINES / plain / 1000, LINES / ranked / 1000, plain / ranked))
        print("", *head("accuracy, %", "bytes a cell", "of sketches"), sep="\n")
        for accuracy, archive in archives.items():
            size = archive.path.stat().st_size / archive.points()
            base = archives[0].path.stat().st_size / archives[0].points() if accuracy else size
            print(row(accuracy, size, size - base))


if __name__ == "__main__":
    main()
