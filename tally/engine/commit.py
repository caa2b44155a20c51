"""The one way into an archive: cells are merged, old buckets expire and full ones are sealed, in one transaction.

New rows of the open bucket are neighbours in the table, but each would land on a page of its own in an index by name.
So rows enter unsealed and outside the index; once SEAL_ROWS of them stand in closed buckets, one UPDATE seals them and
`sealed_before` moves past them. A late row for a sealed bucket enters sealed, and SQLite keeps the index in step.

Retention goes by the clock, never by the newest sample: one from the future must not empty an archive.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import apsw

from tally.engine import schema, sql
from tally.engine.definition import Definition
from tally.engine.rollup import Cells, merge

SEAL_ROWS = 65_536
EXPIRE_ROWS = 50_000
FORGET_NAMES = 1_000

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


@dataclass(slots=True)
class NameIds:
    """The names of one file by id, as remembered between commits; good while the file's `names_token` is `token`."""

    token: int | None = None
    ids: dict[str, int] | None = None

    def read(self, connection: apsw.Connection, token: int) -> dict[str, int]:
        """Return every name of the file with its id."""
        if self.ids is None or self.token != token:
            self.ids = dict(connection.execute(sql.NAME_IDS))
            self.token = token
        return self.ids

    def add(self, connection: apsw.Connection, names: list[str]) -> None:
        """Store new names."""
        assert self.ids is not None
        for name in names:
            connection.execute("INSERT INTO names (name) VALUES (?)", (name,))
            self.ids[name] = connection.last_insert_rowid()
        self._changed(connection)

    def forget(self, connection: apsw.Connection) -> None:
        """Drop what is remembered, after names were deleted from the file."""
        self.ids = None
        self._changed(connection)

    def _changed(self, connection: apsw.Connection) -> None:
        self.token = secrets.randbits(62)
        schema.write_meta(connection, "names_token", self.token)


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Hold the write lock from the start, commit in the end, and roll everything back on an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def commit(connection: apsw.Connection, cells: Cells, names: NameIds, rules: "Rules") -> Outcome:
    """Merge `cells` into the archive, within the caller's transaction, and expire and seal what is due.

    `cells` may be of any resolution that divides the archive's.
    """
    outcome = Outcome()
    meta = dict(connection.execute(sql.META))
    resolution = meta["resolution"]
    expire(connection, rules, meta, names)
    due: Cells = {}
    merge(due, cells, resolution)
    if rules.refuse_expired:
        _drop_expired(due, rules.cutoff, outcome)
    ids = _identify(connection, due, names.read(connection, meta["names_token"]), (names, rules, outcome))
    sealed_before = meta["sealed_before"]
    for bucket, row in due.items():
        sealed = bucket < sealed_before
        connection.executemany(
            UPSERT, [(bucket, ids[name], *cell, sealed) for name, cell in row.items() if name in ids]
        )
        outcome.stored += int(sum(cell[0] for name, cell in row.items() if name in ids))
    seal(connection, int(rules.now // resolution * resolution), resolution, sealed_before)
    return outcome


@dataclass(frozen=True, slots=True)
class Rules:
    """What a commit goes by: the clock, the first bucket kept, the most names (0: no limit), and what is refused."""

    now: float
    cutoff: int
    max_names: int = 0
    refuse_expired: bool = True


def _drop_expired(due: Cells, cutoff: int, outcome: Outcome) -> None:
    for bucket in [bucket for bucket in due if bucket < cutoff]:
        outcome.expired += int(sum(cell[0] for cell in due.pop(bucket).values()))


def _identify(
    connection: apsw.Connection, due: Cells, ids: dict[str, int], context: tuple[NameIds, Rules, Outcome]
) -> dict[str, int]:
    """Give new names an id while there is room, and count the samples of those for which there is none."""
    names, rules, outcome = context
    new = {name: None for row in due.values() for name in row.keys() - ids.keys()}
    if not new:
        return ids
    room = max(0, rules.max_names - len(ids)) if rules.max_names else len(new)
    added = sorted(new)[:room]
    refused = new.keys() - set(added)
    if added:
        names.add(connection, added)
    outcome.cardinality += int(sum(row[name][0] for row in due.values() for name in row.keys() & refused))
    return ids


def expire(connection: apsw.Connection, rules: Rules, meta: dict[str, Any], names: NameIds) -> None:
    """Delete up to EXPIRE_ROWS rows that are past the retention, and names that have none left."""
    edge = connection.execute(sql.EXPIRED_EDGE, (rules.cutoff, EXPIRE_ROWS)).fetchall()
    connection.execute("DELETE FROM data WHERE (bucket, id) < (?, ?)", edge[0] if edge else (rules.cutoff, 0))
    if not connection.changes():
        return
    after = meta.get("names_checked", 0)
    sweep = {"after": after, "most": FORGET_NAMES, "sealed_before": meta["sealed_before"]}
    connection.execute(sql.FORGET_NAMES, sweep)
    if connection.changes():
        names.forget(connection)
        meta["names_token"] = names.token
    [(reached,)] = connection.execute(sql.NEXT_NAME, (after, FORGET_NAMES)).fetchall()
    schema.write_meta(connection, "names_checked", reached or 0)


def seal(connection: apsw.Connection, closed_before: int, resolution: int, sealed_before: int) -> None:
    """Seal the closed buckets once they hold SEAL_ROWS unsealed rows."""
    reach = (sealed_before, closed_before)
    [(rows,)] = connection.execute(sql.UNSEALED_CLOSED, (*reach, SEAL_ROWS)).fetchall()
    if rows < SEAL_ROWS:
        return
    [(last,)] = connection.execute(sql.LAST_BEFORE, (closed_before,)).fetchall()
    connection.execute("UPDATE data SET sealed = 1 WHERE bucket >= ? AND bucket < ?", reach)
    schema.write_meta(connection, "sealed_before", last + resolution)


def edit(connection: apsw.Connection, definition: Definition, changed: Definition) -> None:
    """Store a changed definition and, where its resolution is coarser, merge all that is stored into its buckets."""
    schema.write_definition(connection, changed)
    if changed.resolution == definition.resolution:
        return
    [(sealed_before,)] = connection.execute(sql.META_VALUE, ("sealed_before",)).fetchall()
    sealed_before = sealed_before // changed.resolution * changed.resolution
    connection.execute(sql.COARSEN, {"resolution": changed.resolution})
    connection.execute("DELETE FROM data")
    connection.execute(sql.COARSENED, (sealed_before,))
    connection.execute("DROP TABLE temp.merged")
    schema.write_meta(connection, "sealed_before", sealed_before)
