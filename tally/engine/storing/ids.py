"""Ids of metric names: looks them up, assigns new ones and caches them between commits.

The cache is valid while the archive's `version` is the one that the same writer's last commit set. Every other commit
sets another version, and so does a replaced file.
"""

import json
from collections.abc import Set as AbstractSet

import apsw

from tally.engine.files import statements
from tally.engine.storing.batch import insert

# Names per lookup, which are passed as JSON. This takes a few megabytes; all at once would take a hundred.
LOOKUP_NAMES = 10_000


class NameIds:
    """Caches the ids of the names of the last commit. Use it within a transaction that holds the write lock."""

    def __init__(self) -> None:
        self._version = 0
        self._ids: dict[str, int] = {}

    def validate(self, version: int) -> None:
        """Clear the cache if the archive's version is not that of the last commit."""
        if version != self._version:
            self.clear()

    def clear(self) -> None:
        """Clear the cache."""
        self._ids = {}

    def set_version(self, version: int) -> None:
        """Set the version for which the cache is valid."""
        self._version = version

    def resolve(self, connection: apsw.Connection, names: AbstractSet[str], *, max_names: int) -> dict[str, int]:
        """Return the ids of `names`, assigning ids to new names until the archive has `max_names` (0: no limit)."""
        missing = sorted(names - self._ids.keys())
        found = _find(connection, missing)
        new = [name for name in missing if name not in found]
        if new and max_names:
            new = new[: max(0, max_names - connection.execute(statements.NAME_COUNT).get)]
        insert(connection, "INSERT INTO names (name) VALUES (?)", [(name,) for name in new])
        found |= _find(connection, new)
        if missing or len(names) < len(self._ids):
            self._ids = found | {name: known for name, known in self._ids.items() if name in names}
        return self._ids


def _find(connection: apsw.Connection, names: list[str]) -> dict[str, int]:
    """Return the ids of stored names. The keys are the caller's strings, so that no second copy stays in memory."""
    ids: dict[str, int] = {}
    for start in range(0, len(names), LOOKUP_NAMES):
        part = names[start : start + LOOKUP_NAMES]
        found: dict[str, int] = json.loads(connection.execute(statements.NAME_IDS, (json.dumps(part),)).get)
        ids.update((name, found[name]) for name in part if name in found)
    return ids
