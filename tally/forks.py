"""Forks: the one module that knows about them.

A child has the memory of its parent and none of its other threads. A lock that another thread held is never released
there, work that it was doing stays half done, and what SQLite believes to hold is held by the parent alone. So:

- Work that must not be cut in two is registered by `begin`, or by `with Postponed()`. A fork by another thread waits
  for it, at most `Work.wait_s`, and no other work begins until that fork is done. What was not waited for is told in
  the child, by `Work.cut`.
- Locks come from `lock`, and are free in a child.
- An object that needs something of its own in each process, such as a socket, calls `join`, and has `after_fork` called
  in each child.

A fork may come from a signal handler, in the middle of anything that the same thread does. So nothing here takes a
lock: what is shared changes in single steps of sets, and who has to wait looks again every POLL_S.

Programs in C, such as uWSGI, may fork without a word to Python. The process id shows it, once something begins.
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

    class Heir(Protocol):
        """What may `join`."""

        def after_fork(self) -> None:
            """Renew what a child must not share with its parent."""


# A commit takes milliseconds; one that waits for another process, or for a slow disk, takes as long as that.
WAIT_S = 5.0
POLL_S = 0.001


class Work:
    """Something that a fork by another thread waits for, `wait_s` seconds at most. It ends with `end`, or when it dies.

    Where `spoils` is set and a fork did not wait for the end, `is_spoilt` is true in the child, and in all of its own.
    """

    __slots__ = ("__weakref__", "thread", "wait_s")
    spoils = False

    def __init__(self, *, wait_s: float = WAIT_S) -> None:
        self.thread = get_ident()
        self.wait_s = wait_s

    def cut(self) -> None:
        """Take note, in a child, of a fork that did not wait for the end of this."""


class Postponed(Work):
    """A block of code that no other thread's fork cuts in two."""

    __slots__ = ()

    def __enter__(self) -> None:
        begin(self)

    def __exit__(self, *_: object) -> None:
        end(self)


class _Process:
    """What is known of this process."""

    def __init__(self) -> None:
        self.is_spoilt = False
        self.work: set[ref[Work]] = set()
        self.heirs: set[ref[Heir]] = set()
        self.locks: set[ref[RLock]] = set()
        self._forking: set[int] = set()
        self._id = 0

    def look(self) -> None:
        """Have Python tell of forks from now on, and notice one that it did not tell of."""
        if os.getpid() == self._id:
            return
        is_first, self._id = not self._id, os.getpid()
        if is_first:
            # Two threads may come here at once: to be told twice does no harm.
            os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._after_in_child)
        else:
            self._after_in_child()

    def may_begin(self, work: Work) -> bool:
        """Return whether no other thread forks now, or the one that does waits for this thread anyway."""
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
        cut = _alive(self.work)
        self.work.clear()
        for work in cut:
            self.is_spoilt |= work.spoils
            work.cut()
        for lock in _alive(self.locks):
            _free(lock)
        for heir in _alive(self.heirs):
            heir.after_fork()


def _alive(known: "set[ref[Object]]") -> "list[Object]":
    """Return what is known, in a step that no other thread's change of the set can disturb."""
    return [found for each in known.copy() if (found := each()) is not None]


def _free(lock: "RLock") -> None:
    """Free a lock, unless it is this thread's: it is the one that has forked, and goes on."""
    if lock.acquire(blocking=False):
        lock.release()
    else:
        lock._at_fork_reinit()  # type: ignore[attr-defined]


_process = _Process()
look = _process.look


def begin(work: Work) -> None:
    """Register work, once no other thread forks any more."""
    look()
    known = ref(work, _process.work.discard)
    # In this order: a fork that begins in between sees the work, or is seen here.
    _process.work.add(known)
    while not _process.may_begin(work):
        _process.work.discard(known)
        sleep(POLL_S)
        _process.work.add(known)


def end(work: Work) -> None:
    """Let forks not wait for this work any more."""
    _process.work.discard(ref(work))


def is_spoilt() -> bool:
    """Return whether work that spoils was under way when this process, or one that it comes from, was forked."""
    look()
    return _process.is_spoilt


def join(heir: "Heir") -> None:
    """Have `heir.after_fork` called in each child, as long as it lives."""
    look()
    _process.heirs.add(ref(heir, _process.heirs.discard))


def lock() -> "RLock":
    """Return a lock that is free in a child, whichever thread of its parent held it; one thread may take it twice."""
    from threading import RLock

    look()
    made = RLock()
    _process.locks.add(ref(made, _process.locks.discard))
    return made
