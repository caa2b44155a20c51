"""What asking costs: `python -m bench.ask`.

An archive of 1,000 names and 1,440 buckets is asked over HTTP, and the same question is put to SQLite itself on the
same tables: the least that an answer can cost. The full dump is read to its end, with the server's memory before and at
most.
"""

import random
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import apsw

from bench.server import Server, machine, tally
from tally.engine import Archive, Catalog
from tally.engine.rollup import Cells

NAMES = 1000
BUCKETS = 1440
RESOLUTION_S = 60
RUNS = 9
PAGE_BYTES = 2**20
BARE = "SELECT bucket, sum(sum) FROM data GROUP BY bucket"


def fill(directory: Path) -> Archive:
    """Return an archive with a sample in every bucket of every name, committed in the order of time."""
    chance = random.Random(1)
    now = int(time.time()) // RESOLUTION_S * RESOLUTION_S
    archive = Catalog(directory).create("big", resolution=RESOLUTION_S, retention=0)
    for age in range(BUCKETS, 0, -1):
        values = {f"requests.get.page{number}": chance.random() for number in range(NAMES)}
        cells: Cells = {now - age * RESOLUTION_S: {name: (1, value, value, value) for name, value in values.items()}}
        archive.commit(cells, now=now - (age - 1) * RESOLUTION_S)
    return archive


def median_s(work: Callable[[], object]) -> float:
    """Return the median seconds of RUNS runs, after one that does not count."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def read(url: str) -> int:
    """Read an answer to its end, page by page; return its bytes."""
    size = 0
    with urllib.request.urlopen(url) as answer:
        while page := answer.read(PAGE_BYTES):
            size += len(page)
    return size


def bare(path: Path) -> None:
    """Put the question to SQLite itself."""
    connection = apsw.Connection(str(path))
    connection.execute(BARE).fetchall()
    connection.close()


def ask(server: Server, archive: Archive) -> None:
    """Print what the sum by time and the dump cost."""
    url = server.said(r"answering on (http://\S+)/")
    server.said("(collecting)")
    least = median_s(lambda: bare(archive.path))
    asked = median_s(lambda: read(f"{url}/aggregate/big/sum/"))
    print(f"sum of all names by time: {asked / least:.2f} times SQLite alone ({asked * 1000:.0f} ms)")
    before = server.memory_bytes
    began = time.perf_counter()
    size = read(f"{url}/values/big/")
    seconds = time.perf_counter() - began
    grown = server.peak_bytes - before
    print(f"full dump: {size / 1e6:.0f} MB in {seconds:.1f} s; memory grew by {grown / 2**20:.1f} MiB at most")


def main() -> None:
    """Fill an archive, and ask."""
    print(f"{machine()}; {NAMES} names, {BUCKETS} buckets, median of {RUNS}\n")
    with tempfile.TemporaryDirectory() as place:
        archive = fill(Path(place))
        with tally(Path(place), "serve") as server:
            ask(server, archive)


if __name__ == "__main__":
    main()
