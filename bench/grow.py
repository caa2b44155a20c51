"""How cost grows: `python -m bench.grow`.

Ten times the names, then ten times the buckets, then ten times the archives, each point in a process of its own, which
collects (a rollup and a flush a bucket), asks for the sum of all names by time, for one name by time and for the
highest names, and dumps all cells. Behind each figure stands how many times the one above it that is. Time is CPU
seconds, which others on the machine disturb least; memory is resident bytes at most, and `above` is what the dump adds.

`python -m bench.grow --cells` does the same with 10,000 names, up to 100 million cells, in about half an hour. It
needs 10 GB in the directory for temporary files.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.filling import RESOLUTION_S, empty
from bench.server import machine
from bench.table import head, middle, row, shown
from tally.collector.store import Store
from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.storing.native_rollup import new_rollup

START = 1_700_000_000 // RESOLUTION_S * RESOLUTION_S
SMALLEST = {"names": 100, "buckets": 12, "archives": 1}
MANY_NAMES = {"names": 10_000, "archives": 1}
CURVES = {
    "names": (100, 1000, 10_000, 100_000),
    "buckets": (12, 120, 1200, 12_000),
    "archives": (1, 10, 100),
}
# With 10,000 names these are 1, 10 and 100 million cells.
MANY_BUCKETS = (100, 1000, 10_000)
ASKS = 9
NAME = "requests.get.page7"
ASKED = (
    Question.parse("aggregate", [], aggregate="sum", now=START),
    Question.parse("values", [("q", NAME)], aggregate="sum", now=START),
    Question.parse("aggregate", [("limit", "10")], aggregate="sum", by="name", now=START),
)
DUMP = Question.parse("values", [], now=START)


class Point(NamedTuple):
    """What one size costs, in CPU seconds, megabytes and mebibytes.

    All flushes and the median flush; then, of one archive, a sum by time, a name, a ranking and a dump.
    """

    collect_s: float
    flush_s: float
    sum_s: float
    name_s: float
    ranking_s: float
    dump_s: float
    file_mb: float
    memory_mib: float
    above_mib: float


TITLES = (
    "collect, s",
    "flush, s",
    "sum by time, s",
    "one name, s",
    "highest 10, s",
    "dump, s",
    "files, MB",
    "memory, MiB",
    "above, MiB",
)


def point(*, names: int, buckets: int, archives: int) -> Point:
    """Measure one size, in this process."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        made = [empty(directory, f"archive{number}") for number in range(archives)]
        flushed = list(flushes(directory, names, buckets))
        sum_s, name_s, ranking_s = (median_s(made[0], question) for question in ASKED)
        before = _peak_mib()
        dump_s = cpu_s(partial(read, made[0], DUMP))
        size = sum(path.stat().st_size for path in directory.glob("*.db"))
        peak = _peak_mib()
        costs = (sum(flushed), middle(flushed), sum_s, name_s, ranking_s, dump_s)
        return Point(*costs, size / 1e6, peak, peak - before)


def flushes(directory: Path, names: int, buckets: int) -> Iterator[float]:
    """Collect a sample of every name in each bucket; yield the CPU seconds of each flush."""
    store = Store(Catalog(directory))
    store.refresh()
    lines = [b"requests.get.page%d %d.25" % (number, number % 7) for number in range(names)]
    source = [b"\n".join(lines[first : first + 20]) for first in range(0, names, 20)]
    for now in range(START, START + buckets * RESOLUTION_S, RESOLUTION_S):
        batch = new_rollup(store.resolution())
        batch.add(source, now)
        yield cpu_s(partial(store.flush, batch, now))


def median_s(archive: Archive, question: Question) -> float:
    """Return the median of the CPU seconds that an answer takes."""
    return middle([cpu_s(partial(read, archive, question)) for _ in range(ASKS)])


def read(archive: Archive, question: Question) -> None:
    """Take an answer chunk by chunk."""
    for _ in archive.ask(question):
        pass


def cpu_s(work: Callable[[], object]) -> float:
    """Return how many CPU seconds something takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(sizes: dict[str, int]) -> Point:
    """Measure one size in a process of its own."""
    command = [sys.executable, "-m", "bench.grow", "--point", json.dumps(sizes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    return Point(*json.loads(done.stdout))


def curve(axis: str, sizes: tuple[int, ...], smallest: Mapping[str, int]) -> Iterator[str]:
    """Yield a table, a row a size."""
    others = ", ".join(f"{size:,} {name}" for name, size in smallest.items() if name != axis)
    yield from head(f"{axis} ({others})", *TITLES)
    before = None
    for size in sizes:
        found = apart({**smallest, axis: size})
        yield row(size, *(_cells(found, before)))
        before = found


def _cells(found: Point, before: Point | None) -> Iterator[str]:
    for value, smaller in zip(found, before or (None,) * len(found), strict=True):
        yield f"{shown(value)} (× {value / smaller:.1f})" if smaller and smaller > 1e-6 else shown(value)


def lines(curves: Mapping[str, tuple[int, ...]], smallest: Mapping[str, int] = SMALLEST) -> Iterator[str]:
    """Yield all that is measured, as Markdown."""
    for axis, sizes in curves.items():
        yield from curve(axis, sizes, smallest)
        yield ""


def main() -> None:
    """Print the curves, or measure one point."""
    parser = argparse.ArgumentParser(prog="python -m bench.grow", description="How cost grows.")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=4, help="how many sizes of each, from the smallest")
    parser.add_argument("--cells", action="store_true", help="from 1 to 100 million cells, of 10,000 names")
    chosen = parser.parse_args()
    if chosen.point:
        print(json.dumps(point(**chosen.point)))
        return
    print(f"{machine()}\n")
    curves, smallest = ({"buckets": MANY_BUCKETS}, MANY_NAMES) if chosen.cells else (CURVES, SMALLEST)
    for line in lines({axis: sizes[: chosen.steps] for axis, sizes in curves.items()}, smallest):
        print(line, flush=True)


if __name__ == "__main__":
    main()
