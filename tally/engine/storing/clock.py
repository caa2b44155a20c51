"""Decides whether the system clock is plausible before buckets expire by it.

Within a process, `RetentionClock` delays a sudden step of the clock. A clock that is a day ahead for a minute would
otherwise expire a day of buckets.

Across processes, each archive keeps a `ClockState`. A machine whose clock is wrong at startup, such as a board without
a battery, may show the year 2100, and every bucket is then too old. If a commit finds even the newest bucket past the
retention, it deletes nothing and the archive doubts the clock. The doubt ends

    when the clock fits the buckets again
    when a commit finds that the clock has run for CONFIRM_S since the doubt began, but at most FORGET_S
    when `Archive.confirm_clock` is called

An archive that was not written for longer than its retention looks the same, and expires that much later.

    meta      clock        time of the latest commit with a trusted clock
              doubted      time when the doubt began
              confirmed    time when a doubt ended although the buckets did not fit

These are unix seconds; a missing row means none.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import apsw

from tally.engine.definition import Definition
from tally.engine.files import statements
from tally.engine.files.schema import write_meta

CONFIRM_S = 86_400
# A commit later than this does not confirm the clock: the doubt starts again.
FORGET_S = 32 * 86_400

STEP_S = 600.0
BELIEVE_S = 86_400.0


class RetentionClock:
    """Checks the system clock against a monotonic one. Thread-safe.

    A step of more than STEP_S is trusted once it has lasted for BELIEVE_S. Until then expiry uses the earlier of the
    system time and the time without the step. Sample timestamps always use the system time.
    """

    def __init__(self) -> None:
        # The trusted offset of the system clock, and the monotonic time when a doubt began. One tuple, so that every
        # thread sees a matching pair.
        self._state: tuple[float | None, float | None] = (None, None)

    def now(self, shown: float, steady: float) -> float:
        """Return the time to expire by, given the system time `shown` and the monotonic time `steady` in seconds."""
        trusted, doubted_since = self._state
        offset = shown - steady
        doubted_since = steady if doubted_since is None else doubted_since
        if trusted is None or abs(offset - trusted) <= STEP_S or steady - doubted_since >= BELIEVE_S:
            self._state = (offset, None)
            return shown
        self._state = (trusted, doubted_since)
        return min(shown, steady + trusted)


class ClockState(NamedTuple):
    """An archive's record of the clock in unix seconds; see `meta` above."""

    clock: float | None = None
    doubted: float | None = None
    confirmed: float | None = None

    @classmethod
    def read(cls, meta: Mapping[str, Any]) -> "ClockState":
        """Return the state in `meta`."""
        return cls(*(meta.get(field) for field in cls._fields))

    def write(self, connection: apsw.Connection, before: "ClockState") -> None:
        """Store the fields that differ from `before`."""
        for key, value, stored in zip(self._fields, self, before, strict=True):
            if value is None and stored is not None:
                connection.execute("DELETE FROM meta WHERE key = ?", (key,))
            elif value is not None and value != stored:
                write_meta(connection, key, value)

    def advanced(self, now: float, newest: int | None, definition: Definition) -> "ClockState":
        """Return the state after a commit at `now` to an archive whose newest bucket is `newest`."""
        cutoff = definition.cutoff(now)
        if newest is None or not cutoff or self._latest_certain(newest) >= cutoff:
            return self.trusted(now)
        if self.doubted is None:
            return self._replace(clock=self._latest_certain(newest), doubted=now)
        if not 0 <= now - self.doubted <= FORGET_S:
            return self._replace(doubted=now)
        if now - self.doubted >= CONFIRM_S:
            return self.trusted(now)._replace(confirmed=now)
        return self

    def trusted(self, now: float) -> "ClockState":
        """Return the state after the clock is trusted at `now`."""
        return self._replace(clock=now, doubted=None)

    def _latest_certain(self, newest: int) -> float:
        """Return the latest time that has certainly passed. Samples with timestamps may put buckets in the future."""
        return max(newest if self.clock is None else min(newest, self.clock), self.confirmed or 0)


def confirm(connection: apsw.Connection, now: float) -> None:
    """Trust a clock that shows `now`, within the caller's transaction."""
    clock = ClockState.read(dict(connection.execute(statements.META)))
    clock.trusted(now)._replace(confirmed=now).write(connection, clock)


def describe_doubt(slug: str) -> str:
    """Return the message about an archive that doubts the clock."""
    return (
        f"archive {slug}: by the system clock all data is past the retention. Nothing expires until the clock has "
        f"run for {CONFIRM_S // 3600} hours, or until tally is started with --clock-is-right"
    )
