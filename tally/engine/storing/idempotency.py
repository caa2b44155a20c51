"""Idempotency: an archive stores a delivery (a batch of samples) once, however often it is received.

    deliveries (key id, oldest first)
    +----+-----+--------+--------+--------+---------+-------------+
    | id | key | digest | second | stored | expired | cardinality |
    +----+-----+--------+--------+--------+---------+-------------+

The transaction that commits the samples also stores a receipt under the sender's key. The digest detects another
delivery under the same key.

The ledger keeps the KEPT_MAX newest keys of the last KEPT_S seconds (see `ledger`). After that, a repeated delivery is
stored again. An archive keeps receipts SPARE_S seconds longer, and SPARE more of them, so that it never deletes a
receipt whose key the ledger still accepts.
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
# Prefix of the keys of spilled records (see `spill`). Senders cannot use such keys, and no limit deletes them.
SPILLED = "spilled "


class Delivery(NamedTuple):
    """A batch of samples: the sender's `key`, a digest of the content and the unix second of first receipt.

    A spilled record has its own key; `original` is the delivery that brought its samples, if any.
    """

    key: str
    digest: bytes
    second: int
    original: "Delivery | None" = None


class Receipt(NamedTuple):
    """The outcome of a delivery and the unix second of its first receipt."""

    second: int
    outcome: Outcome


def find_receipt(connection: apsw.Connection, delivery: Delivery) -> Receipt | None:
    """Return the receipt of a delivery, or None if it is new.

    :raises KeyReused: when the key was used for another delivery.
    """
    row = connection.execute(statements.RECEIPT, (delivery.key,)).fetchone()
    if row is None:
        return _find_original(connection, delivery.original)
    digest, second, *counts = row
    if digest != delivery.digest:
        raise key_reused(delivery)
    return Receipt(second, Outcome(*counts))


def _find_original(connection: apsw.Connection, delivery: Delivery | None) -> Receipt | None:
    try:
        return find_receipt(connection, delivery) if delivery else None
    except KeyReused:
        return None  # The samples were spilled under the key before it expired and was used again.


def key_reused(delivery: Delivery) -> KeyReused:
    """Return the error for a key that was used for another delivery."""
    return KeyReused(f"the key {delivery.key!r:.100} came with other samples before: give each delivery a new one")


def store_receipt(connection: apsw.Connection, delivery: Delivery, outcome: Outcome, *, now: float) -> None:
    """Store the receipt of a delivery within the transaction that commits it, and delete old receipts."""
    counts = (outcome.stored, outcome.expired, outcome.cardinality)
    for each in filter(None, (delivery, delivery.original)):
        connection.execute(statements.NEW_RECEIPT, (each.key, each.digest, each.second, *counts))
    connection.execute(statements.OLD_RECEIPTS, {"kept_from": now - KEPT_S - SPARE_S, "most": KEPT_MAX + SPARE})


def find_replayed(connection: apsw.Connection) -> set[str]:
    """Return the keys of the spilled records that the archive has."""
    return {key for (key,) in connection.execute(statements.SPILLED_RECEIPTS, (SPILLED,))}


def delete_receipts(connection: apsw.Connection, keys: list[str]) -> None:
    """Delete the receipts of these keys."""
    connection.execute(statements.FORGET_RECEIPTS, (json.dumps(keys),))
