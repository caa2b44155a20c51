"""What alerts cost: `python -m bench.alerts [--rules 200] [--names 10000] [--passes 5]`.

An archive of 10 s buckets has ten minutes of every name. The rules are of all kinds: one name, fifty names together,
fifty names each, with averages, maxima, counts and rates over five minutes. Each pass evaluates all of them for the
next bucket, as `tally serve` does, and stores the states. Its CPU seconds are divided by those of a bucket. The
evaluator keeps itself to 5 % of a core: with more, the rules are evaluated less often, as the last column says.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.server import machine
from bench.table import head, middle, row
from tally.alerts.evaluator import SHARE, Evaluator
from tally.engine import Catalog
from tally.settings import Settings

RESOLUTION_S = 10
FIRST = 1_700_000_000
KEPT_S = 600
GROUP = 50
ASKS = ("avg", "max", "count", "rate")


def rules(count: int, groups: int) -> str:
    """Return a file with so many rules."""
    made = []
    for number in range(count):
        group, kind = number % groups, number % 3
        q = f"app{group}.page{number % GROUP}" if kind == 0 else f"app{group}.*"
        each = '\neach = "name"' if kind == 2 else ""
        asked = f'q = "{q}"\nask = "{ASKS[number % len(ASKS)]}"\nover = "5min"\nabove = 0.99{each}'
        made.append(f'[rule{number}]\narchive = "daily"\n{asked}\n')
    return "".join(made)


def fill(catalog: Catalog, names: int) -> None:
    """Commit a cell of every name into each bucket."""
    archive = catalog.create("daily", resolution=RESOLUTION_S, retention=0)
    known = [f"app{number // GROUP}.page{number % GROUP}" for number in range(names)]
    for bucket in range(FIRST, FIRST + KEPT_S, RESOLUTION_S):
        archive.commit({bucket: dict.fromkeys(known, (5, 2.5, 0.1, 1.0))}, now=bucket)


def measure(directory: Path, passes: int) -> Iterator[float]:
    """Yield the CPU seconds of each pass, after one that begins all alerts."""
    now = [float(FIRST + KEPT_S - (passes + 1) * RESOLUTION_S)]
    evaluator = Evaluator(Settings.load({}, data_dir=directory), clock=lambda: now[0], steady=lambda: now[0] * 1000)
    for number in range(passes + 1):
        began = time.process_time()
        evaluator.step()
        if number:
            yield time.process_time() - began
        now[0] += RESOLUTION_S


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.alerts", description="Measure what alerts cost.")
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--names", type=int, default=10_000)
    parser.add_argument("--passes", type=int, default=5)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    print(machine())
    with tempfile.TemporaryDirectory() as found:
        directory = Path(found)
        fill(Catalog(directory), chosen.names)
        (directory / "alerts.toml").write_text(rules(chosen.rules, max(1, chosen.names // GROUP)))
        used = middle([*measure(directory, chosen.passes)])
        titles = ("rules", "names", "ms of CPU a rule", "% of a core, every 10 s", "seconds between passes at 5 %")
        print(*head(*titles), sep="\n")
        every = max(RESOLUTION_S, used / SHARE)
        print(row(chosen.rules, chosen.names, used / chosen.rules * 1000, used / RESOLUTION_S * 100, every))


if __name__ == "__main__":
    main()
