"""A connection to a cluster by the package clickhouse-driver, which is loaded when it is first used."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from tally.cluster.address import Address
from tally.errors import ClusterUnavailable, PackageMissing

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60
# The code of ClickHouse's error for a database or table that does not exist.
MISSING = (60, 81)

# How the driver and OpenSSL tell which server it is, and why a certificate is refused.
_SERVER = re.compile(r"\(([^() ]+:[0-9]+)\)$")
_REFUSED = re.compile(r"certificate verify failed: (.*?)(?: \(_ssl|$)")


class Connection:
    """Runs statements on the first host that can be reached. Not for concurrent calls.

    Every method raises ClusterUnavailable if the cluster cannot be reached, or reports an error.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._driver = _load_driver()
        (host, port), *others = address.hosts
        self._client = self._driver.Client(
            host,
            port=port,
            user=address.user,
            password=address.password,
            secure=address.is_secure,
            verify=True,
            ca_certs=None if address.ca is None else str(address.ca),
            alt_hosts=",".join(f"{each}:{other_port}" for each, other_port in others) or None,
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=ANSWER_TIMEOUT_S,
            sync_request_timeout=CONNECT_TIMEOUT_S,
            client_name="tally",
        )

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (self._driver.errors.Error, OSError, EOFError) as error:
            self.close()
            raise ClusterUnavailable(f"{self.address}: {self._describe(error)}") from None

    def _describe(self, error: Exception) -> str:
        if getattr(error, "code", None) in MISSING:
            return "its tables are missing: create them with `tally cluster init`"
        text = " ".join(str(error).split("Stack trace:")[0].split()) or type(error).__name__
        if sentence := self._describe_tls(text):
            return sentence
        password = self.address.password
        return (text.replace(password, "(not shown)") if password else text)[:300]

    def _describe_tls(self, text: str) -> str | None:
        """Return what is wrong with the encryption, or None if it is something else."""
        ca = self.address.ca
        if ca is not None and not os.access(ca, os.R_OK):
            return f"ca={ca}: cannot be read"
        server = found[1] if (found := _SERVER.search(text)) else "the server"
        if refused := _REFUSED.search(text):
            return f"the certificate of {server} is refused: {refused[1]}"
        if "WRONG_VERSION_NUMBER" in text:
            return (
                f"{server} does not use TLS there: it needs the port of tcp_port_secure, or an address without secure=1"
            )
        return None

    def execute(self, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement, and return its rows."""
        with self._translating():
            rows: list[tuple[Any, ...]] = self._client.execute(statement, parameters)
            return rows

    def insert(self, statement: str, columns: Sequence[Sequence[Any]], **settings: Any) -> None:
        """Insert values, given by column."""
        with self._translating():
            self._client.execute(statement, columns, columnar=True, settings=settings)

    def close(self) -> None:
        """Close the connection; the next statement opens it again."""
        self._client.disconnect()


def _load_driver() -> Any:
    try:
        driver = import_module("clickhouse_driver")
        import_module("clickhouse_driver.errors")
        # It raises what it logs, and then an error is one line.
        logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)
    except ImportError:
        raise PackageMissing(
            "a cluster is reached by the package clickhouse-driver: pip install 'tally[cluster]'"
        ) from None
    return driver
