"""Whether the clock may be believed when it would have an archive lose all that it holds.

A machine whose clock is wrong at its start, such as a board without a battery, shows 2100: by that every bucket is too
old. So where a commit would find even the newest bucket past the retention, it deletes nothing, and the archive doubts
the clock. The doubt stands in the file, as the next process knows no more, and ends

    when the clock shows again what fits the buckets
    when it has run on for CONFIRM_S since the doubt began, as a commit finds within FORGET_S
    when somebody says that the clock is right: see `Archive.confirm_clock`

An archive that nobody wrote for longer than its retention looks the same, and expires that much later.

    meta      clock        the latest commit that was believed       these are unix seconds, and each is missing
              doubted      when the doubt began                      where there is none
              confirmed    when a doubt ended though the buckets did not fit
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import apsw

from tally.engine.definition import Definition
from tally.engine.files import statements
from tally.engine.files.schema import write_meta

CONFIRM_S = 86_400
# Who comes again after longer than this does not confirm the clock: it begins anew to run on.
FORGET_S = 32 * 86_400


class Clock(NamedTuple):
    """What an archive knows of the clock, in unix seconds; see `meta` above."""

    clock: float | None = None
    doubted: float | None = None
    confirmed: float | None = None

    @classmethod
    def read(cls, meta: Mapping[str, Any]) -> "Clock":
        """Return what `meta` says."""
        return cls(*(meta.get(field) for field in cls._fields))

    def write(self, connection: apsw.Connection, before: "Clock") -> None:
        """Store what is another than `before`."""
        for key, value, stored in zip(self._fields, self, before, strict=True):
            if value is None and stored is not None:
                connection.execute("DELETE FROM meta WHERE key = ?", (key,))
            elif value is not None and value != stored:
                write_meta(connection, key, value)

    def at(self, now: float, newest: int | None, definition: Definition) -> "Clock":
        """Return what is known after a commit at `now` to an archive whose newest bucket is `newest`."""
        fits_from = definition.cutoff(now)
        if newest is None or not fits_from or self._known(newest) >= fits_from:
            return self.believed(now)
        if self.doubted is None:
            return self._replace(clock=self._known(newest), doubted=now)
        if not 0 <= now - self.doubted <= FORGET_S:
            return self._replace(doubted=now)
        if now - self.doubted >= CONFIRM_S:
            return self.believed(now)._replace(confirmed=now)
        return self

    def believed(self, now: float) -> "Clock":
        """Return what is known once the clock is believed at `now`."""
        return self._replace(clock=now, doubted=None)

    def _known(self, newest: int) -> float:
        """Return the latest moment that surely was: buckets may be of the future, as samples have their own times."""
        return max(newest if self.clock is None else min(newest, self.clock), self.confirmed or 0)


def confirm(connection: apsw.Connection, now: float) -> None:
    """Let the clock be believed that shows `now`, within the caller's transaction."""
    clock = Clock.read(dict(connection.execute(statements.META)))
    clock.believed(now)._replace(confirmed=now).write(connection, clock)


def told(slug: str) -> str:
    """Return what is said of an archive that doubts the clock."""
    return (
        f"archive {slug}: by the clock all that it holds is past its retention. Nothing expires until the clock has "
        f"run on for {CONFIRM_S // 3600} hours, or until tally is started with --clock-is-right"
    )
