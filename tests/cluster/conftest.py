"""One server for all tests, with a database for each test."""

from collections.abc import Iterator

import pytest

from tally.cluster.address import Address
from tally.cluster.cluster import Cluster
from tests.clickhouse import ClickHouse


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """Start one server for the whole run."""
    server = ClickHouse(tmp_path_factory.mktemp("clickhouse"))
    yield server
    server.stop()


@pytest.fixture
def address(clickhouse: ClickHouse, request: pytest.FixtureRequest) -> Address:
    """Return the address of a new database, with its tables."""
    database = f"db_{abs(hash(request.node.nodeid)):x}"
    found = clickhouse.address(database)
    if not clickhouse.answers():
        clickhouse.stop()  # A test left it stopped.
        clickhouse.start()
    with Cluster(found) as cluster:
        cluster.create_tables()
    return found
