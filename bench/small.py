"""What small questions cost in one process: `python -m bench.small [--names 1000] [--buckets 480]`.

Each is asked on a connection that stays open, as a catalog keeps it, and with a file that is opened for each question.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.filling import empty, fill
from bench.server import machine
from bench.table import head, middle, row
from tally.engine import Archive
from tally.engine.asking.question import Question
from tally.engine.files.kept import SETTLED_S

ROUNDS, CALLS = 15, 20
NOW = 0.0
ONE = [("q", "requests.get.page7")]
QUESTIONS: dict[str, Callable[[Archive], object]] = {
    "one name, all aggregates": lambda archive: _ask(archive, Question.parse("values", ONE, now=NOW)),
    "sum of all names by time": lambda archive: _ask(
        archive, Question.parse("aggregate", [], aggregate="sum", now=NOW)
    ),
    "its tag, for a 304": lambda archive: archive.ask(Question.parse("values", ONE, now=NOW)).close(),
    "the names": lambda archive: archive.names(),
    "the definition": lambda archive: archive.definition(),
}


def _ask(archive: Archive, question: Question) -> bytes:
    return b"".join(archive.ask(question))


def cpu_ms(work: Callable[[], object]) -> float:
    """Return the CPU time of a call in ms."""
    began = time.process_time()
    for _ in range(CALLS):
        work()
    return (time.process_time() - began) / CALLS * 1000


def lines(kept: Archive) -> Iterator[str]:
    """Yield the table. Both ways take turns, so that both have the same machine."""
    opened = Archive(kept.path)
    yield from head("CPU ms", "opened for each question", "kept open", "ratio")
    for title, ask in QUESTIONS.items():
        turns = [(cpu_ms(lambda ask=ask: ask(opened)), cpu_ms(lambda ask=ask: ask(kept))) for _ in range(ROUNDS)]  # type: ignore[misc]
        before, after = (middle(list(column)) for column in zip(*turns, strict=True))
        yield row(title, before, after, before / after)


def main() -> None:
    """Read the command line, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.small", description="What small questions cost.")
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--buckets", type=int, default=480)
    chosen = parser.parse_args()
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as place:
        archive = empty(Path(place))
        fill(archive, names=chosen.names, buckets=chosen.buckets)
        time.sleep(SETTLED_S * 2)
        for line in lines(archive):
            print(line, flush=True)


if __name__ == "__main__":
    main()
