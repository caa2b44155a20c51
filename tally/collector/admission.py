"""Whose samples there is still room for when a flood of names has taken what is free for all.

Only hashes of names are kept, since the names of large archives would take a hundred megabytes. If another name has the
hash of one that is admitted, it is admitted too, and the archive decides.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tally.engine import glob


@dataclass(slots=True)
class _Places:
    """How many more names an archive takes."""

    pattern: str
    left: int


class Door:
    """Admits names that archives have, and new ones as far as an archive that wants them takes more names."""

    def __init__(self, max_names: int) -> None:
        self._max_names = max_names
        self._admitted: set[int] = set()
        self._places: list[_Places] = []

    def add(self, pattern: str, names: Iterable[str]) -> None:
        """Open the door to an archive's names, of which it takes `max_names` if they match its pattern."""
        left = self._max_names
        for name in names:
            self._admitted.add(hash(name))
            left -= 1
        self._places.append(_Places(pattern, left))

    def admits(self, name: str) -> bool:
        """Return whether a name may have a cell; one that was admitted is from then on."""
        if hash(name) in self._admitted:
            return True
        wanting = [each for each in self._places if each.left > 0 and glob.matcher(each.pattern)(name)]
        for each in wanting:
            each.left -= 1
        if wanting:
            self._admitted.add(hash(name))
        return bool(wanting)
