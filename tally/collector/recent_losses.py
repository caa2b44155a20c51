"""What was lost lately: the losses of the last WINDOW_S seconds, from books whose counters only grow.

A loss is told by where it happened and why: `("lines", "value")`, `("datagrams", "kernel_drops")`, `("samples",
"daily", "expired")`.
"""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

WINDOW_S = 300
# The books are kept so far apart at least, which bounds how many there are; the window may be longer by as much.
STEP_S = 3.0
LOSSES_OF_SAMPLES = ("expired", "cardinality", "dropped")

Loss = tuple[str, ...]


class Recent:
    """Keeps the losses of earlier moments, to tell what came since; `now` is of a clock that never steps."""

    def __init__(self, now: float) -> None:
        self._kept: deque[tuple[float, Counter[Loss]]] = deque([(now, Counter())])
        self._latest: Counter[Loss] = Counter()

    def note(self, now: float, books: Mapping[str, Any]) -> None:
        """Learn what a collector's status says at `now`."""
        self._latest = losses(books)
        if now >= self._kept[-1][0] + STEP_S:
            self._kept.append((now, self._latest))
        while len(self._kept) > 1 and self._kept[1][0] <= now - WINDOW_S:
            self._kept.popleft()

    def told(self) -> dict[str, Any]:
        """Return what was lost within the window, nested as a loss is told; what was not is left out."""
        told: dict[str, Any] = {"seconds": WINDOW_S, "lines": {}, "datagrams": {}, "connections": {}, "samples": {}}
        for (*places, reason), count in sorted((self._latest - self._kept[0][1]).items()):
            inner = told
            for place in places:
                inner = inner.setdefault(place, {})
            inner[reason] = count
        return told


def losses(books: Mapping[str, Any]) -> Counter[Loss]:
    """Return what a collector has lost since its start."""
    found: Counter[Loss] = Counter({("lines", reason): count for reason, count in books["rejected"].items()})
    found["datagrams", "refused"] = books["refused"]
    found["datagrams", "kernel_drops"] = books["kernel_drops"] or 0
    found["connections", "refused"] = books["connections_refused"]
    for slug, account in books["archives"].items():
        found.update({("samples", slug, outcome): account[outcome] for outcome in LOSSES_OF_SAMPLES})
    return found
