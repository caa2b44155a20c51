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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tally.engine.files import ddl, schema, statements
from tally.engine.files.connection import Connection
from tally.engine.files.failure import check_integrity, translate_errors
from tally.engine.files.temporary import publish, temporary_file
from tally.engine.storing.idempotency import KEPT_MAX, KEPT_S, Delivery, key_reused
from tally.errors import ArchiveUnavailable, NotAnArchive

FILE = "deliveries.ledger"
APPLICATION_ID = 0x74616C6B  # "talk": of keys
USER_VERSION = 1


class Decision(NamedTuple):
    """How to process a delivery each time it is received, and the `answer` once all `archives` have it.

    `second` is the unix second of first receipt; timestamps may be up to `max_future_s` after it.
    """

    second: int
    max_future_s: int
    archives: tuple[str, ...]
    answer: Mapping[str, Any] | None = None


class Ledger:
    """The ledger in `directory`. No file stays open between operations.

    Every method but `damage` raises ArchiveUnavailable if the ledger is locked, read-only or damaged, or the disk is
    full.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE

    def find(self, delivery: Delivery, *, now: float) -> Decision | None:
        """Return the decision about a delivery, or None if its key is new.

        :raises KeyReused: when the key was used for another body.
        """
        if schema.file_size(self.path) is None:
            return None
        with self._open() as connection:
            return _find(connection, delivery, now)

    def decide(self, delivery: Delivery, decision: Decision, *, now: float) -> Decision:
        """Store a decision durably and return it. If the delivery has one, return that instead.

        :raises KeyReused: when the key was used for another body.
        """
        with self._open() as connection, schema.Transaction(connection):
            known = _find(connection, delivery, now)
            if known is None:
                _store(connection, delivery, decision)
            return known or decision

    def complete(self, delivery: Delivery, answer: Mapping[str, Any]) -> bool:
        """Store the answer to a delivery that all archives have. Return False if it has one."""
        with self._open() as connection, schema.Transaction(connection):
            text = json.dumps(answer)
            return connection.execute(statements.NEW_ANSWER, (text, delivery.key, delivery.digest)).get is not None

    def damage(self) -> str:
        """Return a description of the file's damage; empty if there is none or no file."""
        if schema.file_size(self.path) is None:
            return ""
        try:
            with self._open() as connection:
                return "".join(f"{self.path}: is damaged: {text}" for text in check_integrity(connection)[:1])
        except ArchiveUnavailable as error:
            return str(error)

    @contextmanager
    def _open(self) -> Iterator[apsw.Connection]:
        try:
            if schema.file_size(self.path) is None:
                self._create()
            with translate_errors(self.path):
                connection = schema.open_file(self.path, write=True)
                try:
                    _check(connection, self.path)
                    yield connection
                finally:
                    schema.close(connection)
        except NotAnArchive as error:
            advice = "move the file away and a new one is created; each archive keeps the keys of its own samples"
            raise ArchiveUnavailable(f"the ledger of keys cannot be used: {error}: {advice}") from error

    def _create(self) -> None:
        try:
            with temporary_file(self.path) as built:
                with translate_errors(self.path):
                    _build(built)
                publish(built, self.path)
        except FileExistsError:
            pass  # Another process created it first.
        except OSError as error:
            raise ArchiveUnavailable(f"{self.path}: cannot be created: {error.strerror}") from error


def _build(path: Path) -> None:
    connection = Connection(str(path))
    try:
        with schema.Transaction(connection):
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", USER_VERSION)
            connection.execute(ddl.LEDGER).fetchall()
        connection.pragma("journal_mode", "wal")
    finally:
        connection.close()


def _check(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        raise NotAnArchive(f"{path}: is not a tally ledger")
    if (version := connection.pragma("user_version")) != USER_VERSION:
        raise NotAnArchive(f"{path}: has format {version}; this version of tally reads format {USER_VERSION}")


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
