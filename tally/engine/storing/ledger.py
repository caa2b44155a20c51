"""The ledger of idempotency keys of a data directory.

    TALLY_DATA_DIR/deliveries.ledger        an SQLite file

    keys (key id, oldest first)
    +----+-----+--------+--------+------------+----------+--------+
    | id | key | digest | second | max_future | archives | answer |
    +----+-----+--------+--------+------------+----------+--------+

A transaction cannot span several archives. So the ledger first commits a decision that applies to all of them: the
digest of the request's body, the second of receipt, how far ahead its timestamps may be, and the slugs of the archives
to write. Then each archive is written, and stores its own row in the same transaction (see `idempotency`). After a
crash, a retry follows the decision, and each archive takes the samples once. `answer` is set once all archives have
them.

The ledger keeps the KEPT_MAX newest keys of the last KEPT_S seconds. A missing ledger is created.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tally.engine.files import ddl, schema, statements
from tally.engine.files.database import Database, Form
from tally.engine.storing.idempotency import KEPT_MAX, KEPT_S, Delivery, key_reused
from tally.errors import NotAnArchive

FILE = "deliveries.ledger"
APPLICATION_ID = 0x74616C6B  # "talk": of keys
USER_VERSION = 1
FORM = Form(
    "the ledger of keys",
    APPLICATION_ID,
    USER_VERSION,
    ddl.LEDGER,
    "move the file away and a new one is created; each archive keeps the keys of its own samples",
)


class Decision(NamedTuple):
    """How to process a delivery each time it is received, and the `answer` once all `archives` have it.

    `second` is the unix second of first receipt; timestamps may be up to `max_future_s` after it.
    """

    second: int
    max_future_s: int
    archives: tuple[str, ...]
    answer: Mapping[str, Any] | None = None


class Ledger(Database):
    """The ledger in `directory`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / FILE, FORM)

    def find(self, delivery: Delivery, *, now: float) -> Decision | None:
        """Return the decision about a delivery, or None if its key is new.

        :raises KeyReused: when the key was used for another body.
        """
        if not self.exists():
            return None
        with self.open() as connection:
            return _find(connection, delivery, now)

    def decide(self, delivery: Delivery, decision: Decision, *, now: float) -> Decision:
        """Store a decision durably and return it. If the delivery has one, return that instead.

        :raises KeyReused: when the key was used for another body.
        """
        with self.open() as connection, schema.Transaction(connection):
            known = _find(connection, delivery, now)
            if known is None:
                _store(connection, delivery, decision)
            return known or decision

    def complete(self, delivery: Delivery, answer: Mapping[str, Any]) -> bool:
        """Store the answer to a delivery that all archives have. Return False if it has one."""
        with self.open() as connection, schema.Transaction(connection):
            text = json.dumps(answer)
            return connection.execute(statements.NEW_ANSWER, (text, delivery.key, delivery.digest)).get is not None


def _find(connection: apsw.Connection, delivery: Delivery, now: float) -> Decision | None:
    row = connection.execute(statements.KEY, (delivery.key, now - KEPT_S)).fetchone()
    if row is None:
        return None
    digest, second, max_future_s, archives, answer = row
    if digest != delivery.digest:
        raise key_reused(delivery)
    try:
        return Decision(second, max_future_s, tuple(json.loads(archives)), answer and json.loads(answer))
    except ValueError as error:
        text = f"{connection.filename}: is damaged: the entry of {delivery.key!r:.100} is not JSON: {error}"
        raise NotAnArchive(text) from None


def _store(connection: apsw.Connection, delivery: Delivery, decision: Decision) -> None:
    """Store the decision about a new or expired key, and delete all but the KEPT_MAX newest.

    Old keys are ignored but not deleted by age, so that a clock that is wrong for a while does not delete them.
    """
    row = (delivery.key, delivery.digest, decision.second, decision.max_future_s, json.dumps(decision.archives))
    connection.execute("DELETE FROM keys WHERE key = ?", (delivery.key,))
    connection.execute(statements.NEW_KEY, row)
    connection.execute(statements.OLD_KEYS, (KEPT_MAX,))
