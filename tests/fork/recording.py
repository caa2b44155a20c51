"""A program that forks while its threads record and ask: `python -m tests.fork.recording DIRECTORY WAY FORKS`.

Three threads record and two ask all the while. Every second child closes all descriptors and opens files under their
numbers before it records. It prints as JSON how often each name was recorded, and the exit statuses of the children.
"""

import json
import logging
import multiprocessing
import os
import sys
import threading
import warnings
from collections import Counter
from pathlib import Path

import tally
from tally import forks
from tally.engine import Catalog
from tests.fork.children import AT_ONCE, HUNG, LIMIT_S, REFUSED, Children, close_all
from tests.fork.daemon import daemonize, ended

SECOND = 1_700_000_000
WRITERS, READERS = 3, 2

recorded: Counter[str] = Counter()
stop = threading.Event()


class _Refusals(logging.Handler):
    """What the client has lost and logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def write(catalog: Catalog, thread: int) -> None:
    """Record until told to stop; by the client, and in one thread by the engine."""
    name = f"thread.{thread}"
    while not stop.is_set():
        if thread:
            tally.tally(name, 1, SECOND)
        else:
            catalog.record([(name, 1, SECOND)])
        recorded[name] += 1


def read(catalog: Catalog) -> None:
    """Ask until told to stop."""
    while not stop.is_set():
        for archive in catalog.archives():
            archive.values("count", q="thread.*")


def child(directory: Path, catalog: Catalog, name: str, *, closes: bool) -> None:
    """Record once by the client and once by the engine, and ask for it, unless the client is told to start anew."""
    if closes:
        close_all(str(directory))
    refusals = _Refusals()
    logging.getLogger("tally.client").addHandler(refusals)
    tally.tally(name, 1, SECOND)
    if forks.has_interrupted_work():
        assert refusals.texts
        sys.exit(REFUSED)
    catalog.record([(name, 1, SECOND)])
    assert not refusals.texts, refusals.texts
    assert catalog["daily"].aggregate("count", by="name", q=name) == {name: 2}


def fork_all(directory: Path, catalog: Catalog, way: str, count: int) -> list[int]:
    """Fork so often, and return the exit statuses."""
    children, processes, statuses = Children(), [], []
    for number in range(count):
        name, closes = f"child.{number}", bool(number % 2)
        if way == "fork":
            children.fork(lambda: child(directory, catalog, name, closes=closes))  # noqa: B023
        elif way == "multiprocessing":
            context = multiprocessing.get_context("fork")
            processes.append(context.Process(target=child, args=(directory, catalog, name), kwargs={"closes": False}))
            processes[-1].start()
            for earlier in processes[-AT_ONCE - 1 : -AT_ONCE]:
                earlier.join(LIMIT_S)
        else:
            path = directory / name
            children.fork(lambda: daemonize(path, lambda: child(directory, catalog, name, closes=True)))  # noqa: B023
            statuses.append(ended(path, LIMIT_S))
        recorded[name] += 2
    for process in processes:
        process.join(LIMIT_S)
        statuses.append(HUNG if process.exitcode is None else process.exitcode)
    statuses += children.statuses()
    for number, status in enumerate(statuses[:count]):
        if status == REFUSED:
            del recorded[f"child.{number}"]
    return statuses


def main() -> None:
    """Run it."""
    warnings.simplefilter("ignore", DeprecationWarning)  # Of forking beside threads.
    directory, way, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    os.environ.update(TALLY_DATA_DIR=str(directory), TALLY_HOST="")
    catalog = Catalog(directory)
    catalog.create("daily", resolution=10, retention=0)
    catalog.create("weekly", resolution=300, retention=0)
    tally.tally("first", 1, SECOND)
    recorded["first"] += 1
    threads = [threading.Thread(target=write, args=(catalog, number)) for number in range(WRITERS)]
    threads += [threading.Thread(target=read, args=(catalog,)) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    statuses = fork_all(directory, catalog, way, count)
    stop.set()
    for thread in threads:
        thread.join(LIMIT_S)
    print(json.dumps({"recorded": recorded, "statuses": statuses}))  # noqa: T201


if __name__ == "__main__":
    main()
