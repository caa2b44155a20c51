"""What starting costs: `python -m bench.start [--runs 25]`.

Programs are started in turns, so that all see the same machine; the least wall clock and the least user and system CPU
of all runs, since what others on the machine take can only add to them.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.server import machine
from bench.table import head, row

STARTS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "python -c 'import tally'": (sys.executable, "-c", "import tally"),
    "tally --help": (sys.executable, "-m", "tally", "--help"),
}


class Start(NamedTuple):
    """Milliseconds of wall clock and of CPU."""

    wall_ms: float
    cpu_ms: float


def start(command: tuple[str, ...]) -> Start:
    """Start a program, and wait for its end."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent)
    _, status, usage = os.wait4(process.pid, 0)
    taken_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return Start(taken_s * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def lines(runs: int) -> Iterator[str]:
    """Yield a table, a row a program."""
    found: dict[str, list[Start]] = {name: [] for name in STARTS}
    for _ in range(runs):
        for name, command in STARTS.items():
            found[name].append(start(command))
    best = {name: Start(*map(min, zip(*starts, strict=True))) for name, starts in found.items()}
    least = next(iter(best.values()))
    yield from head("start", "ms", "CPU ms", "more than Python's own, ms", "CPU ms more")
    for name, each in best.items():
        more = Start(each.wall_ms - least.wall_ms, each.cpu_ms - least.cpu_ms)
        yield row(f"`{name}`", *each, *more)


def main() -> None:
    """Read the command line, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.start", description="What starting costs.")
    parser.add_argument("--runs", type=int, default=25)
    chosen = parser.parse_args()
    print(f"{machine()}\n")
    for line in lines(chosen.runs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
