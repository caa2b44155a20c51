"""What a flush costs: `python -m bench.flush [--names 10000] [--buckets 400] [--flushes 28]`.

One new bucket of all names goes into an archive of many rows, flush by flush, and the very rows that it has left there
go into copies of the file by a bare `executemany` of apsw's: the least that storing them can cost. Cells are merged as
by a collector, which has validated them. Seconds are of CPU, which others on the machine disturb least. Bytes are those
that the process gave to the kernel for writing (proc(5), `wchar`), so the WAL and the file itself together.
Then a retention is set, so that each flush hides rows that have expired, and some delete those. Last, `tally serve`
collects 100,000 names into its three archives.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from bench.filling import RESOLUTION_S, empty, fill, made
from bench.server import LIMIT_S, Server, machine, started, tally
from bench.table import head, middle, row
from tally.engine import Archive, Catalog
from tally.engine.asking.sql import Value
from tally.engine.storing.commit import Rules

FLUSH_TIME_S, SERVE_S = 5, 22
# Datagrams a second, and lines in each.
LOAD = (10_000, 15)
# By so many flushes, what has expired when the retention is set is gone. Then come twice the flushes from one deletion
# to the next.
RETENTION_H, CATCHING_UP, EXPIRIES = 6, 40, 128
SEALED = "SELECT * FROM meta WHERE key IN ('sealed_before', 'sealing_id')"
ROWS = "SELECT * FROM data WHERE bucket = ?"


class Cost(NamedTuple):
    """What something took: seconds of CPU, and bytes written."""

    seconds: float
    bytes: int


def cost(work: Callable[[], object]) -> Cost:
    """Run something and return what it took."""
    written, began = _written(), time.process_time()
    work()
    return Cost(time.process_time() - began, _written() - written)


def _written() -> int:
    text = Path("/proc/self/io").read_text()
    return int(text.partition("wchar: ")[2].split()[0])


class Bare:
    """A copy of an archive's file, into which rows are put by apsw alone."""

    def __init__(self, path: Path, *, checkpoint: bool) -> None:
        self.connection = apsw.Connection(str(path))
        self.connection.pragma("synchronous", "full")
        self._checkpoint = checkpoint
        columns = len(list(self.connection.execute("PRAGMA table_info(data)")))
        self._insert = f"INSERT INTO data VALUES ({', '.join('?' * columns)})"

    def flush(self, rows: list[tuple[Value, ...]]) -> None:
        """Insert rows in a transaction."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(self._insert, rows)
        self.connection.execute("COMMIT")
        if self._checkpoint:
            self.connection.wal_checkpoint()


def read(path: Path, statement: str, *bindings: int) -> list[tuple[Value, ...]]:
    """Return the rows of a SELECT on an archive's file."""
    connection = apsw.Connection(str(path))
    try:
        return list(connection.execute(statement, bindings))
    finally:
        connection.close()


def flushes(archive: Archive, names: int, number: int, start: int) -> Iterator[tuple[bool, Cost, Cost, Cost]]:
    """Yield of each flush whether it sealed, and its cost beside that of a bare insert, without and with checkpoint."""
    copies = [archive.path.with_suffix(suffix) for suffix in (".bare", ".checked")]
    for copy in copies:
        shutil.copy(archive.path, copy)
    bares = [Bare(copy, checkpoint=checkpoint) for copy, checkpoint in zip(copies, (False, True), strict=True)]
    for bucket, cells in made(names, range(start, start + number * RESOLUTION_S, RESOLUTION_S)):
        before = read(archive.path, SEALED)
        own = cost(partial(archive.merge, cells, Rules(bucket + RESOLUTION_S)))
        rows = read(archive.path, ROWS, bucket)
        plain, checked = (cost(partial(bare.flush, rows)) for bare in bares)
        yield before != read(archive.path, SEALED), own, plain, checked
    for bare, copy in zip(bares, copies, strict=True):
        bare.connection.close()
        copy.unlink()


def table_of_flushes(costs: list[tuple[bool, Cost, Cost, Cost]]) -> Iterator[str]:
    """Yield a table of what flushes cost that seal, and that do not."""
    plain = [each[1:] for each in costs if not each[0]]
    own, bare, checked = (middle([cost.seconds for cost in column]) for column in zip(*plain, strict=True))
    yield from head("", "CPU seconds", "MB written", "speed beside it: tally's / bare")
    sizes = [middle([cost.bytes / 1e6 for cost in column]) for column in zip(*plain, strict=True)]
    yield row("a flush that seals nothing", own, sizes[0], "")
    yield row("the same rows by a bare executemany", bare, sizes[1], bare / own)
    yield row("the same, with a checkpoint as tally's", checked, sizes[2], checked / own)
    sealing = [each[1] for each in costs if each[0]]
    if sealing:
        yield row("a flush that seals, at most", *(max(column) for column in _columns(sealing)), "")
    everything = [each[1] for each in costs]
    mean = [sum(column) / len(everything) for column in _columns(everything)]
    yield row(f"all {len(everything)} flushes, a flush; {len(sealing)} of them sealed", *mean, "")


