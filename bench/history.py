"""What tools that change history cost: `python -m bench.history [--names 1000] [--buckets 2000]`.

Each tool works on an archive of so many cells, in a process of its own. `bare copy` inserts the same rows into a table
with the same index, from an attached file, by SQLite alone. Time is CPU seconds, which others on the machine disturb
least; memory is resident bytes at most. `merge again` is the same file, of which nothing is new.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import apsw

from bench.filling import RESOLUTION_S, empty, fill
from bench.server import machine
from bench.table import head, row
from tally.engine import Catalog
from tally.engine.asking.question import Question
from tally.engine.history.csv_file import read_csv
from tally.engine.history.staging import staged
from tally.engine.storing.commit import Rules

BARE = """
CREATE TABLE data (bucket, id, count, sum, min, max, sealed, PRIMARY KEY (bucket, id)) WITHOUT ROWID;
INSERT INTO data SELECT * FROM source.data;
CREATE INDEX data_by_name ON data (id, bucket, count, sum, min, max, sealed);
"""
TITLES = ("cells", "CPU seconds", "cells a CPU second", "seconds", "memory, MB")


class Cost(NamedTuple):
    """What a tool needed: CPU and wall seconds, and megabytes at most."""

    cpu_s: float
    wall_s: float
    memory_mb: float


def bare(directory: Path) -> None:
    """Copy the rows with SQLite alone."""
    connection = apsw.Connection(str(directory / "bare"))
    connection.execute("ATTACH ? AS source", (str(directory / "big.db"),))
    with connection:
        connection.execute(BARE).fetchall()


def merge(directory: Path) -> None:
    """Merge the archive into another one of the same resolution."""
    Catalog(directory)["all"].merge_files([directory / "big.db"])


def export_csv(directory: Path) -> None:
    """Write the archive as CSV."""
    question = Question.parse("values", [("format", "csv")], now=time.time())
    with (directory / "big.csv").open("wb") as file:
        file.writelines(Catalog(directory)["big"].ask(question, timeout_s=math.inf))


def import_csv(directory: Path) -> None:
    """Import the CSV into a new archive."""
    archive = empty(directory, "imported")
    with staged(directory, latest=int(time.time())) as staging:
        with (directory / "big.csv").open("rb") as file:
            for _ in read_csv(file, "big.csv", staging):
                pass
        staging.finish()
        archive.load(staging.path, Rules(time.time()))


TOOLS: dict[str, Callable[[Path], object]] = {
    "bare copy": bare,
    "derive, same buckets": lambda directory: Catalog(directory).derive("same", "big"),
    "derive, ten times coarser": lambda directory: Catalog(directory).derive(
        "coarse", "big", resolution=10 * RESOLUTION_S
    ),
    "merge": merge,
    "merge again": merge,
    "export as CSV": export_csv,
    "import of CSV": import_csv,
    "rename, no names meet": lambda directory: Catalog(directory)["same"].rename("*", "all.*"),
    "rename, half of the names meet": lambda directory: Catalog(directory)["same"].rename("*[02468]", "*1"),
    "delete half of the names": lambda directory: Catalog(directory)["all"].remove("*[02468]"),
}


def measured(tool: str, directory: Path) -> Cost:
    """Run a tool in a process of its own."""
    command = [sys.executable, "-m", "bench.history", "--tool", tool, "--directory", str(directory)]
    return Cost(*json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def run(tool: str, directory: Path) -> Cost:
    """Run a tool in this process."""
    began_cpu, began = time.process_time(), time.monotonic()
    TOOLS[tool](directory)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return Cost(time.process_time() - began_cpu, time.monotonic() - began, peak_mb)


def lines(names: int, buckets: int) -> Iterator[str]:
    """Yield the table, as Markdown."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        fill(empty(directory), names=names, buckets=buckets)
        empty(directory, "all")
        size = (directory / "big.db").stat().st_size
        yield f"{names:,} names, {buckets:,} buckets, {size / 1e6:.0f} MB:\n"
        yield from head("tool", *TITLES)
        for tool in TOOLS:
            cost = measured(tool, directory)
            cells = names * buckets
            rate = f"{cells / cost.cpu_s:,.0f}"
            yield row(tool, f"{cells:,}", cost.cpu_s, rate, cost.wall_s, round(cost.memory_mb))


def main() -> None:
    """Print the table, or run one tool and print what it cost as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--buckets", type=int, default=2000)
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.tool:
        print(json.dumps(run(given.tool, given.directory)))
        return
    print(f"{machine()}\n")
    for line in lines(given.names, given.buckets):
        print(line, flush=True)


if __name__ == "__main__":
    main()
