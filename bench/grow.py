"""How cost grows: `python -m bench.grow`.

Ten times the names, then ten times the buckets, then ten times the archives, each point in a process of its own, which
collects (a rollup and a flush a bucket), asks for the sum of all names by time, and dumps all cells. Behind each figure
stands how many times the one above it that is. Time is CPU seconds, which others on the machine disturb least; memory
is resident bytes at most, and `above` is what the dump adds.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
CURVES = {
    "names": (100, 1000, 10_000, 100_000),
    "buckets": (12, 120, 1200, 12_000),
    "archives": (1, 10, 100),
}
ASKS = 9


class Point(NamedTuple):
    """What one size costs: a flush, a sum by time and a dump of one archive, in CPU seconds; megabytes; mebibytes."""

    flush_s: float
    sum_s: float
    dump_s: float
    file_mb: float
    memory_mib: float
    above_mib: float


TITLES = ("flush, s", "sum by time, s", "dump, s", "files, MB", "memory, MiB", "above, MiB")


def point(*, names: int, buckets: int, archives: int) -> Point:
    """Measure one size, in this process."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        made = [empty(directory, f"archive{number}") for number in range(archives)]
        flush_s = middle(list(flushes(directory, names, buckets)))
        sum_s = middle([cpu_s(lambda: read(made[0], "aggregate", "sum")) for _ in range(ASKS)])
        before = _peak_mib()
        dump_s = cpu_s(lambda: read(made[0], "values", None))
        size = sum(path.stat().st_size for path in directory.glob("*.db"))
        return Point(flush_s, sum_s, dump_s, size / 1e6, _peak_mib(), _peak_mib() - before)


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


def read(archive: Archive, kind: str, aggregate: str | None) -> None:
    """Take an answer chunk by chunk."""
    for _ in archive.ask(Question.parse(kind, [], aggregate=aggregate, now=START)):
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


def curve(axis: str, sizes: tuple[int, ...]) -> Iterator[str]:
    """Yield a table, a row a size."""
    others = ", ".join(f"{size:,} {name}" for name, size in SMALLEST.items() if name != axis)
    yield from head(f"{axis} ({others})", *TITLES)
    before = None
    for size in sizes:
        found = apart({**SMALLEST, axis: size})
        yield row(size, *(_cells(found, before)))
        before = found


def _cells(found: Point, before: Point | None) -> Iterator[str]:
    for value, smaller in zip(found, before or (None,) * len(found), strict=True):
        yield f"{shown(value)} (× {value / smaller:.1f})" if smaller and smaller > 1e-6 else shown(value)


def lines(curves: dict[str, tuple[int, ...]]) -> Iterator[str]:
    """Yield all that is measured, as Markdown."""
    for axis, sizes in curves.items():
        yield from curve(axis, sizes)
        yield ""


def main() -> None:
    """Print the curves, or measure one point."""
    parser = argparse.ArgumentParser(prog="python -m bench.grow", description="How cost grows.")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=4, help="how many sizes of each, from the smallest")
    chosen = parser.parse_args()
    if chosen.point:
        print(json.dumps(point(**chosen.point)))
        return
    print(f"{machine()}\n")
    for line in lines({axis: sizes[: chosen.steps] for axis, sizes in CURVES.items()}):
        print(line, flush=True)


if __name__ == "__main__":
    main()
