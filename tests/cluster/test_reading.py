"""A reading is limited on the server, and ends there when it is closed."""

import threading
import time
from contextlib import closing

import pytest

from tally.cluster import reading as module
from tally.cluster.address import Address
from tally.cluster.connection import Connection
from tally.cluster.pool import Pool
from tally.cluster.reading import Reading
from tally.cluster.sql import Statement
from tally.errors import ClusterUnavailable, QueryTimeout
from tests.clickhouse import ClickHouse

ENDLESS = Statement("SELECT count() FROM system.numbers WHERE number %% 1001 = 2000", {})
HUGE = Statement("SELECT uniqExact(number) FROM numbers(%(most)s)", {"most": 100_000_000})


def running(address: Address) -> int:
    """Return how many endless statements run."""
    with closing(Connection(address)) as connection:
        text = "SELECT count() FROM system.processes WHERE query LIKE '%%1001 = 2%%' AND query NOT LIKE '%%processes%%'"
        return int(connection.execute(text, {})[0][0])


def wait_for(address: Address, count: int) -> None:
    """Wait until so many run."""
    deadline = time.monotonic() + 20
    while running(address) != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_rows_come_in_batches(address: Address) -> None:
    """The connection is used again afterwards, also if not all batches were taken."""
    pool = Pool(address)
    with closing(Reading(pool, timeout_s=20)) as reading:
        assert sum(len(rows) for rows in reading.stream(Statement("SELECT number FROM numbers(25000)", {}))) == 25_000
        assert next(reading.stream(Statement("SELECT number FROM numbers(25000)", {})))[:2] == [(0,), (1,)]
        assert reading.read(Statement("SELECT %(text)s", {"text": "it's"})) == [("it's",)]


def test_time_is_limited(address: Address) -> None:
    """The server ends the statement."""
    with closing(Reading(Pool(address), timeout_s=1)) as reading, pytest.raises(QueryTimeout, match="took too long"):
        reading.read(ENDLESS)
    wait_for(address, 0)
    with closing(Reading(Pool(address), timeout_s=-1)) as reading, pytest.raises(QueryTimeout, match="took too long"):
        reading.read(ENDLESS)


def test_memory_is_limited(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that needs more fails, and says so."""
    monkeypatch.setattr(module, "MEMORY_MAX_BYTES", 10_000_000)
    with closing(Reading(Pool(address))) as reading, pytest.raises(QueryTimeout, match="too much memory"):
        reading.read(HUGE)


def test_closing_ends_the_statement(address: Address) -> None:
    """It ends in the server too, and the connection can be used again."""
    pool = Pool(address)
    reading = Reading(pool, timeout_s=60)
    errors: list[Exception] = []

    def read() -> None:
        try:
            reading.read(ENDLESS)
        except QueryTimeout as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    wait_for(address, 1)
    reading.close()
    thread.join(20)
    assert [str(error) for error in errors] == ["the question was stopped"]
    wait_for(address, 0)
    with closing(Reading(pool)) as other:
        assert other.read(Statement("SELECT 1", {})) == [(1,)]
    with pytest.raises(QueryTimeout, match="was stopped"):
        reading.read(ENDLESS)


def test_a_server_that_is_away(clickhouse: ClickHouse, address: Address) -> None:
    """The error names the address, without the password; when it is back, the pool works again."""
    pool = Pool(address)
    clickhouse.stop()
    try:
        with closing(Reading(pool)) as reading, pytest.raises(ClusterUnavailable, match="clickhouse://127") as raised:
            reading.read_shared()
        assert "secret" not in str(raised.value)
    finally:
        clickhouse.start()
    with closing(Reading(pool)) as reading:
        assert reading.read_shared() == {}
