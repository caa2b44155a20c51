"""Makes threads, locks and SQLite safe across forks. All handlers of forks are registered here.

A child has the memory of its parent, but none of its other threads. Locks that those held are never released in the
child, what they were doing never finishes, and SQLite's file locks stay with the parent. So:

- Work that a fork must not interrupt is registered by `begin`, or by `with Postponed()`. A fork by another thread waits
  for it, at most `Work.wait_s`, and no other work begins until the fork is done. If the wait was too short,
  `Work.handle_interruption` is called in the child.
- Locks come from `lock`. In a child, those that other threads held are released.
- An object that needs its own resource in each process, such as a socket, calls `register`. Its `after_fork` is then
  called in each child.

A fork may happen in a signal handler, at any point of the same thread. So this module takes no locks: shared sets are
changed in single steps, and waiting is done by polling every POLL_S.

C programs such as uWSGI may fork without notifying Python. The functions here detect it by the process id.
"""

import os
from _thread import get_ident
from time import monotonic, sleep
from weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import RLock
    from typing import Protocol, TypeVar

    Object = TypeVar("Object")

    class ForkAware(Protocol):
        """An object that `register` takes."""

        def after_fork(self) -> None:
            """Replace what a child must not share with its parent."""


# A commit takes milliseconds, unless it waits for another process or a slow disk.
WAIT_S = 5.0
POLL_S = 0.001


class Work:
    """Work that a fork by another thread waits for, at most `wait_s` seconds. It ends with `end` or its deletion.

    If the work is critical and a fork did not wait for its end, `has_interrupted_work` returns True in the child and in
    its descendants.
    """

    __slots__ = ("__weakref__", "thread", "wait_s")
    is_critical = False

    def __init__(self, *, wait_s: float = WAIT_S) -> None:
        self.thread = get_ident()
        self.wait_s = wait_s

    def handle_interruption(self) -> None:
        """Handle a fork that did not wait for the end; called in the child."""


class Postponed(Work):
    """A block of code that is not interrupted by a fork of another thread."""

    __slots__ = ()

    def __enter__(self) -> None:
        begin(self)

    def __exit__(self, *_: object) -> None:
        end(self)


class _Process:
    """The state of this process."""

    def __init__(self) -> None:
        self.has_interrupted_work = False
        self.work: set[ref[Work]] = set()
        self.owners: set[ref[ForkAware]] = set()
        self.locks: set[ref[RLock]] = set()
        self._forking: set[int] = set()
        self._id = 0

    def detect_fork(self) -> None:
        """Register for forks at first use, and detect one that Python was not notified of."""
        if os.getpid() == self._id:
            return
        is_first, self._id = not self._id, os.getpid()
        if is_first:
            # Two threads may come here at once: to be told twice does no harm.
            os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._after_in_child)
        else:
            self._after_in_child()

    def may_begin(self, work: Work) -> bool:
        """Return whether no other thread is forking, or the one that is waits for this thread anyway."""
        if not self._forking - {work.thread}:
            return True
        return any(
            each.thread == work.thread and each.wait_s >= WAIT_S for each in _alive(self.work) if each is not work
        )

    def _before(self) -> None:
        own = get_ident()
        self._forking.add(own)
        start = monotonic()
        while any(work.thread != own and monotonic() - start < work.wait_s for work in _alive(self.work)):
            sleep(POLL_S)

    def _after(self) -> None:
        self._forking.discard(get_ident())

    def _after_in_child(self) -> None:
        self._id = os.getpid()
        self._forking.clear()
        interrupted = _alive(self.work)
        self.work.clear()
        for work in interrupted:
            self.has_interrupted_work |= work.is_critical
            work.handle_interruption()
        for lock in _alive(self.locks):
            _free(lock)
        for owner in _alive(self.owners):
            owner.after_fork()


def _alive(known: "set[ref[Object]]") -> "list[Object]":
    """Return the live objects of a set that other threads may change."""
    return [found for each in known.copy() if (found := each()) is not None]


def _free(lock: "RLock") -> None:
    """Free a lock unless this thread, which has forked, holds it."""
    if lock.acquire(blocking=False):
        lock.release()
    else:
        lock._at_fork_reinit()  # type: ignore[attr-defined]


_process = _Process()
detect_fork = _process.detect_fork


def begin(work: Work) -> None:
    """Register work, once no other thread is forking."""
    detect_fork()
    known = ref(work, _process.work.discard)
    # In this order, a fork that begins in between sees the work, or is seen here.
    _process.work.add(known)
    while not _process.may_begin(work):
        _process.work.discard(known)
        sleep(POLL_S)
        _process.work.add(known)


def end(work: Work) -> None:
    """End work, so that forks no longer wait for it."""
    _process.work.discard(ref(work))


def has_interrupted_work() -> bool:
    """Return whether a fork of this process or of an ancestor interrupted critical work."""
    detect_fork()
    return _process.has_interrupted_work


def register(owner: "ForkAware") -> None:
    """Call `owner.after_fork` in each child while the object lives."""
    detect_fork()
    _process.owners.add(ref(owner, _process.owners.discard))


def lock() -> "RLock":
    """Return a reentrant lock that is free in a child even if another thread held it."""
    from threading import RLock

    detect_fork()
    made = RLock()
    _process.locks.add(ref(made, _process.locks.discard))
    return made
