"""Which archives an archive contains, and which of their cells, so that nothing is merged into it twice.

    merges (key identity)                                      merged_cells (key source, bucket, id)
    +----------+--------+--------+----------+------------+     +--------+--------+----+-------+-----+
    | identity | source | holder | rewrites | known_from |     | source | bucket | id | count | sum |
    +----------+--------+--------+----------+------------+     +--------+--------+----+-------+-----+

    identity    of an archive that this one contains: see `storing.lineage`
    source      its number in the other tables
    holder      the archive that brought it, which was merged or derived from; empty if it was merged itself
    rewrites    how often the history of the merged archive had been rewritten
    known_from  cells of earlier buckets are no longer known, because the merged archive had expired them

`merged_cells` has the cells of each merged archive as they were, in its own resolution, and `merged_names` their names.
If the archive keeps percentiles, `merged_bins` has their sketches, with the level of each.
The tables are created when the archive is derived, or the first one is merged. `merges` in `meta` counts the merges.
"""

from pathlib import Path
from typing import NamedTuple

import apsw

from tally.engine.files import ddl, statements
from tally.engine.history import queries
from tally.engine.storing.lineage import Lineage
from tally.errors import MergeRefused


class Known(NamedTuple):
    """A row of `merges` without the identity."""

    source: int
    holder: str
    rewrites: int
    known_from: int


def inherit(connection: apsw.Connection, lineage: Lineage) -> None:
    """Record that the archive was derived from the attached one, which has this lineage, and contains what it does."""
    if connection.execute(queries.SOURCE_LOST_MERGES).get:
        connection.execute(queries.DERIVE_MERGES)
        return
    connection.execute(ddl.MERGES).fetchall()
    for identity in (lineage.identity, *read_source(connection)):
        connection.execute(queries.NEW_SOURCE, {"identity": identity, "holder": lineage.identity})


def read_source(connection: apsw.Connection) -> list[str]:
    """Return the identities of the archives that the attached one contains."""
    if not connection.execute(queries.SOURCE_HAS_MERGES).get:
        return []
    return [identity for (identity,) in connection.execute(queries.SOURCE_CONTAINED)]


def read(connection: apsw.Connection, path: Path) -> dict[str, Known]:
    """Return the archives by identity that the one at `path` contains.

    :raises MergeRefused: when that is no longer known, because the archive was salvaged.
    """
    if not connection.execute(queries.HAS_MERGES).get:
        if connection.execute(statements.META_VALUE, ("merges",)).get:
            raise MergeRefused(f"{path}: it was salvaged, so what was merged into it before is not known any more")
        return {}
    return {identity: Known(*row) for identity, *row in connection.execute(queries.CONTAINED)}


class Candidate(NamedTuple):
    """An archive that is to be merged, in the file at `path`: its lineage, and the archives that it contains."""

    path: Path
    lineage: Lineage
    contained: list[str]


def check(candidate: Candidate, slug: str, own: Lineage, known: dict[str, Known]) -> None:
    """Check that no sample of the candidate came into the archive `slug` another way.

    `own` is the lineage of the archive, and `known` what it contains.

    :raises MergeRefused: when one may have.
    """
    path, file, contained = candidate
    if not file.identity:
        raise MergeRefused(
            f"{path}: it was last written by an earlier version of tally, so copies of it cannot be recognized: "
            "change a property of it with `tally archives edit` first"
        )
    if file.identity == own.identity:
        raise MergeRefused(f"{path}: it is {slug} itself, or a copy of it")
    if own.identity and own.identity in contained:
        raise MergeRefused(f"{path}: it already contains {slug}")
    if file.identity in known and known[file.identity].holder:
        raise MergeRefused(f"{path}: {slug} already contains it, because it contains another archive that does")
    if any(part in known and known[part].holder != file.identity for part in contained):
        raise MergeRefused(
            f"{path}: it and {slug} both contain the same other archive, whose samples would count twice"
        )
