"""Replication beside a collector, in a real process."""

import logging
from contextlib import closing
from pathlib import Path

import pytest

from tally.cluster.address import Address
from tally.cluster.connection import Connection
from tally.cluster.task import replicating
from tally.engine import Catalog
from tally.settings import Settings
from tests.clickhouse import ClickHouse
from tests.processes import wait_for


def settings(directory: Path, address: Address, clickhouse: ClickHouse) -> Settings:
    """Return settings with a cluster."""
    given = {"TALLY_CLUSTER": clickhouse.setting(address.database), "TALLY_SOURCE": "web1", "TALLY_FLUSH_TIME": "0.1"}
    return Settings.load({**given, "TALLY_DATA_DIR": str(directory)})


def test_what_is_committed_is_shipped(tmp_path: Path, address: Address, clickhouse: ClickHouse) -> None:
    """While the block runs, and once more at its end."""
    catalog = Catalog(tmp_path)
    catalog.create("daily", resolution=10, retention=0)
    catalog.record([("a", 1.0, 1_700_000_000)])
    with closing(Connection(address)) as connection:

        def count() -> int:
            return int(connection.execute(f"SELECT sum(count) FROM {address.database}.cells FINAL")[0][0])

        with replicating(settings(tmp_path, address, clickhouse)):
            wait_for(lambda: count() == 1, "the first cell")
            catalog.record([("b", 1.0, 1_700_000_100)])
        assert count() == 2


def test_a_cluster_that_is_away_stops_nothing(
    tmp_path: Path, address: Address, clickhouse: ClickHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, without the password, and what changed is shipped when it is back."""
    caplog.set_level(logging.INFO, "tally.cluster")
    catalog = Catalog(tmp_path)
    catalog.create("daily", resolution=10, retention=0)
    clickhouse.stop()
    with replicating(settings(tmp_path, address, clickhouse)):
        wait_for(lambda: "is shipped later" in caplog.text, "the warning")
        catalog.record([("a", 1.0, 1_700_000_000)])
        clickhouse.start()
        wait_for(lambda: "can be used again" in caplog.text, "the recovery")
    with closing(Connection(address)) as connection:
        assert [(1,)] == connection.execute(f"SELECT count() FROM {address.database}.cells")
    assert caplog.text.count("is shipped later") == 1
    assert "secret" not in caplog.text


def test_without_a_cluster_nothing_happens(tmp_path: Path) -> None:
    """The block just runs."""
    with replicating(Settings.load({"TALLY_DATA_DIR": str(tmp_path)})):
        pass
    assert [] == [*tmp_path.iterdir()]
