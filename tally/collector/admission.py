"""Decides which names are still accepted during a flood of new names.

Only hashes are kept, since the names of large archives would take a hundred megabytes. A name whose hash collides
with an admitted one is admitted too; the archive then applies its own limit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tally.engine import glob


@dataclass(slots=True)
class _FreePlaces:
    """How many more names an archive accepts."""

    pattern: str
    left: int


class NameAdmission:
    """Admits the names that archives have, and new names while a matching archive is below its limit."""

    def __init__(self, max_names: int) -> None:
        self._max_names = max_names
        self._admitted: set[int] = set()
        self._places: list[_FreePlaces] = []

    def add(self, pattern: str, names: Iterable[str]) -> None:
        """Admit the names of an archive, and new names that match its pattern until it has `max_names`."""
        left = self._max_names
        for name in names:
            self._admitted.add(hash(name))
            left -= 1
        self._places.append(_FreePlaces(pattern, left))

    def admits(self, name: str) -> bool:
        """Return whether a name may have a cell. Once admitted, a name stays admitted."""
        if hash(name) in self._admitted:
            return True
        matching = [each for each in self._places if each.left > 0 and glob.matcher(each.pattern)(name)]
        for each in matching:
            each.left -= 1
        if matching:
            self._admitted.add(hash(name))
        return bool(matching)
