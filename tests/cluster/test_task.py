"""Replication beside a collector, in a real process."""

import logging
import os
import signal
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tally.cluster.address import Address
from tally.cluster.cluster import Cluster
from tally.cluster.connection import Connection
from tally.cluster.progress import FILE, Backlog, Progress
from tally.cluster.task import replicating
from tally.engine import Catalog
from tally.settings import Settings
from tests.clickhouse import ClickHouse
from tests.processes import started, wait_for


def settings(directory: Path, address: Address, clickhouse: ClickHouse) -> Settings:
    """Return settings with a cluster."""
    given = {"TALLY_CLUSTER": clickhouse.setting(address.database), "TALLY_SOURCE": "web1", "TALLY_FLUSH_TIME": "0.1"}
    return Settings.load({**given, "TALLY_DATA_DIR": str(directory)})


def progress(directory: Path) -> Progress:
    """Return what the replicator has written."""
    found = Progress.read(directory)
    assert found is not None
    return found


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
        wait_for(lambda: Progress.read(tmp_path), "the progress after the warning")
        catalog.record([("a", 1.0, 1_700_000_000)])
        wait_for(lambda: progress(tmp_path).failing and progress(tmp_path).backlog.cells == 1, "the progress")
        assert "refused" in progress(tmp_path).errors[0]
        clickhouse.start()
        wait_for(lambda: "can be used again" in caplog.text, "the recovery")
    assert (None, 0, ()) == (progress(tmp_path).failing, progress(tmp_path).backlog.cells, progress(tmp_path).errors)
    with closing(Connection(address)) as connection:
        assert [(1,)] == connection.execute(f"SELECT count() FROM {address.database}.cells")
    assert caplog.text.count("is shipped later") == 1
    assert "secret" not in caplog.text


def test_without_a_cluster_nothing_happens(tmp_path: Path) -> None:
    """The block just runs, and nobody sees the progress of earlier."""
    Progress("web1", 1.0, Backlog(None, None, 0)).write(tmp_path)
    with replicating(Settings.load({"TALLY_DATA_DIR": str(tmp_path)})):
        pass
    assert [] == [*tmp_path.iterdir()]


def test_a_refused_source_is_reported(tmp_path: Path, address: Address, clickhouse: ClickHouse) -> None:
    """Another data directory has its name."""
    with Cluster(address) as cluster:
        cluster.claim("web1", "another", stamp=1)
    with replicating(settings(tmp_path, address, clickhouse)):
        wait_for(lambda: Progress.read(tmp_path), "the progress")
    (text,) = progress(tmp_path).errors
    assert text.startswith("not replicating: another data directory replicates as 'web1'")


def test_no_process_shows_the_password(tmp_path: Path) -> None:
    """Neither its arguments nor its log, while the cluster is away."""
    Catalog(tmp_path).create("daily", resolution=10, retention=0)
    cluster = "clickhouse://me:secr3t@127.0.0.1:1/tally"
    with started(tmp_path, "collect", "--workers", "2", TALLY_CLUSTER=cluster) as running:
        running.said("is shipped later")
        wait_for(lambda: len([*tmp_path.glob("collector-*.json")]) == 2, "both collectors")
        wait_for((tmp_path / FILE).exists, "the progress")
        group = os.getpgid(running.process.pid)
        arguments = []
        for each in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.getpgid(int(each.name)) == group:
                    arguments.append((each / "cmdline").read_text())
        running.end(signal.SIGTERM)
    assert len(arguments) >= 2
    assert not [text for text in (*arguments, *running.lines, (tmp_path / FILE).read_text()) if "secr3t" in text]
