"""What forks wait for, and what a child begins with; each in a program of its own."""

import os
import subprocess
import sys

import pytest

BEGIN = """
import os, sys, threading, time
from tally import forks

def in_child(work, fork=os.fork):
    # Fork, and fail unless `work` returns in the child.
    child = fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0

def aside(work):
    # Run `work` in a thread, and return it once that has called the event that it is given.
    begun, thread = threading.Event(), None
    thread = threading.Thread(target=work, args=(begun,), daemon=True)
    thread.start()
    assert begun.wait(10)
    return thread
"""

WAITS = """
ended = []
def work(begun):
    with forks.Postponed():
        begun.set()
        time.sleep(0.2)
        ended.append(True)
aside(work)
in_child(lambda: ended.pop())
assert ended
"""

BOUND = """
forks.WAIT_S = 0.2
go_on = threading.Event()
class Noted(forks.Work):
    def cut(self):
        cut.append(self)
class Spoiling(Noted):
    spoils = True
def work(begun):
    for kind in kinds:
        works.append(kind(wait_s=0.2))
        forks.begin(works[-1])
    begun.set()
    go_on.wait(10)
def told():
    assert set(cut) == set(works) and forks.is_spoilt() == (Spoiling in kinds), (cut, forks.is_spoilt())
    in_child(lambda: [].pop() if forks.is_spoilt() != (Spoiling in kinds) else None)
for kinds in ([Noted], [Noted, Spoiling]):
    works, cut = [], []
    go_on.clear()
    thread = aside(work)
    start = time.monotonic()
    in_child(told)
    assert 0.2 <= time.monotonic() - start < 5
    assert not cut and not forks.is_spoilt()
    go_on.set()
    thread.join(10)
    for each in works:
        forks.end(each)
"""

FORGOTTEN = """
forks.begin(forks.Work())
def work(begun):
    forks.begin(forks.Work())
    begun.set()
aside(work).join(10)
start = time.monotonic()
in_child(lambda: None)
assert time.monotonic() - start < forks.WAIT_S / 2
"""

NONE_BEGINS = """
order = []
def work(begun):
    with forks.Postponed():
        begun.set()
        while not forks._process._forking:
            time.sleep(0.001)
        with forks.Postponed():  # The fork waits for this thread: it must not wait for the fork.
            order.append("nested")
def later():
    while "nested" not in order:
        time.sleep(0.001)
    with forks.Postponed():
        order.append("later")
os.register_at_fork(after_in_parent=lambda: order.append("forked"))
thread = threading.Thread(target=later)
thread.start()
aside(work)
in_child(lambda: None)
thread.join(10)
assert order in (["nested", "forked", "later"], ["nested", "later", "forked"]), order
"""

INSIDE = """
import signal
def handler(*_):
    in_child(lambda: None)
    handled.append(True)
handled = []
signal.signal(signal.SIGUSR1, handler)
lock = forks.lock()
start = time.monotonic()
with forks.Postponed(), lock:
    signal.raise_signal(signal.SIGUSR1)
    assert handled
assert time.monotonic() - start < forks.WAIT_S / 2
def go_on():
    with lock:
        pass
with forks.Postponed(), lock:
    in_child(go_on)
"""

LOCKS = """
lock, other = forks.lock(), forks.lock()
go_on = threading.Event()
def work(begun):
    with lock:
        begun.set()
        go_on.wait(10)
thread = aside(work)
def take():
    assert lock.acquire(timeout=5) and other.acquire(timeout=5)
in_child(take)
assert not lock.acquire(blocking=False)
go_on.set()
thread.join(10)
take()
"""

HEIRS = """
class Heir:
    def __init__(self):
        forks.join(self)
    def after_fork(self):
        told.append(self)
told = []
heir, forgotten = Heir(), Heir()
del forgotten
def check():
    assert told == [heir]
    in_child(lambda: (told == [heir, heir]) or [].pop())
in_child(check)
assert not told
"""

IN_C = """
import ctypes
fork = ctypes.PyDLL(None).fork  # As uWSGI does: Python is not told.
class Heir:
    def after_fork(self):
        told.append(self)
class Spoiling(forks.Work):
    spoils = True
told, heir = [], Heir()
forks.join(heir)
lock = forks.lock()
def check():
    forks.look()
    assert told == [heir] and not forks.is_spoilt()
    with forks.Postponed():
        pass
in_child(check, fork)
work = Spoiling()
forks.begin(work)
in_child(lambda: forks.is_spoilt() or [].pop(), fork)
assert not told and not forks.is_spoilt()
"""


@pytest.mark.parametrize(
    "script",
    [WAITS, BOUND, FORGOTTEN, NONE_BEGINS, INSIDE, LOCKS, HEIRS, IN_C],
    ids=["waits", "bound", "forgotten", "none begins", "inside", "locks", "heirs", "in C"],
)
def test_forks(script: str) -> None:
    """A fork waits for work within a bound; a child has free locks, tells its heirs, and knows what was cut."""
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", BEGIN + script]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
