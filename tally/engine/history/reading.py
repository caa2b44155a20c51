"""What an import reads: streams of bytes, and the account of what files of other systems have and tally rejects."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from tally.engine.storing.cells import validate
from tally.errors import InvalidSample
from tally.lines.plain import stored_name

BLOCK_BYTES = 262_144

Row = tuple[Any, ...]


class Readable(Protocol):
    """A stream of bytes."""

    def read1(self, size: int, /) -> bytes:
        """Return up to `size` bytes as soon as some are available, and none at the end."""


@dataclass
class Account:
    """Counts points without a value, and by reason what was rejected. `report` gets a line about each of these.

    Points after `latest`, in unix seconds, are rejected.
    """

    latest: int
    report: Callable[[str], None]
    empty: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def accept(self, source: object, row: Row) -> bool:
        """Return whether a row (time, name, count, sum, min, max) from `source` is a cell; if not, reject it."""
        time, name, *cell = row
        if type(time) is not int or time < 0:
            self.reject("timestamp", f"{source}: timestamp {time!r:.100} of {name!r:.100} is not valid")
        elif time > self.latest:
            self.reject("future", f"{source}: timestamp {time} of {name!r:.100} is too far ahead of the clock")
        elif (reason := _explain_name(name)) is not None:
            self.reject("name", f"{source}: {reason}")
        else:
            try:
                validate(name, cell)
            except InvalidSample as error:
                self.reject("value", f"{source}: {error}")
            else:
                return True
        return False

    def reject(self, reason: str, text: str, *, count: int = 1) -> None:
        """Count points that are rejected, and report them."""
        self.rejected[reason] += count
        self.report(text)


@lru_cache(maxsize=1024)
def _explain_name(name: object) -> str | None:
    """Return why a name is not valid, or None if it is."""
    try:
        stored_name(name)
    except InvalidSample as error:
        return str(error)
    return None
