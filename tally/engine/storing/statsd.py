"""State of StatsD gauges and sets between samples.

A gauge's value is never evicted, because a later relative change (`+3`) would then be wrong. Once gauges of weight
GAUGES_MAX are stored (see `capacity`), a new gauge can still be set but not changed. Sets keep their distinct members
until the next flush.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from tally.engine.storing.capacity import weigh, weigh_all
from tally.lines.plain import VALUE_MAX, Reason
from tally.lines.statsd import Gauge

GAUGES_MAX = 100_000


class Gauges:
    """The values of gauges by name, of weight `most` in total; an unset gauge is 0. Not thread-safe."""

    def __init__(self, *, most: int = GAUGES_MAX) -> None:
        self.size = 0
        self._values: dict[str, float] = {}
        self._most = most

    def values(self, name: str, steps: Iterable[Gauge]) -> list[float] | Reason:
        """Return the gauge's value after each of `steps` without storing it, or the reason for rejecting them."""
        is_known = name in self._values or self._has_capacity(name)
        value = self._values.get(name, 0.0) if is_known else None
        found: list[float] = []
        for step in steps:
            if not step.is_change:
                value = step.value
            elif value is None:
                return Reason.CARDINALITY
            else:
                value += step.value
            if abs(value) > VALUE_MAX:
                return Reason.VALUE
            found.append(value)
        return found

    def store(self, name: str, values: Sequence[float]) -> None:
        """Set a gauge to the last of `values`, unless it is new and does not fit."""
        if values and name in self._values:
            self._values[name] = values[-1]
        elif values and self._has_capacity(name):
            self._values[name] = values[-1]
            self.size += weigh(name)

    def _has_capacity(self, name: str) -> bool:
        return self.size + weigh(name) <= self._most


class Sets:
    """The distinct members of sets by name, with the second of each set's last sample."""

    def __init__(self) -> None:
        self._sets: dict[str, tuple[int, set[str]]] = {}

    def count_new(self, name: str, members: AbstractSet[str]) -> int:
        """Return the weight of those of `members` that are not in the set yet."""
        present = self._sets.get(name)
        return weigh_all(members if present is None else members - present[1])

    def add(self, name: str, members: AbstractSet[str], second: int) -> None:
        """Add members to a set. A MemoryError leaves it unchanged."""
        if not members:
            return
        present = self._sets.get(name, (second, set[str]()))[1]
        new = members - present
        try:
            present |= new
            self._sets[name] = (second, present)
        except MemoryError:
            present -= new
            raise

    def counts(self) -> Iterator[tuple[str, int, int]]:
        """Yield the name, second and number of members of each set."""
        return ((name, second, len(members)) for name, (second, members) in self._sets.items())
