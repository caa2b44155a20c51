"""One server for all tests, with a database for each test. With CHDB=1 it is the current ClickHouse in this process."""

import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from tally.cluster.address import Address
from tally.cluster.cluster import Cluster
from tests.clickhouse import ClickHouse


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """Start one server for the whole run."""
    directory = tmp_path_factory.mktemp("clickhouse")
    if not os.environ.get("CHDB"):
        server = ClickHouse(directory)
        yield server
        server.stop()
        return
    from tests.cluster.current import Current  # Its package is large, and installed in one session only.

    current: Any = Current(directory)
    with patch("tally.cluster.connection._load_driver", lambda: current.driver):
        yield current
    current.end()


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
