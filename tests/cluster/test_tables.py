"""The tables: they can be created again, and by several processes at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tally.cluster.address import Address
from tally.cluster.cluster import Cluster
from tally.cluster.tables import create_statements, drop_partition
from tally.errors import ClusterUnavailable
from tests.cluster.test_replicator import NOW, Make, Site, counted, expected, make, site

__all__ = ["Make", "make", "site"]  # pytest finds fixtures by their names.


def create(address: Address) -> None:
    """Create the tables, and read one."""
    with Cluster(address) as cluster:
        cluster.create_tables()
        cluster.create_tables()
        cluster.read_sources()


def test_several_processes_create_the_tables_at_once(address: Address) -> None:
    """Each finds them afterwards."""
    with ThreadPoolExecutor(3) as pool:
        assert [None] * 3 == [*pool.map(create, [address] * 3)]


def test_tables_of_an_earlier_version_are_upgraded(site: Site, address: Address) -> None:
    """Nothing is shipped before. Cells that were shipped then count, until their history is rewritten."""
    site.replicator.ship()
    site.cluster._connection.execute(f"ALTER TABLE {address.database}.cells DROP COLUMN floor")
    site.catalog.record([("page.p1", 1.0, NOW)])
    with pytest.raises(ClusterUnavailable, match="earlier version: upgrade them with `tally cluster init`"):
        site.replicator.ship()
    with ThreadPoolExecutor(3) as pool:
        assert [None] * 3 == [*pool.map(create, [address] * 3)]
    site.replicator.ship()
    assert expected([site]) == counted(address)
    site.catalog["daily"].rename("page.*", "web.*")
    site.replicator.ship()
    assert expected([site]) == counted(address)


def test_the_tables_of_a_cluster_are_replicated_and_sharded() -> None:
    """Every statement names the cluster, and each table has a path of its own."""
    statements = create_statements(Address((("db", 9000),)), "a`b")
    assert all("ON CLUSTER `a\\`b`" in each for each in statements)
    assert "Distributed(`a\\`b`, tally, cells_local, cityHash64(name))" in "".join(statements)
    paths = [each.split("'")[1] for each in statements if "'" in each]
    assert len(paths) == len(set(paths)) == 5
    assert drop_partition("tally", "cells", "('daily',1)", None) == "ALTER TABLE tally.cells DROP PARTITION ('daily',1)"
