"""What `where` costs: `python -m bench.tags [--names 100000] [--buckets 6] [--runs 5]`.

Each name has five tags. `where` selects one name in a hundred, and is compared with the same question about the same
names by a glob, in turns, in this process.
"""

import argparse
import tempfile
import time
from pathlib import Path

from bench.percentiles import ask, turns
from bench.server import machine
from bench.table import head, row
from tally.engine import Catalog
from tally.engine.asking.question import Question

FIRST, RESOLUTION_S = 1_700_000_000, 10
# One name in a hundred has a host.
HOSTS = 100
GLOB = "*;host=h7;*"
EXPRESSIONS = ("host=h7", "host=~^h7$")
# Kind and by of each question.
QUESTIONS = {
    "names by time": ("values", "time"),
    "merged by time": ("aggregate", "time"),
    "merged by name": ("aggregate", "name"),
    "timedata": ("timedata", "time"),
}


def names(count: int) -> list[str]:
    """Return names with five tags."""
    return [
        f"page.load;env=e{number % 3};host=h{number % HOSTS};page=p{number};route=r{number % 50};zone=z{number % 7}"
        for number in range(count)
    ]


def main() -> None:
    """Fill an archive, and print a table of questions."""
    parser = argparse.ArgumentParser(prog="python -m bench.tags", description="Measure what `where` costs.")
    for option, default in (("--names", 100_000), ("--buckets", 6), ("--runs", 5)):
        parser.add_argument(option, type=int, default=default)
    options = parser.parse_args()
    known = names(options.names)
    print(f"{machine()}\n\n{options.names:,} names with five tags, {options.buckets} buckets\n")
    with tempfile.TemporaryDirectory() as place:
        archive = Catalog(Path(place)).create("tags", resolution=RESOLUTION_S, retention=0)
        for bucket in range(FIRST, FIRST + options.buckets * RESOLUTION_S, RESOLUTION_S):
            archive.commit({bucket: dict.fromkeys(known, (2, 3.0, 1.0, 2.0))}, now=bucket + RESOLUTION_S)
        print(*head("question", "where", "by `q`, CPU ms", "by `where`", "ratio"), sep="\n")
        for title, (kind, by) in QUESTIONS.items():
            for where in EXPRESSIONS:
                by_q, by_where = (
                    Question.parse(kind, parameters, aggregate="avg", by=by, now=time.time())
                    for parameters in ([("q", GLOB)], [("where", where)])
                )
                plain, tagged = turns(options.runs, lambda: ask(archive, by_q), lambda: ask(archive, by_where))  # noqa: B023
                print(row(title, f"`{where}`", plain * 1000, tagged * 1000, tagged / plain), flush=True)


if __name__ == "__main__":
    main()
