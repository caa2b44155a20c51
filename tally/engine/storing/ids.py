"""The ids of metric names: looked up, given to new ones, and remembered from one commit to the next.

What is remembered holds as long as the archive's `version` is the one that the last commit by the same hand left; any
other commit, and a file in its place, has another.
"""

import json
from collections.abc import Set as AbstractSet

import apsw

from tally.engine.files import statements
from tally.engine.storing.batch import insert

# As JSON so many names are looked up at once, which takes some megabytes; all at once would take a hundred.
LOOKUP_NAMES = 10_000


class Ids:
    """The ids of the names of the last commit, by name. Used within a transaction that holds the write lock."""

    def __init__(self) -> None:
        self._version = 0
        self._ids: dict[str, int] = {}

    def check(self, version: int) -> None:
        """Forget everything unless the file is as `remember` saw it last."""
        if version != self._version:
            self.forget()

    def forget(self) -> None:
        """Forget everything."""
        self._ids = {}

    def remember(self, version: int) -> None:
        """Let what is known hold for the file as this transaction leaves it."""
        self._version = version

    def of(self, connection: apsw.Connection, names: AbstractSet[str], *, max_names: int) -> dict[str, int]:
        """Return the ids of `names`, where new ones get theirs while there is room: one beyond `max_names` has none."""
        missing = sorted(names - self._ids.keys())
        found = _stored(connection, missing)
        new = [name for name in missing if name not in found]
        if new and max_names:
            new = new[: max(0, max_names - connection.execute(statements.NAME_COUNT).get)]
        insert(connection, "INSERT INTO names (name) VALUES (?)", [(name,) for name in new])
        found |= _stored(connection, new)
        if missing or len(names) < len(self._ids):
            self._ids = found | {name: known for name, known in self._ids.items() if name in names}
        return self._ids


def _stored(connection: apsw.Connection, names: list[str]) -> dict[str, int]:
    """Return the ids of those that are stored, by the texts given: those that were read would be kept beside them."""
    ids: dict[str, int] = {}
    for start in range(0, len(names), LOOKUP_NAMES):
        part = names[start : start + LOOKUP_NAMES]
        found: dict[str, int] = json.loads(connection.execute(statements.NAME_IDS, (json.dumps(part),)).get)
        ids.update((name, found[name]) for name in part if name in found)
    return ids
