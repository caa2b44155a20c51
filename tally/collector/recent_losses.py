"""Computes the losses of the last WINDOW_S seconds from counters that only grow.

A loss is a tuple of place and reason: `("lines", "value")`, `("datagrams", "kernel_drops")`,
`("samples", "daily", "expired")`.
"""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

WINDOW_S = 300
# The least time between two snapshots, which limits their number. The window may be longer by as much.
STEP_S = 3.0
LOSSES_OF_SAMPLES = ("expired", "cardinality", "dropped")

Loss = tuple[str, ...]


class RecentLosses:
    """Keeps snapshots of the losses and returns the difference; `now` is monotonic time."""

    def __init__(self, now: float) -> None:
        self._snapshots: deque[tuple[float, Counter[Loss]]] = deque([(now, Counter())])
        self._latest: Counter[Loss] = Counter()

    def update(self, now: float, status: Mapping[str, Any]) -> None:
        """Take the counters of a collector's status at `now`."""
        self._latest = count_losses(status)
        if now >= self._snapshots[-1][0] + STEP_S:
            self._snapshots.append((now, self._latest))
        while len(self._snapshots) > 1 and self._snapshots[1][0] <= now - WINDOW_S:
            self._snapshots.popleft()

    def to_dict(self) -> dict[str, Any]:
        """Return the losses within the window, nested by place and reason; only those that occurred."""
        found: dict[str, Any] = {"seconds": WINDOW_S, "lines": {}, "datagrams": {}, "connections": {}, "samples": {}}
        for (*places, reason), count in sorted((self._latest - self._snapshots[0][1]).items()):
            inner = found
            for place in places:
                inner = inner.setdefault(place, {})
            inner[reason] = count
        return found


def count_losses(status: Mapping[str, Any]) -> Counter[Loss]:
    """Return all losses since the start of a collector, from its status."""
    found: Counter[Loss] = Counter({("lines", reason): count for reason, count in status["rejected"].items()})
    found["datagrams", "refused"] = status["refused"]
    found["datagrams", "kernel_drops"] = status["kernel_drops"] or 0
    found["connections", "refused"] = status["connections_refused"]
    for slug, account in status["archives"].items():
        found.update({("samples", slug, outcome): account[outcome] for outcome in LOSSES_OF_SAMPLES})
    return found