def _columns(costs: list[Cost]) -> tuple[list[float], list[float]]:
    return [each.seconds for each in costs], [each.bytes / 1e6 for each in costs]


def expiries(archive: Archive, names: int, start: int) -> Iterator[str]:
    """Yield a table of flushes that expire rows: first as many as a flush may, and then a bucket each."""
    archive.edit(retention=RETENTION_H)
    runs = CATCHING_UP + EXPIRIES
    costs, rows = [], [_count(archive)]
    for bucket, cells in made(names, range(start, start + runs * RESOLUTION_S, RESOLUTION_S)):
        costs.append(cost(partial(archive.merge, cells, Rules(bucket + RESOLUTION_S))))
        rows.append(_count(archive))
    yield from head(
        "flushes after a retention was set", "rows expired a flush", "rows deleted a flush", "CPU seconds a flush",
        "at most", "MB written a flush", "at most",
    )  # fmt: skip
    for text, part in (
        (f"the first {CATCHING_UP}", slice(CATCHING_UP)),
        (f"{EXPIRIES} more", slice(CATCHING_UP, runs)),
    ):
        found, ends = costs[part], (rows[part.start or 0], rows[part.stop])
        removed = (names - (after - before) / len(found) for before, after in zip(*ends, strict=True))
        spent = ((sum(column) / len(found), max(column)) for column in _columns(found))
        yield row(text, *map(round, removed), *(value for pair in spent for value in pair))


def _count(archive: Archive) -> tuple[int, int]:
    """Return how many points an archive has, and how many rows are in its file."""
    [(rows,)] = read(archive.path, "SELECT count(*) FROM data")
    return archive.points(), int(str(rows))


def many_names(number: int) -> Iterator[str]:
    """Yield what `tally serve` needs to flush so many names into its three archives, while it goes on collecting."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "archives"
        with tally(directory, "serve", TALLY_FLUSH_TIME=FLUSH_TIME_S, TALLY_MAX_NAMES=number) as server:
            port = server.said(r"collecting on UDP \S+ port (\d+)")
            command = [sys.executable, "-m", "bench.load", port, LOAD[0], SERVE_S, LOAD[1], "%s %.6f", number]
            with started(command, Path(place)) as sender:
                seen = dict(_statuses(directory, sender))
            drops = max(status["kernel_drops"] for status in seen.values())
        names = [len(archive.names()) for archive in Catalog(directory).archives()]
    slowest = max(status["flush_seconds"] for flush, status in seen.items() if flush)
    yield from head("names by UDP", "names stored", "flushes", "seconds of the slowest", "between flushes", "drops")
    yield row(number, min(names), max(seen), slowest, FLUSH_TIME_S, drops)


def _statuses(directory: Path, sender: Server) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the collector's books by the number of its flush, while a sender runs and until one more is done."""
    deadline = time.monotonic() + SERVE_S + LIMIT_S
    flush = last = 0
    while (sender.process.poll() is None or flush <= last) and time.monotonic() < deadline:
        [path] = directory.glob("collector-*.json")
        status = json.loads(path.read_text())
        flush = status["flushes"]
        if sender.process.poll() is None:
            last = flush
        yield flush, status
        time.sleep(0.1)


def lines(names: int, buckets: int, number: int, many: int) -> Iterator[str]:
    """Yield all that is measured, as Markdown."""
    end = int(time.time()) // RESOLUTION_S * RESOLUTION_S
    with tempfile.TemporaryDirectory() as place:
        archive = empty(Path(place))
        fill(archive, names=names, buckets=buckets, until=end)
        yield f"{names:,} names into an archive of {archive.points():,} rows and {archive.summary().bytes / 1e6:.0f} MB"
        yield ""
        yield from table_of_flushes(list(flushes(archive, names, number, end)))
        yield ""
        yield from expiries(archive, names, end + number * RESOLUTION_S)
        yield ""
    yield from many_names(many)


def main() -> None:
    """Read the command line, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.flush", description="What a flush costs.")
    parser.add_argument("--names", type=int, default=10_000)
    parser.add_argument("--buckets", type=int, default=400, help="how many are in the archive before")
    parser.add_argument("--flushes", type=int, default=32)
    parser.add_argument("--many", type=int, default=100_000, help="how many names come by UDP in the end")
    chosen = parser.parse_args()
    print(f"{machine()}\n")
    for line in lines(chosen.names, chosen.buckets, chosen.flushes, chosen.many):
        print(line, flush=True)


if __name__ == "__main__":
    main()
