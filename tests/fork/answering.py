"""A program that forks while a long answer is being read by another thread: `python -m tests.fork.answering DIRECTORY`.

Each child tries everything that its parent has, and ends as an interpreter does. It prints as JSON what the children
were told, their exit statuses, and whether the parent's answer came whole.
"""

import json
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

from tally.engine import Catalog
from tally.engine.asking.question import Question
from tally.errors import ArchiveUnavailable
from tests.fork.children import DESCRIPTORS, Children

SECOND = 1_700_000_000
ROWS = 60_000
FORKS = 4


def tried(work: Callable[[], object]) -> str:
    """Return the error that something raises."""
    try:
        return f"nothing: {work()!r:.100}"
    except ArchiveUnavailable as error:
        return str(error)


def child(number: int) -> None:
    """Try everything, write what came of it, and end like any program."""
    if number % 2:
        os.closerange(3, DESCRIPTORS)
    archive, other = catalog["daily"], catalog["weekly"]
    tries = {
        "next": lambda: next(answer),
        "rows": lambda: [*answer.rows()],
        "record": lambda: archive.record([("child", 1, SECOND)]),
        "another archive": lambda: other.record([("child", 1, SECOND)]),
        "catalog": lambda: catalog.record([("child", 1, SECOND)]),
        "ask": lambda: archive.values(),
        "definition": lambda: archive.definition(),
        "check": lambda: _unavailable(archive.check().unavailable),
        "backup": lambda: archive.backup(directory / f"copy-{number}.db"),
        "create": lambda: catalog.create("new"),
    }
    found = {name: tried(work) for name, work in tries.items()}
    answer.close()
    (directory / f"child-{number}.json").write_text(json.dumps(found))


def _unavailable(text: str) -> None:
    if text:
        raise ArchiveUnavailable(text)


def run() -> None:
    """Fork FORKS times while the answer is open and its reader waits, then read it to its end."""
    children = Children()
    for number in range(FORKS):
        process = os.fork()
        if process == 0:
            child(number)
            sys.exit(0)  # With all that the interpreter does at its end.
        children.watch(process)
        catalog["daily"].record([("parent", 1, SECOND + 10 * number)])
    statuses = children.statuses()
    told = [json.loads((directory / f"child-{number}.json").read_text()) for number in range(FORKS)]
    go_on.set()
    reader.join(30)
    print(json.dumps({"told": told, "statuses": statuses, "rows": len(rows)}))  # noqa: T201


def read() -> None:
    """Take the first chunk, wait, and take the others."""
    chunks = [next(answer)]
    is_read.set()
    go_on.wait(60)
    rows.extend(b"".join([*chunks, *answer]).splitlines()[1:])


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # Of forking beside threads.
    directory = Path(sys.argv[1])
    catalog = Catalog(directory)
    catalog.create("weekly", retention=0)
    catalog.create("daily", resolution=10, retention=0).record([(f"n{each}", 1, SECOND) for each in range(ROWS)])
    question = Question.parse("values", [("format", "csv"), ("q", "n*")], now=SECOND)
    is_read, go_on = threading.Event(), threading.Event()
    rows: list[bytes] = []
    answer = catalog["daily"].ask(question)
    reader = threading.Thread(target=read)
    reader.start()
    assert is_read.wait(30)
    run()
