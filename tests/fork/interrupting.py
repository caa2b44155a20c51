"""A program that is interrupted in the middle of recording: `python -m tests.fork.interrupting DIRECTORY SEED HOW N`.

N calls are interrupted: by a signal after a random time, whose handler raises, or by an exception at a random step of
tally's code and of the context managers that it uses, as a signal handler could raise it there. It prints as JSON which
calls returned, and which files of the directory are open in the end.
"""

import contextlib
import gc
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import tally
from tally.engine import Catalog

SECOND = 1_700_000_000
WATCHED = (contextlib.__file__, str(Path(tally.__file__).parent))


class Stop(Exception):
    """Raised by the handler."""


def interrupt(*_: object) -> None:
    """Be the handler."""
    raise Stop


def recorded(name: str, after_s: float) -> bool:
    """Return whether a record returned before the signal came."""
    is_recorded = False
    try:
        signal.setitimer(signal.ITIMER_REAL, after_s)
        catalog.record([(name, 1, SECOND)])
        is_recorded = True
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Stop:
        pass
    return is_recorded


def traced(name: str, at: int) -> int:
    """Record, and raise at a step; return the steps that came, fewer than `at` where it returned before."""
    steps = 0

    def trace(frame: FrameType, _event: str, _argument: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename.startswith(WATCHED):
            steps += 1
            if steps == at:
                raise Stop
        return trace

    sys.settrace(trace)
    try:
        catalog.record([(name, 1, SECOND)])
    except Stop:
        pass
    finally:
        sys.settrace(None)
    return steps


def open_files() -> list[str]:
    """Return the files of the directory that this process has open."""
    paths = [os.path.realpath(number) for number in Path("/proc/self/fd").iterdir()]
    return [path for path in paths if path.startswith(str(directory))]


if __name__ == "__main__":
    directory, chance, how, calls = Path(sys.argv[1]), random.Random(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    signal.signal(signal.SIGALRM, interrupt)
    catalog = Catalog(directory)
    catalog.create("daily", resolution=10, retention=0)
    catalog.create("weekly", resolution=300, retention=0)
    gc.disable()  # What is left behind shows.
    catalog.record([("warm", 1, SECOND)])
    start = time.perf_counter()
    catalog.record([("warm", 1, SECOND)])
    most_s = 1.2 * (time.perf_counter() - start)
    most = traced("warm", 0)
    returned = []
    for name in (f"n.{number}" for number in range(calls)):
        if how == "signal":
            is_recorded = recorded(name, chance.uniform(1e-6, most_s))
        else:
            at = chance.randint(1, most)
            is_recorded = traced(name, at) < at
        returned += [name] if is_recorded else []
    catalog.close()
    print(json.dumps({"returned": returned, "open": open_files()}))  # noqa: T201
