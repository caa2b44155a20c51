"""What streams of totals gained since their last readings, which `counters` keeps.

A total has parts: that of a counter is one number, under the empty name, and a distribution also has a sum and buckets.
A stream that is not known yet, and says when it began, gained all that it counted, unless it began more than
FIRST_MAX_MS ago. Then it gained nothing, because its past does not belong to the time of its first reading.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from tally.engine.storing.counters import Reading, Turn

FIRST_MAX_MS = 3_600_000


class Total(NamedTuple):
    """What a stream has counted until `time` since `start` or 0, both in unix milliseconds, in parts."""

    stream: bytes
    time: int
    start: int
    parts: Mapping[str, float]


class Gains:
    """Finds what totals gained. `readings` has what is to be stored in the same turn, after the gains.

    No turn is needed if there are no totals.
    """

    def __init__(self, turn: Turn | None, totals: Iterable[Total]) -> None:
        self.readings: dict[str, Reading] = {}
        keys = {_key(total.stream, part) for total in totals for part in total.parts}
        self._known = turn.read(keys) if turn else {}

    def of(self, total: Total) -> Mapping[str, float] | None:
        """Return what each part of a total gained, or None if a reading as new was counted before."""
        last = self._known.get(_key(total.stream, ""))
        if last is not None and total.time <= last.time:
            return None
        gained = self._gained(total, last)
        for part, value in total.parts.items():
            reading = Reading(total.time, value, total.start)
            self._known[_key(total.stream, part)] = self.readings[_key(total.stream, part)] = reading
        return gained

    def _gained(self, total: Total, last: Reading | None) -> Mapping[str, float]:
        if last is None:
            is_new = 0 < total.start and total.time - total.start <= FIRST_MAX_MS
            return total.parts if is_new else dict.fromkeys(total.parts, 0.0)
        if total.start != last.start or total.parts[""] < last.value:
            return total.parts
        before = {part: self._known.get(_key(total.stream, part)) for part in total.parts}
        return {part: value - (0.0 if (each := before[part]) is None else each.value) for part, value in
                total.parts.items()}  # fmt: skip


def _key(stream: bytes, part: str) -> str:
    return blake2b(b"%b\0%b" % (stream, part.encode()), digest_size=16).hexdigest()
