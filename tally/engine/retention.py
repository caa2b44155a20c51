"""The time that retention goes by: the clock's, unless it has just stepped.

A clock that stands a day ahead for a minute would have a day of buckets deleted, and one that shows 2100 all of them.
So a step is not believed at once: until it has lasted for BELIEVE_S, buckets are kept by the earlier of what the clock
shows and what it would show without the step. Samples belong to the second that the clock shows, whatever that is.
"""

from threading import Lock

STEP_S = 600.0
BELIEVE_S = 86_400.0


class Retention:
    """Judges a clock by a second one that never steps, such as `time.monotonic`. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._offset: float | None = None
        self._doubted_since: float | None = None

    def now(self, shown: float, steady: float) -> float:
        """Return the time by which buckets are kept when the clock shows `shown` unix seconds; `steady` is in seconds.

        A clock that differs by up to STEP_S from what it should show is believed, as is the first time it is looked at.
        """
        with self._lock:
            return self._judged(shown, steady)

    def _judged(self, shown: float, steady: float) -> float:
        offset = shown - steady
        if self._offset is None or abs(offset - self._offset) <= STEP_S:
            self._offset, self._doubted_since = offset, None
            return shown
        if self._doubted_since is None:
            self._doubted_since = steady
        if steady - self._doubted_since >= BELIEVE_S:
            self._offset, self._doubted_since = offset, None
            return shown
        return min(shown, steady + self._offset)
