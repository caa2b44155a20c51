"""The identity of an archive, which all its copies share, and a record of changes other than new samples.

    meta    identity          32 hexadecimal digits
            rewrites          how often names were removed or renamed, or the resolution was changed
            rewritten_before  cells of earlier buckets may be affected by that; all others have only grown

An archive of an earlier version of tally gets its identity with its next commit. Missing rows mean none, and 0. See
`history.merge`, which needs them to tell what an archive has gained.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import apsw

from tally.engine.files import statements


class Lineage(NamedTuple):
    """The lineage of an archive. `identity` is empty if it has none yet."""

    identity: str
    rewrites: int
    rewritten_before: int

    @classmethod
    def read(cls, meta: Mapping[str, Any]) -> Self:
        """Return the lineage in `meta`."""
        return cls(meta.get("identity", ""), meta.get("rewrites", 0), meta.get("rewritten_before", 0))


def ensure_identity(connection: apsw.Connection) -> None:
    """Give the archive an identity if it has none, within the caller's transaction."""
    connection.execute(statements.NEW_IDENTITY)


def mark_rewritten(connection: apsw.Connection, resolution: int) -> None:
    """Record that cells are about to change other than by new samples, within the caller's transaction."""
    connection.execute(statements.REWRITTEN, {"resolution": resolution}).fetchall()
