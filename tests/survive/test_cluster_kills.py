"""`kill -9` of collectors, replicators and the server: the cluster then answers what their archives have together."""

import random
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from tally.cluster.address import Address
from tally.cluster.task import replicate
from tally.engine import Archive, Catalog
from tally.errors import ArchiveUnavailable
from tally.settings import Settings
from tests.api.asking import ask
from tests.clickhouse import ClickHouse
from tests.cluster.asking import Both
from tests.processes import started, wait_for
from tests.survive.load import Sender, books
from tests.survive.scale import chance, scaled

ROUNDS = scaled(1, 30)
SOURCES = ("web1", "web2", "web3")[: scaled(2, 3)]
TARGETS = (
    "/values/daily/",
    "/values/daily/p95/?limit=3",
    "/aggregate/daily/",
    "/aggregate/daily/byname/?limit=7&percentiles=50",
    "/histogram/daily/",
    "/names/daily/?q=in.*",
    "/timedata/daily/?step=5",
)


def check_once(both: Both, directory: Path) -> None:
    """Fail if a bucket of a source has more samples in the cluster than in its archive, which gets them first."""
    for name in SOURCES:
        found = ask(both.cluster, f"/aggregate/daily/count/?source={name}")
        if found.status != 404:  # Its replicator was killed before it began.
            assert found.status == 200
            most = Catalog(directory / name)["daily"].aggregate("count")
            assert not {at: n for at, n in found.json.items() if n > most.get(int(at), 0)}, name


def is_renamed(archive: Archive, name: str) -> bool:
    """Rename a name, and return whether that was possible: on a busy machine, others may hold the lock for too long."""
    try:
        archive.rename(name, "in.9")
    except ArchiveUnavailable:
        return False
    return True


def run_and_kill(directory: Path, setting: str, random: random.Random, server: ClickHouse) -> None:
    """Let all collect and ship, the last by a replicator of its own; kill the server, a name's history, and all."""
    with ExitStack() as stack:
        for name in SOURCES:
            place, shipping = directory / name, {"TALLY_CLUSTER": setting, "TALLY_SOURCE": name}
            before = len(books(place))
            is_apart = name == SOURCES[-1]
            running = stack.enter_context(started(place, "collect", **({} if is_apart else shipping)))
            if is_apart:
                stack.enter_context(started(place, "replicate", **shipping))
            stack.enter_context(Sender(running.udp_port, random).at_work())
            wait_for(lambda place=place, before=before: len(books(place)) > before, "the first flush")  # type: ignore[misc]
        # The moments are the simulation: there is nothing to wait for.
        time.sleep(random.uniform(0.2, 1))
        server.stop()
        archive, name = Catalog(directory / random.choice(SOURCES))["daily"], f"in.{random.randrange(9)}"
        wait_for(lambda: is_renamed(archive, name), "the lock of the archive")
        time.sleep(random.uniform(0, 0.3))
        server.start()
        time.sleep(random.uniform(0, 1))


def test_killed_at_random_moments(tmp_path: Path, clickhouse: ClickHouse, address: Address) -> None:
    """No sample counts twice after a kill, and none is missing after the last pass."""
    random = chance("cluster")
    both = Both(tmp_path, address, sources=0)
    setting = clickhouse.setting(address.database)
    for catalog in (both.oracle, *(Catalog(tmp_path / name) for name in SOURCES)):
        catalog.create("daily", resolution=1, retention=0, percentiles=1)
    for _ in range(ROUNDS):
        run_and_kill(tmp_path, setting, random, clickhouse)
        both.now = time.time()
        check_once(both, tmp_path)
    stop = threading.Event()
    stop.set()  # After one pass.
    for name in SOURCES:
        variables = {"TALLY_CLUSTER": setting, "TALLY_SOURCE": name, "TALLY_DATA_DIR": str(tmp_path / name)}
        replicate(Settings.load(variables), address, stop)
    both.oracle["daily"].merge_files([Catalog(tmp_path / name)["daily"].path for name in SOURCES])
    both.now = time.time()
    for target in TARGETS:
        both.check(target)
    counts = ask(both.cluster, "/aggregate/daily/count/bysource/").json
    assert counts == {name: sum(Catalog(tmp_path / name)["daily"].aggregate("count").values()) for name in SOURCES}
    assert min(counts.values()) > 0
