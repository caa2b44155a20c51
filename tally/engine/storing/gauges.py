"""What StatsD gauges were set to, so that they can be changed by an amount.

Nothing is ever forgotten to make room: a change to a gauge whose value might have been forgotten would come out wrong.
So when GAUGES_MAX are remembered, a new gauge can still be set, but not be changed.
"""

from collections.abc import Iterable, Sequence

from tally.engine.storing.capacity import place
from tally.lines.plain import VALUE_MAX, Reason
from tally.lines.statsd import Gauge

GAUGES_MAX = 100_000


class Gauges:
    """The values of gauges by name; one that was never set is 0. All together count as `most` cells at most.

    Not safe to use from several threads at once.
    """

    def __init__(self, *, most: int = GAUGES_MAX) -> None:
        # As how many cells they count.
        self.size = 0
        self._values: dict[str, float] = {}
        self._most = most

    def values(self, name: str, steps: Iterable[Gauge]) -> list[float] | Reason:
        """Return what a gauge would be after each of `steps`, or the reason why it cannot be so."""
        is_known = name in self._values or self._has_room(name)
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

    def remember(self, name: str, values: Sequence[float]) -> None:
        """Let a gauge be the last of `values`, if there is room for another one."""
        if values and name in self._values:
            self._values[name] = values[-1]
        elif values and self._has_room(name):
            self._values[name] = values[-1]
            self.size += place(name)

    def _has_room(self, name: str) -> bool:
        return self.size + place(name) <= self._most
