"""The one way into an archive: cells are merged, old buckets expire and full ones are sealed, in one transaction.

New rows of the open bucket are neighbours in the table, but each would land on a page of its own in an index by name.
So rows enter unsealed and outside the index; once SEAL_ROWS of them stand in closed buckets, one UPDATE seals them and
`sealed_before` moves past them. A late row for a sealed bucket enters sealed, and SQLite keeps the index in step.

Retention goes by the clock, never by the newest sample: one from the future must not empty an archive. A commit deletes
at most EXPIRE_ROWS rows, or twice as many as it brings where that is more, so that a large expiry never holds up
collecting, and deletion never falls behind. A name goes with its last row.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import apsw

from tally.engine import sql
from tally.engine.definition import Definition
from tally.engine.rollup import Cells, count, merge
from tally.engine.schema import write_definition, write_meta

SEAL_ROWS = 65_536
EXPIRE_ROWS = 50_000

UPSERT = """
INSERT INTO data VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    count = count + excluded.count, sum = sum + excluded.sum,
    min = min(min, excluded.min), max = max(max, excluded.max)
"""


@dataclass(slots=True)
class Outcome:
    """What became of the samples of one commit: `stored`, too old (`expired`), or of one name too many."""

    stored: int = 0
    expired: int = 0
    cardinality: int = 0


class Rules(NamedTuple):
    """What a commit goes by: the clock, the most names (0: no limit), and whether samples past the retention enter."""

    now: float
    max_names: int = 0
    take_expired: bool = False


def commit(connection: apsw.Connection, cells: Cells, *, definition: Definition, rules: Rules) -> Outcome:
    """Merge `cells` into the archive, within the caller's transaction, and expire and seal what is due.

    `cells` may be of any resolution that divides the archive's.
    """
    due: Cells = {}
    merge(due, cells, definition.resolution)
    cutoff = definition.cutoff(rules.now)
    sealed_before = connection.execute(sql.META_VALUE, ("sealed_before",)).get
    expire(connection, cutoff, sealed_before, most=max(EXPIRE_ROWS, 2 * sum(map(len, due.values()))))
    outcome = Outcome()
    if not rules.take_expired:
        outcome.expired = count({bucket: due.pop(bucket) for bucket in list(due) if bucket < cutoff})
    ids = identify(connection, set().union(*due.values()), rules.max_names)
    for bucket, row in due.items():
        rows = [(bucket, ids[name], *cell, bucket < sealed_before) for name, cell in row.items() if name in ids]
        connection.executemany(UPSERT, rows)
        outcome.stored += int(sum(row[2] for row in rows))
    outcome.cardinality = count(due) - outcome.stored
    seal(connection, definition, sealed_before, now=rules.now)
    return outcome


def identify(connection: apsw.Connection, names: Iterable[str], max_names: int) -> dict[str, int]:
    """Return the ids of `names`, where new ones get theirs while there is room: one beyond `max_names` has none."""
    wanted = sorted(names)
    ids = dict(connection.execute(sql.NAME_IDS, (json.dumps(wanted),)))
    new = [name for name in wanted if name not in ids]
    if new and max_names:
        new = new[: max(0, max_names - connection.execute(sql.NAME_COUNT).get)]
    for name in new:
        connection.execute("INSERT INTO names (name) VALUES (?)", (name,))
        ids[name] = connection.last_insert_rowid()
    return ids


def expire(connection: apsw.Connection, cutoff: int, sealed_before: int, *, most: int) -> None:
    """Delete the oldest rows whose bucket is before `cutoff`, `most` of them, and the names that have none left."""
    edge = connection.execute(sql.EXPIRED_EDGE, (cutoff, most)).get or (cutoff, 0)
    deleted = connection.execute("DELETE FROM data WHERE (bucket, id) < (?, ?) RETURNING id", edge)
    if ids := {row[0] for row in deleted}:
        connection.execute(sql.FORGET_NAMES, {"ids": json.dumps(list(ids)), "sealed_before": sealed_before})


def seal(connection: apsw.Connection, definition: Definition, sealed_before: int, *, now: float) -> None:
    """Seal the buckets that are closed at `now` once they hold SEAL_ROWS unsealed rows."""
    closed_before = int(now // definition.resolution) * definition.resolution
    if connection.execute(sql.UNSEALED_CLOSED, (sealed_before, closed_before, SEAL_ROWS)).get < SEAL_ROWS:
        return
    last = connection.execute(sql.LAST_BEFORE, (closed_before,)).get
    connection.execute("UPDATE data SET sealed = 1 WHERE bucket >= ? AND bucket < ?", (sealed_before, closed_before))
    write_meta(connection, "sealed_before", last + definition.resolution)


def edit(connection: apsw.Connection, definition: Definition, changed: Definition) -> None:
    """Store a changed definition and, where its resolution is coarser, merge all that is stored into its buckets."""
    write_definition(connection, changed)
    if changed.resolution == definition.resolution:
        return
    sealed_before = connection.execute(sql.META_VALUE, ("sealed_before",)).get
    sealed_before = sealed_before // changed.resolution * changed.resolution
    connection.execute(sql.COARSEN, {"resolution": changed.resolution})
    connection.execute("DELETE FROM data")
    connection.execute(sql.COARSENED, (sealed_before,))
    connection.execute("DROP TABLE temp.merged")
    write_meta(connection, "sealed_before", sealed_before)
