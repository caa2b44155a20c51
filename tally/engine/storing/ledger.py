"""The ledger of a data directory: under which key which delivery came first, decided once for all archives.

    TALLY_DATA_DIR/deliveries.ledger        an SQLite file, beside the archives and none of them

    keys (key id, oldest first)
    +----+-----+--------+--------+------------+----------+--------+
    | id | key | digest | second | max_future | archives | answer |
    +----+-----+--------+--------+------------+----------+--------+

No transaction spans several archives. So the ledger commits first what all of them go by: which body has the key, the
second of its receipt, how far ahead its timestamps may be, and the slugs of the archives that take it. Only then is an
archive written, which keeps a row of its own in the same transaction (see `delivery`). After a crash a retry does again
what the ledger says, and each archive takes it once. `answer` is set when all archives have the delivery.

The ledger knows the KEPT_MAX newest keys of the last KEPT_S seconds. A new one is made where it is missing.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tally.engine.files import ddl, schema, statements
from tally.engine.files.connection import Connection
from tally.engine.files.failure import integrity, translated
from tally.engine.files.temporary import aside, publish
from tally.engine.storing.idempotency import KEPT_MAX, KEPT_S, Delivery, reused
from tally.errors import ArchiveUnavailable, NotAnArchive

FILE = "deliveries.ledger"
APPLICATION_ID = 0x74616C6B  # "talk": of keys
USER_VERSION = 1


class Decision(NamedTuple):
    """What a delivery is taken by, whenever it comes again, and the `answer` once all `archives` have it.

    `second` is the unix second of its first receipt, and `max_future_s` how far ahead of that a timestamp may be.
    """

    second: int
    max_future_s: int
    archives: tuple[str, ...]
    answer: Mapping[str, Any] | None = None


class Ledger:
    """The ledger of the archives in `directory`.

    No file stays open between operations, each of which raises ArchiveUnavailable when the ledger cannot be used: it is
    locked, read-only or damaged, or the disk is full.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE

    def find(self, delivery: Delivery, *, now: float) -> Decision | None:
        """Return what was decided of a delivery, or None where its key is new.

        :raises KeyReused: when the key was given to another one.
        """
        if schema.file_size(self.path) is None:
            return None
        with self._opened() as connection:
            return _find(connection, delivery, now)

    def decide(self, delivery: Delivery, decision: Decision, *, now: float) -> Decision:
        """Give a key to a delivery, durably, and return `decision`, or what was decided of it before.

        :raises KeyReused: when the key was given to another one.
        """
        with self._opened() as connection, schema.transaction(connection):
            known = _find(connection, delivery, now)
            if known is None:
                _keep(connection, delivery, decision)
            return known or decision

    def complete(self, delivery: Delivery, answer: Mapping[str, Any]) -> bool:
        """Keep the answer to a delivery that all archives have; return whether it had none before."""
        with self._opened() as connection, schema.transaction(connection):
            text = json.dumps(answer)
            return connection.execute(statements.NEW_ANSWER, (text, delivery.key, delivery.digest)).get is not None

    def damage(self) -> str:
        """Return what is wrong with the file, nothing where it is sound or there is none."""
        if schema.file_size(self.path) is None:
            return ""
        try:
            with self._opened() as connection:
                return "".join(f"{self.path}: is damaged: {text}" for text in integrity(connection)[:1])
        except ArchiveUnavailable as error:
            return str(error)

    @contextmanager
    def _opened(self) -> Iterator[apsw.Connection]:
        try:
            if schema.file_size(self.path) is None:
                self._create()
            with translated(self.path):
                connection = schema.open_file(self.path, write=True)
                try:
                    _check(connection, self.path)
                    yield connection
                finally:
                    schema.close(connection)
        except NotAnArchive as error:
            advice = "move it away, and a new one is made; each archive knows the keys of its own samples"
            raise ArchiveUnavailable(f"the ledger of keys cannot be used: {error}: {advice}") from error

    def _create(self) -> None:
        try:
            with aside(self.path) as built:
                with translated(self.path):
                    _build(built)
                publish(built, self.path)
        except FileExistsError:
            pass  # Another process was quicker.
        except OSError as error:
            raise ArchiveUnavailable(f"{self.path}: cannot be created: {error.strerror}") from error


def _build(path: Path) -> None:
    connection = Connection(str(path))
    try:
        with schema.transaction(connection):
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", USER_VERSION)
            connection.execute(ddl.LEDGER).fetchall()
        connection.pragma("journal_mode", "wal")
    finally:
        connection.close()


def _check(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        raise NotAnArchive(f"{path}: is not a ledger of tally's")
    if (version := connection.pragma("user_version")) != USER_VERSION:
        raise NotAnArchive(f"{path}: has format {version}, and this tally knows {USER_VERSION}")


def _find(connection: apsw.Connection, delivery: Delivery, now: float) -> Decision | None:
    row = connection.execute(statements.KEY, (delivery.key, now - KEPT_S)).fetchone()
    if row is None:
        return None
    digest, second, max_future_s, archives, answer = row
    if digest != delivery.digest:
        raise reused(delivery)
    try:
        return Decision(second, max_future_s, tuple(json.loads(archives)), answer and json.loads(answer))
    except ValueError as error:
        text = f"{connection.filename}: is damaged: the entry of {delivery.key!r:.100} is not JSON: {error}"
        raise NotAnArchive(text) from None


def _keep(connection: apsw.Connection, delivery: Delivery, decision: Decision) -> None:
    """Keep what is decided of a new key, in place of an older one of its own, and let go of those past the bound.

    Keys that are too old are not found, and go in time: a clock that is wrong for a while shall not take them away.
    """
    row = (delivery.key, delivery.digest, decision.second, decision.max_future_s, json.dumps(decision.archives))
    connection.execute("DELETE FROM keys WHERE key = ?", (delivery.key,))
    connection.execute(statements.NEW_KEY, row)
    connection.execute(statements.OLD_KEYS, (KEPT_MAX,))
