"""The distinct members of StatsD sets until the next flush, MEMBERS_MAX of all sets together."""

from collections.abc import Iterator

MEMBERS_MAX = 200_000


class Members:
    """Sets by name, each with the second in which it was last added to."""

    def __init__(self, *, most: int = MEMBERS_MAX) -> None:
        self._sets: dict[str, tuple[int, set[str]]] = {}
        self._room = most

    def add(self, name: str, members: set[str], second: int) -> bool:
        """Add members to a set, all of them or, when there is no room, none; return whether they were added."""
        present = self._sets.get(name, (second, set()))[1]
        new = members - present
        if len(new) > self._room:
            return False
        self._room -= len(new)
        present |= new
        if present:
            self._sets[name] = (second, present)
        return True

    def counts(self) -> Iterator[tuple[str, int, int]]:
        """Yield name, second and number of members of each set."""
        return ((name, second, len(members)) for name, (second, members) in self._sets.items())
