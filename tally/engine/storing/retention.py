"""The time that retention goes by: the clock's, unless it has just stepped.

A clock that stands a day ahead for a minute would have a day of buckets deleted, and one that shows 2100 all of them.
So a step is not believed at once: until it has lasted for BELIEVE_S, buckets are kept by the earlier of what the clock
shows and what it would show without the step. Samples belong to the second that the clock shows, whatever that is.
"""

STEP_S = 600.0
BELIEVE_S = 86_400.0


class Retention:
    """Judges a clock by a second one that never steps, such as `time.monotonic`. Safe to use from several threads."""

    def __init__(self) -> None:
        # What the clock is ahead of the steady one, and since when that is doubted: one value, so that no thread sees
        # the one without the other.
        self._state: tuple[float | None, float | None] = (None, None)

    def now(self, shown: float, steady: float) -> float:
        """Return the time by which buckets are kept when the clock shows `shown` unix seconds; `steady` is in seconds.

        A clock that differs by up to STEP_S from what it should show is believed, as is the first time it is looked at.
        """
        believed, doubted_since = self._state
        offset = shown - steady
        doubted_since = steady if doubted_since is None else doubted_since
        if believed is None or abs(offset - believed) <= STEP_S or steady - doubted_since >= BELIEVE_S:
            self._state = (offset, None)
            return shown
        self._state = (believed, doubted_since)
        return min(shown, steady + believed)
