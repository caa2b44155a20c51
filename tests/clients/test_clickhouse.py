"""Replicated and sharded tables: two shards of two servers each, as examples/cluster/debian.py starts them."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tally.cluster.address import Address
from tally.cluster.cluster import Cluster
from tally.cluster.connection import Connection
from tally.errors import ClusterUnavailable
from tests.api.asking import ask
from tests.cluster.asking import Both, random_samples
from tests.cluster.test_replicator import COUNTED, NOW, Site
from tests.docs.story import ROOT
from tests.processes import wait_for

SCRIPT = ROOT / "examples" / "cluster" / "debian.py"
ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")
# What a server has of the cells of its shard, and of the archives of all.
CELLS = "SELECT count(), sum(cityHash64(bucket, name, source, version)) FROM {}.cells_local FINAL"
ARCHIVES = "SELECT count(), sum(cityHash64(archive, source, floor, stamp)) FROM {}.archives FINAL"
TARGETS = (
    "/values/daily/",
    "/values/daily/sum/?limit=3&since=1700000400",
    "/values/daily/avg/?group=node:0&moving=60&step=20",
    "/values/daily/p95/?limit=2",
    "/aggregate/daily/p90/byname/?limit=4",
    "/aggregate/daily/",
    "/aggregate/daily/avg/byname/?limit=5",
    "/aggregate/daily/byname/?percentiles=50,99&where=env=prod",
    "/histogram/daily/?bins=10",
    "/names/daily/?q=*.get.*",
    "/timedata/daily/?step=60&fill=null",
)


class Servers:
    """The servers that the script has started in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.running = json.loads((directory / "running.json").read_text())
        self.address = Address.parse((directory / "address").read_text().strip())

    def kill(self, name: str) -> None:
        """Kill a server, such as clickhouse-1-1."""
        with suppress(ProcessLookupError):
            os.kill(self.running.pop(name)["process"], signal.SIGKILL)

    def ask(self, name: str, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows that a server answers."""
        only = replace(self.address, hosts=(("127.0.0.1", self.running[name]["port"]),))
        with closing(Connection(only)) as connection:
            return connection.execute(statement)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Start ZooKeeper and the servers, and end them."""
    if not (ZOOKEEPER.exists() and shutil.which("java")):
        if os.environ.get("CI"):
            pytest.fail("zookeeper is missing: .ci/run installs it")
        pytest.skip("zookeeper is missing")
    directory = tmp_path_factory.mktemp("servers") / "cluster"
    command = [sys.executable, str(SCRIPT)]
    subprocess.run([*command, "up", str(directory)], check=True, timeout=120)
    found = Servers(directory)
    try:
        yield found
    finally:
        for name in list(found.running):
            if name != "zookeeper":
                found.kill(name)  # In order, they would take ten seconds.
        subprocess.run([*command, "down", str(directory)], check=True, timeout=120)


def reported(servers: Servers) -> set[str]:
    """Return the sources with cells in the cluster."""
    return {str(source) for (source,) in servers.ask("clickhouse-2-2", "SELECT DISTINCT source FROM tally.cells")}


def settle(servers: Servers, database: str) -> None:
    """Wait until the replicas that are up have the same."""
    for statement, groups in ((CELLS, ("clickhouse-1-", "clickhouse-2-")), (ARCHIVES, ("clickhouse-",))):
        for group in groups:
            names = [name for name in servers.running if name.startswith(group)]

            def agree(names: list[str] = names, statement: str = statement) -> bool:
                first, *others = (servers.ask(name, statement.format(database)) for name in names)
                return all(each == first for each in others)

            wait_for(agree, f"the same on all of {names}")


def check_answers(servers: Servers, both: Both) -> None:
    """Ask the cluster what one archive with all samples answers, and about each source."""
    settle(servers, both.address.database)
    for target in TARGETS:
        both.check(target)
    expected = {each.name: sum(each.catalog["daily"].aggregate("count", by="name").values()) for each in both.sources}
    assert expected == ask(both.cluster, "/aggregate/daily/count/bysource/").json


def fail(*_: Any, **__: Any) -> NoReturn:
    """End a pass before it has told what it did."""
    raise ClusterUnavailable("the process ends here")


def create_by_two_at_once(servers: Servers, database: str) -> Address:
    """Create or upgrade the tables in a database by two commands at once; both succeed. Return its address."""
    command = [sys.executable, "-m", "tally", "cluster", "init", "--on-cluster", "tally"]
    host = servers.address.hosts[-1]
    variables = {**os.environ, "TALLY_CLUSTER": f"clickhouse://default:secret@{host[0]}:{host[1]}/{database}"}
    both = [subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [0, 0] == [each.wait(60) for each in both]
    address = replace(servers.address, database=database)
    with Cluster(address) as cluster:
        assert [] == cluster.read_sources()
    return address


def test_no_answer_counts_a_sample_twice_whatever_lags(servers: Servers, tmp_path: Path) -> None:
    """Whichever table of a server does not get what the others have: after that, it answers the same as one archive."""
    address = create_by_two_at_once(servers, "lagging")
    with closing(Connection(address)) as connection:
        connection.execute("ALTER TABLE lagging.cells_local ON CLUSTER tally DROP COLUMN floor")
        connection.execute("DROP TABLE lagging.cells ON CLUSTER tally")
        earlier = "lagging.cells_local ENGINE = Distributed(tally, lagging, cells_local, cityHash64(name))"
        connection.execute(f"CREATE TABLE lagging.cells ON CLUSTER tally AS {earlier}")
    create_by_two_at_once(servers, "lagging")
    both = Both(tmp_path, address)
    both.create("daily", resolution=10, retention=0, percentiles=1)
    chance = random.Random(20)
    for number in (0, 1):
        both.record(number, random_samples(chance, 150))
    both.ship()
    settle(servers, "lagging")
    behind = Both(tmp_path / "behind", replace(address, hosts=address.hosts[-1:]), sources=0)
    most = both.oracle["daily"].aggregate("count")
    for table, names in (("archives", ("a.*", "c.*")), ("cells_local", ("c.*", "d.*"))):
        servers.ask("clickhouse-2-2", f"SYSTEM STOP FETCHES lagging.{table}")
        for catalog in (both.oracle, *(each.catalog for each in both.sources)):
            catalog["daily"].rename(*names)
        both.ship()
        found = ask(behind.cluster, "/aggregate/daily/count/").json
        assert {} == {at: count for at, count in found.items() if count > most[int(at)]}, table
        servers.ask("clickhouse-2-2", f"SYSTEM START FETCHES lagging.{table}")
        # It tries again at once, where it would wait longer after each attempt.
        servers.ask("clickhouse-2-2", f"SYSTEM RESTART REPLICA lagging.{table}")
    check_answers(servers, both)


def test_an_archive_that_is_created_again_replaces_rows_that_a_replica_lacks(servers: Servers, tmp_path: Path) -> None:
    """A process ends before it reports what it has shipped; the next one asks a replica that does not have that."""
    address = replace(servers.address, database="again")
    of_shard_2 = "SELECT toString(number) AS name FROM numbers(40) WHERE cityHash64(name) % 2"
    names = [name for (name,) in servers.ask("clickhouse-2-1", of_shard_2)]
    whole, lagging = (replace(address, hosts=address.hosts[at:][:1]) for at in (2, 3))
    site = Site(tmp_path, whole, "web1")
    site.cluster.create_tables("tally")
    site.catalog.create("daily", resolution=10, retention=0)
    site.catalog.record([(name, 1.0, NOW) for name in names])
    site.replicator.ship()
    settle(servers, "again")
    servers.ask("clickhouse-2-2", "SYSTEM STOP FETCHES again.cells_local")
    for _ in range(20):
        site.catalog.record([(name, 1.0, NOW) for name in names])
    site.cluster.report = fail  # type: ignore[method-assign]
    with pytest.raises(ClusterUnavailable):
        site.replicator.ship()
    site.now += 1
    site.catalog.delete("daily")
    site.catalog.create("daily", resolution=10, retention=0)
    site.catalog.record([(name, 5.0, NOW) for name in names])
    site.address = lagging
    site.restart()
    site.replicator.ship()
    servers.ask("clickhouse-2-2", "SYSTEM START FETCHES again.cells_local")
    servers.ask("clickhouse-2-2", "SYSTEM RESTART REPLICA again.cells_local")
    settle(servers, "again")
    assert site.cells() == set(servers.ask("clickhouse-2-2", COUNTED.format("again")))
    site.cluster.__exit__()


def test_a_replica_may_be_away(servers: Servers, tmp_path: Path) -> None:
    """Two may create tables at once. Cells are on both servers of a shard; all goes on without one of them."""
    both = Both(tmp_path, create_by_two_at_once(servers, "another"))
    both.create("daily", resolution=10, retention=0, percentiles=1)
    chance = random.Random(18)
    for number in (0, 1, 0):
        both.record(number, random_samples(chance, 150))
        both.ship()
    check_answers(servers, both)
    site = Site(tmp_path / "own", servers.address, "own")
    wait_for(lambda: reported(servers) >= {"web1", "web2"}, "what the collectors of the script report")
    site.catalog.create("daily", resolution=10, retention=0)
    samples = [(f"page.p{n % 97}", n * 0.25, NOW - n) for n in range(900)]
    site.catalog.record(samples[:500])
    site.replicator.ship()
    own = "SELECT count() FROM tally.cells_local"
    wait_for(lambda: servers.ask("clickhouse-1-1", own) == servers.ask("clickhouse-1-2", own), "the replica of a shard")
    wait_for(lambda: servers.ask("clickhouse-2-1", own) == servers.ask("clickhouse-2-2", own), "the other replica")
    assert min(servers.ask(f"clickhouse-{shard}-1", own)[0][0] for shard in (1, 2)) > 0
    servers.kill("clickhouse-1-1")
    check_answers(servers, both)
    both.record(1, random_samples(chance, 150))
    both.ship()
    check_answers(servers, both)
    site.catalog.record(samples[500:])
    site.catalog["daily"].rename("page.p1", "web.p1")
    site.replicator.ship()
    expected = site.cells()
    counted = f"{COUNTED.format('tally')} AND source = 'own'"
    for name in ("clickhouse-1-2", "clickhouse-2-1", "clickhouse-2-2"):
        wait_for(lambda name=name: set(servers.ask(name, counted)) == expected, f"all cells on {name}")  # type: ignore[misc]
    site.cluster.__exit__()
