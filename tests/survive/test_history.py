"""Survive: `kill -9` at random moments of the tools that change history, alone and beside a collector under load."""

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from signal import SIGTERM

import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import schema
from tests.processes import environment, started, wait_for
from tests.survive.load import Sender, books, check_balance
from tests.survive.scale import chance, scaled

T = 1_700_000_000
ROUNDS = scaled(3, 50)
NAMES, BUCKETS = scaled(100, 200), scaled(50, 200)
CELLS = "SELECT bucket, name, count, sum, min, max FROM cells ORDER BY 1, 2"
TOOLS = {
    "derive": ("archives", "create", "new", "--from", "daily", "--resolution", "60", "--json"),
    "merge": ("merge", "other", "--into", "daily"),
    "rename": ("names", "rename", "daily", "[ab].*", "all.*"),
    "delete": ("names", "delete", "daily", "a.*"),
}


def fill(directory: Path) -> None:
    """Make two archives with the same names, some of which meet when they are renamed."""
    for number, slug in enumerate(("daily", "other")):
        archive = Catalog(directory).create(slug, resolution=10, retention=0)
        names = [f"{'ab'[name % 2]}.{name // 2}" for name in range(NAMES)]
        cells = {
            T + 10 * bucket: dict.fromkeys(names, (2 + bucket % 3, (1.5 + number / 4) * (2 + bucket % 3), 1.0, 2.0))
            for bucket in range(BUCKETS)
        }
        archive.commit(cells, now=T + 10 * BUCKETS)


def state(directory: Path) -> dict[str, int]:
    """Return a fingerprint of the cells of each archive, which must be sound."""
    return {archive.slug: _fingerprint(archive) for archive in Catalog(directory).archives()}


def _fingerprint(archive: Archive) -> int:
    assert () == archive.check().damage
    with schema.OpenArchive(archive.path) as connection:
        return hash(tuple(connection.execute(CELLS)))


def run(directory: Path, *arguments: str, until_s: float = 60.0) -> float:
    """Run `tally`, and return how long it took; kill it after some time, and return infinity."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tally", *arguments]
    with subprocess.Popen(command, env=environment(directory), stdout=subprocess.DEVNULL) as process:
        try:
            process.wait(until_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return math.inf
    assert 0 == process.returncode
    return time.monotonic() - began


@pytest.mark.parametrize("tool", TOOLS)
def test_a_killed_tool_has_done_all_or_nothing(tmp_path: Path, tool: str) -> None:
    """Every archive is as before or as afterwards, and sound, and the tool can be run again."""
    fill(tmp_path / "before")
    for place in ("warm", "after"):
        copytree(tmp_path / "before", tmp_path / place)
        took_s = run(tmp_path / place, *TOOLS[tool])
    before, after = state(tmp_path / "before"), state(tmp_path / "after")
    assert before != after
    random, done = chance(f"history {tool}"), 0
    for number in range(ROUNDS):
        directory = Path(copytree(tmp_path / "before", tmp_path / str(number)))
        # The moment is the simulation: there is nothing to wait for.
        took_s = min(took_s, run(directory, *TOOLS[tool], until_s=random.uniform(0.3, 1.0) * took_s))
        found = state(directory)
        assert found in (before, after), f"kill {number + 1} of {tool}"
        done += found == after
        if found == before:
            run(directory, *TOOLS[tool])
            assert after == state(directory), f"after kill {number + 1} of {tool}"
    print(f"{ROUNDS} kills of {tool}, {done} after its end")  # noqa: T201


def tools(directory: Path) -> Iterator[tuple[str, ...]]:
    """Yield commands without end, each of which changes an archive that a collector writes."""
    number = 0
    while True:
        number += 1
        part = Catalog(directory / "edges").create(f"edge{number}", resolution=1, retention=0)
        samples = [
            (f"edge.{each % 500}", float(side), T + each) for each in range(scaled(4_000, 20_000)) for side in (1, -1)
        ]
        part.record(samples)
        yield ("merge", str(part.path), "--into", "fine")
        yield ("archives", "create", f"coarse{number}", "--from", "fine", "--resolution", "60", "--disabled")
        yield ("names", "rename", "fine", "edge.*", "moved.*")
        yield ("names", "delete", "fine", "moved.*")


def test_a_collector_loses_nothing_meanwhile(tmp_path: Path) -> None:
    """Every line that a collector accepts is stored once, however often tools run beside it and are killed."""
    random = chance("history collector")
    catalog = Catalog(tmp_path)
    catalog.create("fine", resolution=1, retention=0)
    commands = tools(tmp_path)
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=0.05) as running:
        with Sender(running.udp_port, random).at_work():
            wait_for(lambda: books(tmp_path), "the first flush")
            for number in range(4 * scaled(2, 50)):
                run(tmp_path, *next(commands), until_s=random.uniform(0.3, 1.5) if number % 2 else 60.0)
        assert 0 == running.end(SIGTERM)
        accepted = int(running.said(r"accepted (\d+) lines, rejected 0")[1])
    check_balance(tmp_path, "fine")
    counts = catalog["fine"].aggregate("count", by="name", q=["in.*", "out.*"])
    assert accepted == sum(counts.values())
    for archive in catalog.archives():
        assert () == archive.check().damage
        check_balance(tmp_path, archive.slug)
