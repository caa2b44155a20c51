"""What asking costs: `python -m bench.ask [--names 1000] [--buckets 1440] [--only tally,VictoriaMetrics]`.

The same cells are asked for over HTTP from tally, graphite-web and VictoriaMetrics (those that are here, see
bench/databases.py), and by a bare connection of apsw's from tally's own tables: the least that SQL alone can cost. Each
answer is read to its end over a connection that stays open. CPU is that of the server's whole process tree.
"""

import argparse
import http.client
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from bench.databases import DATABASES, Running, size_bytes
from bench.filling import RESOLUTION_S, empty, fill
from bench.peers import version
from bench.questions import QUESTIONS, Asked
from bench.server import TICKS, machine, started, tally
from bench.table import head, middle, row, shown

# So often and so long is a question put, at least and at most.
RUNS_LEAST, RUNS_MOST = 5, 300
LONG_ENOUGH_S, LONGEST_S = 1.5, 60
CLIENTS, CLIENTS_S = 8, 4.0
CROWDED = (1, 2, 3)
LOAD_RATE = 20_000
PURE = "pure Python"

SHARES = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"

Ask = Callable[[], object]


class Cost(NamedTuple):
    """What a question took: median wall clock, and mean CPU of the server, in milliseconds."""

    wall_ms: float
    cpu_ms: float

    def __str__(self) -> str:
        return f"{shown(self.wall_ms)} / {shown(self.cpu_ms)}"


def cost(ask: Ask, cpu_s: Callable[[], float]) -> Cost:
    """Put a question again and again, after once that does not count."""
    ask()
    times: list[float] = []
    before, began = cpu_s(), time.perf_counter()
    while len(times) < RUNS_MOST and (len(times) < RUNS_LEAST or time.perf_counter() - began < LONG_ENOUGH_S):
        start = time.perf_counter()
        ask()
        times.append(time.perf_counter() - start)
        if time.perf_counter() - began > LONGEST_S:
            break
    return Cost(middle(times) * 1000, max(cpu_s() - before, 1 / TICKS) / len(times) * 1000)


class Client:
    """A connection that stays open."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=LONGEST_S * 2)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str, **headers: str) -> tuple[int, str | None, int]:
        """Read an answer to its end; return its status, its ETag and its bytes."""
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        size = 0
        while part := answer.read(2**20):
            size += len(part)
        if answer.status not in (200, 304):
            raise RuntimeError(f"{path}: {answer.status}")
        return answer.status, answer.getheader("ETag"), size


def served(running: Running, path: str, **headers: str) -> Cost:
    """Return what a question costs over HTTP."""
    with Client(running.address) as client:
        return cost(partial(client.get, path, **headers), lambda: running.server.cpu_s)


def bare(path: Path, sql: str) -> Ask:
    """Return what puts a question to SQLite itself."""

    def ask() -> None:
        connection = apsw.Connection(str(path))
        connection.execute(sql).fetchall()
        connection.close()

    return ask


@contextmanager
def serving(directory: Path, *, native: str = "1") -> Iterator[Running]:
    """Start tally, with or without its native core, on archives that are there."""
    with tally(directory, "serve", TALLY_QUERY_TIMEOUT=LONGEST_S, TALLY_NATIVE=native) as server:
        address = server.said(r"(?:answering|dashboard and API) on http://(\S+)/")
        server.said("(collecting)")
        server.rest()
        yield Running(server, address, lambda: size_bytes(directory))


class Bench(NamedTuple):
    """What runs: tally first, and its archive's file."""

    running: dict[str, Running]
    path: Path
    buckets: range
    names: int

    def path_of(self, name: str, asked: Asked) -> str:
        """Return where a database answers a question."""
        paths = {"graphite-web": asked.graphite, "VictoriaMetrics": asked.victoriametrics}
        first, last = self.buckets[0], self.buckets[-1]
        values = {
            "first": first,
            "last": last,
            "before": first - RESOLUTION_S,
            "seconds": len(self.buckets) * RESOLUTION_S,
        }
        return paths.get(name, asked.tally).format(**values)

    def costs(self, asked: Asked) -> dict[str, Cost]:
        """Return what a question costs each, and SQL alone."""
        found = {name: served(each, self.path_of(name, asked)) for name, each in self.running.items()}
        return {**found, "bare apsw": cost(bare(self.path, asked.sql), time.process_time)}


def table_of_questions(bench: Bench) -> Iterator[str]:
    """Yield a row a question: milliseconds of each, and how they compare."""
    others = [*list(bench.running)[1:], "bare apsw"]
    yield "Median wall clock / CPU of the server, in ms, and in brackets how many times tally's that is"
    yield ""
    yield from head("question", "tally", *others)
    for asked in QUESTIONS:
        costs = bench.costs(asked)
        own = costs["tally"]
        cells = [
            f"{costs[name]} ({costs[name].wall_ms / own.wall_ms:.2g} / {costs[name].cpu_ms / own.cpu_ms:.2g})"
            for name in others
        ]
        yield row(asked.title, own, *cells)


def table_of_crowds(bench: Bench) -> Iterator[str]:
    """Yield a row a question: how many more answers CLIENTS clients get than one."""
    yield from head(f"{CLIENTS} clients at once: answers a second, times one client's", *bench.running)
    for number in CROWDED:
        asked = QUESTIONS[number]
        cells = []
        for name, running in bench.running.items():
            path = bench.path_of(name, asked)
            alone, crowd = (answered(running.address, [path] * clients) for clients in (1, CLIENTS))
            cells.append(f"{alone:.0f} × {crowd / alone:.2f}")
        yield row(asked.title, *cells)


