"""What a cluster costs: `python -m bench.cluster [--cells 2000000] [--collectors 1 2 4] [--rows 100000000]`.

A backlog is shipped by `tally serve`, which is asked a small question meanwhile and afterwards. Then collectors ship
what they collect at the same time. The ClickHouse server, all collectors and the load share this machine.

With --rows, a table of so many cells is filled in the server. Each of QUESTIONS is asked by tally's statement, and by
one written by hand: with FINAL, which merges cells that were shipped several times, and without.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.ask import Client
from bench.filling import empty, fill
from bench.load import datagrams, send
from bench.server import machine, tally
from bench.table import head, row
from tally.cluster import sql
from tally.cluster.address import Address
from tally.cluster.cluster import Cluster, Published
from tally.cluster.connection import Connection
from tally.cluster.shared import share_archives
from tally.engine import Catalog
from tally.engine.asking.question import Question
from tally.engine.definition import Definition
from tests.clickhouse import ClickHouse

NAMES = 5_000
SMALL = "/aggregate/big/?q=requests.get.page7"
IDLE_S = 3.0
LIMIT_S = 600.0
# Each collector gets so many datagrams of LINES lines a second, and has a cell a second for each name.
RATE, LINES = 700, 15
MEGABYTE = 2**20
# Cells of two sources, 10 s apart.
ROW_NAMES, STEP_CELLS = 10_000, 2_000_000
CELLS = """
INSERT INTO {database}.cells (archive, bucket, name, source, count, sum, min, max, version, floor)
SELECT 'many', 10 * intDiv(number, {names} * 2), concat('requests.get.page', toString(intDiv(number, 2) % {names})),
    concat('web', toString(number % 2)), 1 + number % 7, number % 1000 / 8, number % 100 / 8, number % 1000 / 4, 2, 1
