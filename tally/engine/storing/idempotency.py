"""Deliveries: batches of samples that an archive takes once, however often they come.

    deliveries (key id, oldest first)
    +----+-----+--------+--------+--------+---------+-------------+
    | id | key | digest | second | stored | expired | cardinality |
    +----+-----+--------+--------+--------+---------+-------------+

What became of a delivery is kept under the sender's key by the transaction that commits its samples, so that there are
both or neither. The digest tells it from another one under the same key.

A key is known for KEPT_S seconds, and of these deliveries the KEPT_MAX newest are; one that comes again after that
counts anew. That is for the ledger to tell, where there is one (see `ledger`). An archive keeps what it has for SPARE_S
seconds longer, and SPARE more of them, so that it never forgets what the ledger lets come again.
"""

import json
from typing import NamedTuple

import apsw

from tally.engine.files import statements
from tally.engine.storing.commit import Outcome
from tally.errors import KeyReused

KEPT_S = 24 * 3600
KEPT_MAX = 10_000
SPARE_S = 3600
SPARE = 10_000
KEY_MAX = 255
# What keys of spilled records begin with (see `spill`). No sender can give such a key, and no bound makes it forgotten.
SPILLED = "spilled "


class Delivery(NamedTuple):
    """A batch by its sender's `key`, with a digest of what is in it and the unix second of its first receipt.

    A spilled record has a key of its own, and in `came_by` the delivery that it came by, which counts as come too.
    """

    key: str
    digest: bytes
    second: int
    came_by: "Delivery | None" = None


class Receipt(NamedTuple):
    """What became of a delivery, and the unix second in which it was first received."""

    second: int
    outcome: Outcome


def find(connection: apsw.Connection, delivery: Delivery) -> Receipt | None:
    """Return what became of a delivery, or None where it has not come yet.

    :raises KeyReused: when another one came under the same key.
    """
    row = connection.execute(statements.RECEIPT, (delivery.key,)).fetchone()
    if row is None:
        return _came_by(connection, delivery.came_by)
    digest, second, *counts = row
    if digest != delivery.digest:
        raise reused(delivery)
    return Receipt(second, Outcome(*counts))


def _came_by(connection: apsw.Connection, delivery: Delivery | None) -> Receipt | None:
    try:
        return find(connection, delivery) if delivery else None
    except KeyReused:
        return None  # Its samples were taken under the key before the key was forgotten, and given out again.


def reused(delivery: Delivery) -> KeyReused:
    """Return the error that the key of a delivery is another one's."""
    return KeyReused(f"the key {delivery.key!r:.100} came with other samples before: give each delivery a new one")


def keep(connection: apsw.Connection, delivery: Delivery, outcome: Outcome, *, now: float) -> None:
    """Keep what became of a delivery, within the transaction that commits it, and let go of those past the bounds."""
    counts = (outcome.stored, outcome.expired, outcome.cardinality)
    for each in filter(None, (delivery, delivery.came_by)):
        connection.execute(statements.NEW_RECEIPT, (each.key, each.digest, each.second, *counts))
    connection.execute(statements.OLD_RECEIPTS, {"kept_from": now - KEPT_S - SPARE_S, "most": KEPT_MAX + SPARE})


def spilled(connection: apsw.Connection) -> set[str]:
    """Return the keys of the spilled records that the archive has."""
    return {key for (key,) in connection.execute(statements.SPILLED_RECEIPTS, (SPILLED,))}


def forget(connection: apsw.Connection, keys: list[str]) -> None:
    """Forget deliveries by their keys."""
    connection.execute(statements.FORGET_RECEIPTS, (json.dumps(keys),))
