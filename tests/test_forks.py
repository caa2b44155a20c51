"""Forks wait for work, and a child starts in a usable state. Each script runs in its own process."""

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

def start_thread(work):
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
start_thread(work)
in_child(lambda: ended.pop())
assert ended
"""

BOUND = """
forks.WAIT_S = 0.2
go_on = threading.Event()
class Noted(forks.Work):
    def handle_interruption(self):
        interrupted.append(self)
class Critical(Noted):
    is_critical = True
def work(begun):
    for kind in kinds:
        works.append(kind(wait_s=0.2))
        forks.begin(works[-1])
    begun.set()
    go_on.wait(10)
def check():
    assert set(interrupted) == set(works), interrupted
    assert forks.has_interrupted_work() == (Critical in kinds)
    in_child(lambda: [].pop() if forks.has_interrupted_work() != (Critical in kinds) else None)
for kinds in ([Noted], [Noted, Critical]):
    works, interrupted = [], []
    go_on.clear()
    thread = start_thread(work)
    start = time.monotonic()
    in_child(check)
    assert 0.2 <= time.monotonic() - start < 5
    assert not interrupted and not forks.has_interrupted_work()
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
start_thread(work).join(10)
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
start_thread(work)
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
thread = start_thread(work)
def take():
    assert lock.acquire(timeout=5) and other.acquire(timeout=5)
in_child(take)
assert not lock.acquire(blocking=False)
go_on.set()
thread.join(10)
take()
"""

OWNERS = """
class Owner:
    def __init__(self):
        forks.register(self)
    def after_fork(self):
        called.append(self)
called = []
owner, forgotten = Owner(), Owner()
del forgotten
def check():
    assert called == [owner]
    in_child(lambda: (called == [owner, owner]) or [].pop())
in_child(check)
assert not called
"""

IN_C = """
import ctypes
fork = ctypes.PyDLL(None).fork  # As uWSGI does: Python is not notified.
class Owner:
    def after_fork(self):
        called.append(self)
class Critical(forks.Work):
    is_critical = True
called, owner = [], Owner()
forks.register(owner)
lock = forks.lock()
def check():
    forks.detect_fork()
    assert called == [owner] and not forks.has_interrupted_work()
    with forks.Postponed():
        pass
in_child(check, fork)
work = Critical()
forks.begin(work)
in_child(lambda: forks.has_interrupted_work() or [].pop(), fork)
assert not called and not forks.has_interrupted_work()
"""


@pytest.mark.parametrize(
    "script",
    [WAITS, BOUND, FORGOTTEN, NONE_BEGINS, INSIDE, LOCKS, OWNERS, IN_C],
    ids=["waits", "bound", "forgotten", "none begins", "inside", "locks", "owners", "in C"],
)
def test_forks(script: str) -> None:
    """A fork waits for work within a bound; a child frees locks, calls `after_fork`, and detects interrupted work."""
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", BEGIN + script]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