FROM numbers({first}, {cells})
"""
# By hand: the columns, the rows, and how they are grouped and sorted.
QUESTIONS = {
    "all by time": (Question("aggregate", aggregate="sum"), "bucket, sum(sum)", "1", "GROUP BY bucket ORDER BY bucket"),
    "one name": (
        Question("values", q=("requests.get.page7",), aggregate="sum"),
        "bucket, sum(sum)", "name = 'requests.get.page7'", "GROUP BY bucket ORDER BY bucket",
    ),
    "10 highest of an hour": (
        Question("aggregate", by="name", aggregate="avg", until=3600, limit=10),
        "name, sum(sum) / sum(count) AS avg", "bucket < 3600", "GROUP BY name ORDER BY avg DESC, name LIMIT 10",
    ),
    "one in 100 by time": (
        Question("aggregate", aggregate="max", q=("*.page*7?",)),
        "bucket, max(max)", r"match(name, '^.*\\.page.*7.$')", "GROUP BY bucket ORDER BY bucket",
    ),
}  # fmt: skip
BY_HAND = "SELECT {columns} FROM {database}.cells {final} PREWHERE archive = 'many' AND {rows} {groups}"


@contextmanager
def clickhouse(database: str) -> Iterator[tuple[ClickHouse, Address, Connection]]:
    """Start a server with the tables in a database."""
    with tempfile.TemporaryDirectory() as place:
        server = ClickHouse(Path(place))
        try:
            address = server.address(database)
            with Cluster(address) as cluster:
                cluster.create_tables()
            with closing(Connection(address)) as connection:
                yield server, address, connection
        finally:
            server.stop()


def number(connection: Connection, expression: str, table: str) -> float:
    """Return the value of an expression over a table, 0 for none."""
    return float(connection.execute(f"SELECT {expression} FROM {table}")[0][0] or 0)


def backlog(cells: int) -> Iterator[str]:
    """Yield the lines about a backlog."""
    with tempfile.TemporaryDirectory() as place, clickhouse("backlog") as (server, address, connection):
        fill(empty(Path(place)), names=min(NAMES, cells), buckets=max(1, cells // NAMES))
        table = f"{address.database}.cells"
        settings = {"TALLY_CLUSTER": server.setting(address.database), "TALLY_SOURCE": "web1"}
        with tally(Path(place), "serve", **settings) as serve:
            url = serve.said(r"dashboard and API on http://(\S+)/")
            serve.said("(replicating into)")
            began, cpu_s = time.monotonic(), serve.cpu_s
            with Client(url) as client:
                busy = list(asked(client, lambda: number(connection, "count()", table) < cells))
                took_s, cpu_s = time.monotonic() - began, serve.cpu_s_since(cpu_s)
                end = time.monotonic() + IDLE_S
                idle = list(asked(client, lambda: time.monotonic() < end))
            peak = serve.peak_bytes / MEGABYTE
        parts = "system.parts"
        size = number(
            connection, f"sumIf(bytes, active AND database = '{address.database}' AND table = 'cells')", parts
        )
    yield from head("cells", "cells a second", "cells a CPU second of tally", "memory of tally serve, MiB",
                    "small answer meanwhile, ms", "small answer idle, ms", "bytes a cell in ClickHouse")  # fmt: skip
    yield row(cells, cells / took_s, cells / cpu_s, peak, median(busy), median(idle), size / cells)


def asked(client: Client, goes_on: Callable[[], bool]) -> Iterator[float]:
    """Ask the small question while a condition holds, and yield the milliseconds of each answer."""
    deadline = time.monotonic() + LIMIT_S
    while goes_on() and time.monotonic() < deadline:
        for _ in range(20):
            began = time.perf_counter()
            status, *_ = client.get(SMALL)
            assert status == 200
            yield 1000 * (time.perf_counter() - began)
            time.sleep(0.005)


def collectors(count: int, seconds: float) -> tuple[float, float]:
    """Return the cells a second that so many collectors ship, and the median of their lag in seconds."""
    with ExitStack() as stack:
        server, address, connection = stack.enter_context(clickhouse("collectors"))
        ports = []
        for which in range(count):
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            Catalog(place).create("all", resolution=1, retention=0)
            settings = {"TALLY_CLUSTER": server.setting(address.database), "TALLY_SOURCE": f"web{which}"}
            collector = stack.enter_context(tally(place, "collect", TALLY_FLUSH_TIME=1, **settings))
            ports.append(int(collector.said(r"collecting on UDP \S+ port (\d+)")))
        source = datagrams("%s:%.6f|ms", RATE * 10, LINES, names=NAMES)
        with ThreadPoolExecutor(count) as senders:
            sent = [senders.submit(send, port, source, rate=RATE, seconds=seconds) for port in ports]
            lags = list(lags_until(connection, address, lambda: all(each.done() for each in sent)))
        return number(connection, "count()", f"{address.database}.cells") / seconds, median(lags)


def lags_until(connection: Connection, address: Address, is_over: Callable[[], bool]) -> Iterator[float]:
    """Yield how far the newest bucket of each source in the cluster is behind, now and then."""
    found = 0
    while not (found and is_over()):
        for _, newest in connection.execute(
            f"SELECT source, max(bucket) FROM {address.database}.cells GROUP BY source"
        ):
            found += 1
            yield max(0.0, time.time() - newest - 1)
        time.sleep(0.5)


def fill_rows(connection: Connection, rows: int) -> None:
    """Fill the table of cells as two collectors would."""
    for source in ("web0", "web1"):
        definition = Definition.create("many", resolution=10, retention=0)
        published = Published("many", source, source, definition, 1, 0, is_deleted=False)
        Cluster(connection.address, connection).publish(published, stamp=1)
    for first in range(0, rows, STEP_CELLS):
        cells = min(STEP_CELLS, rows - first)
        connection.execute(
            CELLS.format(database=connection.address.database, names=ROW_NAMES, first=first, cells=cells)
        )


def questions(connection: Connection, rows: int) -> Iterator[str]:
    """Yield the lines about the time that questions take."""
    database = connection.address.database
    shared = share_archives(Cluster(connection.address, connection).read_archives())["many"]
    yield from head(f"of {rows:,} cells", "tally, s", "by hand, s", "tally : by hand", "without FINAL, s")
    for title, (question, columns, where, groups) in QUESTIONS.items():
        ours = sql.reduce(question, shared, cutoff=0)
        texts = [(ours.text.format(database=database), ours.parameters)]
        for final in ("FINAL", ""):
            given = {"columns": columns, "database": database, "rows": where, "groups": groups}
            texts.append((BY_HAND.format(final=final, **given), {}))
        runs = [[timed(connection, *text) for text in texts] for _ in range(2)]
        tally_s, final_s, plain_s = map(min, *runs)
        yield row(title, tally_s, final_s, tally_s / final_s, plain_s)


def timed(connection: Connection, text: str, parameters: dict[str, Any]) -> float:
    """Return the seconds that a statement takes."""
    began = time.perf_counter()
    assert connection.execute(text, parameters)
    return time.perf_counter() - began


def many(rows: int) -> Iterator[str]:
    """Fill a server with cells, and yield the lines about questions."""
    with clickhouse("many") as (_, address, _connection), ExitStack() as stack:
        connection = stack.enter_context(closing(Connection(address, answer_timeout_s=LIMIT_S)))
        fill_rows(connection, rows)
        yield from questions(connection, rows)


def lines(cells: int, counts: Sequence[int], seconds: float) -> Iterator[str]:
    """Yield everything that is printed."""
    yield f"{machine()}\n"
    yield from backlog(cells)
    if not counts:
        return
    yield ""
    yield from head("collectors", "samples a second", "cells a second", "lag, s")
    for count in counts:
        yield row(count, count * RATE * LINES, *collectors(count, seconds))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description="Measure replication.")
    parser.add_argument("--cells", type=int, default=2_000_000, help="cells of the backlog")
    parser.add_argument("--collectors", type=int, nargs="*", default=[1, 2, 4], help="how many collectors")
    parser.add_argument("--rows", type=int, help="ask questions about so many cells in ClickHouse, and do nothing else")
    parser.add_argument("--seconds", type=float, default=10, help="how long collectors collect")
    options = parser.parse_args()
    found = many(options.rows) if options.rows else lines(options.cells, options.collectors, options.seconds)
    for line in found:
        print(line, flush=True)


if __name__ == "__main__":
    main()
