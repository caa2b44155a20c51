"""A connection to a cluster by the package clickhouse-driver, which is loaded when it is first used."""

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from typing import Any
from uuid import uuid4

from tally.cluster.address import Address
from tally.errors import ClusterUnavailable, PackageMissing, QueryTimeout

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60
# The code of ClickHouse's error for a database or table that does not exist.
MISSING = (60, 81)
# For a column that does not exist.
OUTDATED = (16, 47)
# The codes of its errors for a query that takes too long, or too much memory.
TOO_LONG = "the question took too long in the cluster: ask for less, or raise TALLY_QUERY_TIMEOUT"
LIMITS = {
    159: TOO_LONG,
    160: TOO_LONG,
    241: "the question takes too much memory in the cluster: ask for a shorter range, or for fewer names",
}
NO_LIMITS: Mapping[int, str] = {}
ROWS = 10_000
KILL = "KILL QUERY WHERE query_id = %(query)s ASYNC"

Rows = list[tuple[Any, ...]]

# How the driver and OpenSSL tell which server it is, and why a certificate is refused.
_SERVER = re.compile(r"\(([^() ]+:[0-9]+)\)$")
_REFUSED = re.compile(r"certificate verify failed: (.*?)(?: \(_ssl|$)")


class Connection:
    """Runs statements on the first host that can be reached. Not for concurrent calls.

    Every method raises ClusterUnavailable if the cluster cannot be reached, or reports an error.
    """

    def __init__(self, address: Address, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        """Connect later; the server may be silent for `answer_timeout_s` at most."""
        self.address = address
        self._query_id = ""
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
            send_receive_timeout=answer_timeout_s,
            sync_request_timeout=CONNECT_TIMEOUT_S,
            client_name="tally",
        )

    @contextmanager
    def _translating(self, limits: Mapping[int, str] = NO_LIMITS) -> Iterator[None]:
        """Translate errors; `limits` has the texts of those that are QueryTimeout, by their codes."""
        try:
            yield
        except (self._driver.errors.Error, OSError, EOFError) as error:
            self.close()
            if (limit := limits.get(getattr(error, "code", 0))) is not None:
                raise QueryTimeout(limit) from None
            raise ClusterUnavailable(f"{self.address}: {self._describe(error)}") from None

    def _describe(self, error: Exception) -> str:
        if getattr(error, "code", None) in MISSING:
            return "its tables are missing: create them with `tally cluster init`"
        if getattr(error, "code", None) in OUTDATED:
            return "its tables are those of an earlier version: upgrade them with `tally cluster init`"
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

    def stream(self, statement: str, parameters: dict[str, Any], **settings: Any) -> Iterator[Rows]:
        """Yield the rows of a statement in batches. If not all are taken, the connection is closed.

        :raises QueryTimeout: when it exceeds a limit among its settings.
        """
        is_complete = False
        try:
            with self._translating(LIMITS):
                self._query_id = uuid4().hex
                given: Any = {"settings": settings, "chunk_size": ROWS, "query_id": self._query_id}
                yield from self._client.execute_iter(statement, parameters, **given)
                is_complete = True
        finally:
            if not is_complete:
                self.close()

    def interrupt(self) -> None:
        """End the `stream` that another thread reads, here and in the server: it raises ClusterUnavailable there.

        A server of an old version does not notice that a connection was closed, so it is told by another one.
        """
        current = self._client.connection
        host = replace(self.address, hosts=((current.host, current.port),))
        other = Connection(host, answer_timeout_s=CONNECT_TIMEOUT_S)
        with closing(other), suppress(ClusterUnavailable):
            other.execute(KILL, {"query": self._query_id})
        if current.socket is not None:
            with suppress(OSError):
                # Without the method for TLS, as another thread uses that.
                socket.socket.shutdown(current.socket, socket.SHUT_RDWR)

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
