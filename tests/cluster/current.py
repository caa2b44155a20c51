"""The current ClickHouse in this process, by the package chdb, behind the interface of clickhouse-driver."""

import json
import re
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tally.cluster.address import Address

LOCK = threading.Lock()


class Current:
    """Stands for a server. There is one in a process."""

    def __init__(self, directory: Path) -> None:
        self._session = import_module("chdb.session").Session(str(directory))
        self.driver = SimpleNamespace(Client=self._client, errors=import_module("clickhouse_driver.errors"))

    def _client(self, *_: object, **__: object) -> "CurrentClient":
        return CurrentClient(self._session)

    def address(self, database: str = "tally") -> Address:
        """Return an address that nobody connects to."""
        return Address((("127.0.0.1", 9),), database=database)

    def setting(self, database: str = "tally") -> str:
        """Return the value of TALLY_CLUSTER."""
        return f"clickhouse://127.0.0.1:9/{database}"

    def answers(self) -> bool:
        """Return True."""
        return True

    def end(self) -> None:
        """Close the session."""
        self._session.close()


class CurrentClient:
    """What `Connection` uses of a client of clickhouse-driver."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._substitute = import_module("clickhouse_driver").Client("127.0.0.1")

    def execute(self, statement: str, given: Any = None, *, columnar: bool = False, **_: object) -> list[Any]:
        """Run a statement with parameters, or insert rows or columns."""
        if statement.rstrip().endswith("VALUES"):
            rows = zip(*given, strict=True) if columnar else given
            lines = "\n".join(json.dumps(row) for row in rows)
            self._run(f"{statement.rstrip().removesuffix('VALUES')} FORMAT JSONCompactEachRow\n{lines}")
            return []
        context = self._substitute.connection.context
        text = self._substitute.substitute_params(statement, given, context) if given else statement
        return self._rows(self._run(text))

    def execute_iter(self, statement: str, given: Any, *, chunk_size: int, **_: object) -> Iterator[list[Any]]:
        """Yield rows in batches."""
        rows = self.execute(statement, given)
        return (rows[at : at + chunk_size] for at in range(0, len(rows), chunk_size))

    def disconnect(self) -> None:
        """Do nothing."""

    def _run(self, text: str) -> bytes:
        with LOCK:
            try:
                return bytes(self._session.query(text, "JSONCompact").bytes())
            except RuntimeError as error:
                found = re.search(r"Code: (\d+)", str(error))
                errors = import_module("clickhouse_driver.errors")
                raise errors.ServerException(str(error), int(found[1]) if found else 0) from None

    def _rows(self, answer: bytes) -> list[Any]:
        if not answer.strip():
            return []
        found = json.loads(answer)
        types = [column["type"] for column in found["meta"]]
        return [tuple(map(_value, row, types)) for row in found["data"]]


def _value(value: Any, kind: str) -> Any:
    if kind.startswith("Tuple"):
        return tuple(value)
    return float(value) if kind.startswith("Float") and value is not None else value
