"""The distinct members of StatsD sets until the next flush."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from tally.engine.storing.capacity import places


class Members:
    """Sets by name, each with the second in which it was last added to."""

    def __init__(self) -> None:
        self._sets: dict[str, tuple[int, set[str]]] = {}

    def new(self, name: str, members: AbstractSet[str]) -> int:
        """Return as how many cells those members count that a set does not have."""
        present = self._sets.get(name)
        return places(members if present is None else members - present[1])

    def add(self, name: str, members: AbstractSet[str], second: int) -> None:
        """Add members to a set, all of them or, when there is no memory, none."""
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
        """Yield name, second and number of members of each set."""
        return ((name, second, len(members)) for name, (second, members) in self._sets.items())