def answered(address: str, paths: list[str]) -> float:
    """Return how many answers a second as many clients get as there are paths, each a process of its own."""
    with get_context("spawn").Pool(len(paths)) as pool:
        pool.starmap(_ask_for, [(address, path, 0.2) for path in paths], chunksize=1)
        speeds = pool.starmap(_ask_for, [(address, path, CLIENTS_S) for path in paths], chunksize=1)
        pool.close()  # Left to itself the pool would end its processes by a signal, which one at rest may not hear.
        pool.join()
    return sum(speeds)


def _ask_for(address: str, path: str, seconds: float) -> float:
    """Return how many answers a second this process gets."""
    began, number = time.perf_counter(), 0
    with Client(address) as client:
        while time.perf_counter() - began < seconds:
            client.get(path)
            number += 1
    return number / (time.perf_counter() - began)


def table_of_repeats(bench: Bench) -> Iterator[str]:
    """Yield what a question costs that is asked again with the ETag of its answer, where there is one."""
    running = bench.running["tally"]
    yield from head("asked again between two flushes", "status", "wall ms", "CPU ms")
    for asked in QUESTIONS[1:]:
        with Client(running.address) as client:
            _, tag, _ = client.get(asked.tally)
            if tag is None:
                yield row(asked.title, "no ETag", "", "")
                continue
            status, _, _ = client.get(asked.tally, **{"If-None-Match": tag})
        found = served(running, asked.tally, **{"If-None-Match": tag})
        yield row(asked.title, status, found.wall_ms, found.cpu_ms)


def table_of_bytes(bench: Bench) -> Iterator[str]:
    """Yield the bytes a cell on disk of each, and what tally's are of."""
    cells = bench.names * len(bench.buckets)
    yield from head("on disk", "MB", "bytes a cell")
    yield from (row(name, each.bytes() / 1e6, each.bytes() / cells) for name, each in bench.running.items())
    connection = apsw.Connection(str(bench.path), flags=apsw.SQLITE_OPEN_READONLY)
    shares: list[Any] = connection.execute(SHARES).fetchall()
    connection.close()
    yield from (row(f"of tally's: {name}", size / 1e6, size / cells) for name, size in shares if size > cells / 100)


def dump(bench: Bench) -> Iterator[str]:
    """Yield what the memory of the server grows by while all cells are dumped."""
    running = bench.running["tally"]
    before = running.server.memory_bytes
    with Client(running.address) as client:
        _, _, size = client.get(QUESTIONS[-1].tally)
    grown = running.server.peak_bytes - before
    yield from head("full dump, MB", "memory of the server above what it was before, at most, MiB")
    yield row(size / 1e6, grown / 2**20)


def beside_a_load(bench: Bench) -> Iterator[str]:
    """Yield how many datagrams are lost while CLIENTS clients ask everything."""
    running = bench.running["tally"]
    port = running.server.said(r"collecting on UDP \S+ port (\d+)")
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "bench.load", port, LOAD_RATE, CLIENTS_S * 3, 1, "%s %.6f"]
        with started(command, Path(place)) as sender:
            paths = [QUESTIONS[number % len(QUESTIONS)].tally for number in range(CLIENTS)]
            while sender.process.poll() is None:
                answered(running.address, paths)
            sent = sender.log.read_text().split()[0]
    running.server.end()
    drops = running.server.said(r"rejected \d+(?: lines)?; the kernel dropped (\d+) datagram")
    yield from head(f"{CLIENTS} clients ask everything meanwhile: datagrams/s", "sent", "dropped by the kernel")
    yield row(LOAD_RATE, int(sent), int(drops))


def lines(names: int, buckets: int, only: list[str] | None) -> Iterator[str]:
    """Yield all that is measured, as Markdown."""
    end = int(time.time()) // RESOLUTION_S * RESOLUTION_S
    span = range(end - buckets * RESOLUTION_S, end, RESOLUTION_S)
    chosen = [each for each in DATABASES if each.name in (only or [each.name])]
    here = ", ".join(f"{each.name} {version(each.version)}" for each in chosen if each.is_here)
    absent = ", ".join(f"{each.name} ({each.get})" for each in chosen if not each.is_here)
    yield f"{names:,} names, {buckets:,} buckets, {names * buckets:,} cells; beside {here or 'nobody'}"
    if absent:
        yield f"Not here, so left out: {absent}"
    with ExitStack() as stack:
        places = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in (0, *chosen)]
        archive = empty(places[0])
        fill(archive, names=names, buckets=buckets, until=end)
        running = {"tally": stack.enter_context(serving(places[0]))}
        if PURE in (only or [PURE]):
            running[PURE] = stack.enter_context(serving(places[0], native="0"))
        for database, place in zip(chosen, places[1:], strict=True):
            if database.is_here:
                running[database.name] = stack.enter_context(database.started(place, names, span))
        bench = Bench(running, archive.path, span, names)
        for part in (dump, table_of_questions, table_of_crowds, table_of_repeats, table_of_bytes, beside_a_load):
            yield ""
            yield from part(bench)


def main() -> None:
    """Read the command line, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.ask", description="What asking costs.")
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--buckets", type=int, default=1440)
    parser.add_argument("--only", type=lambda text: text.split(","), help="peers, separated by commas")
    chosen = parser.parse_args()
    print(f"{machine()}\n")
    for line in lines(chosen.names, chosen.buckets, chosen.only):
        print(line, flush=True)


if __name__ == "__main__":
    main()
