"""Replication into a real server: what the cluster has is what the archives have, and counts once."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tally.cluster import replicator as module
from tally.cluster.address import Address
from tally.cluster.cluster import Cluster
from tally.cluster.connection import Connection
from tally.cluster.replicator import Replicator
from tally.engine import Catalog
from tally.engine.storing.tracking import START, Tracker
from tally.errors import ClusterRefused, ClusterUnavailable

NOW = 1_700_000_000.0
# The cells that count: of each key the row with the greatest version, if that was shipped with the floor that is known.
COUNTED = """
SELECT archive, source, bucket, name, row.1, row.2, row.3, row.4, row.5, row.6 FROM (
    SELECT archive, source, bucket, name,
        argMax((count, sum, min, max, arraySum(weights), is_sketched, floor), version) AS row, max(version) AS newest
    FROM {0}.cells GROUP BY archive, source, bucket, name
) AS shipped ALL INNER JOIN (SELECT archive, source, floor FROM {0}.archives FINAL) AS floors USING (archive, source)
WHERE floors.floor BETWEEN row.7 AND newest
"""


class Site:
    """A data directory with its replicator, as the source `name`."""

    def __init__(self, directory: Path, address: Address, name: str = "web1") -> None:
        self.name = name
        self.now = NOW
        self.catalog = Catalog(directory, clock=lambda: self.now, steady=lambda: self.now)
        self.address = address
        self.cluster = Cluster(address)
        self.restart()

    def restart(self) -> None:
        """Begin with a new replicator, as after a crash."""
        self.cluster.__exit__()
        self.cluster = Cluster(self.address)
        self.replicator = Replicator(
            self.catalog, self.cluster, name=self.name, identity=f"id-{self.name}", clock=lambda: self.now
        )

    def cells(self) -> set[tuple[Any, ...]]:
        """Return all cells of the archives, as `counted` does."""
        found = set()
        for archive in self.catalog.archives():
            for name, times in archive.values().items():
                for bucket, cell in times.items():
                    numbers = (cell["count"], cell["sum"], cell["min"], cell["max"])
                    is_sketched = bool(archive.definition().percentiles)
                    sketch = (cell["count"] if is_sketched else 0, int(is_sketched))
                    found.add((archive.slug, self.name, bucket, name, *map(float, numbers), *sketch))
        return found


def counted(address: Address) -> set[tuple[Any, ...]]:
    """Return the cells that count in the cluster."""
    with closing(Connection(address)) as connection:
        return set(connection.execute(COUNTED.format(address.database)))


def expected(sites: Iterable[Site]) -> set[tuple[Any, ...]]:
    """Return what the cluster should have."""
    return set().union(*(site.cells() for site in sites))


Make = Callable[[str], Site]


@pytest.fixture
def make(tmp_path: Path, address: Address) -> Iterator[Make]:
    """Return a function that makes a source; its connection is closed at the end."""
    with ExitStack() as stack:

        def make(name: str) -> Site:
            found = Site(tmp_path / name, address, name)
            stack.callback(lambda: found.cluster.__exit__())
            return found

        yield make


@pytest.fixture
def site(make: Make) -> Site:
    """Make a data directory with samples in two archives."""
    found = make("web1")
    found.catalog.create("daily", resolution=10)
    found.catalog.create("sketched", resolution=60, retention=0, percentiles=1)
    found.catalog.record([(f"page.p{n % 7}", n * 0.25, NOW - n) for n in range(500)])
    return found


def test_the_cluster_has_what_the_archives_have(site: Site, address: Address) -> None:
    """The first pass ships everything, and the next only what has changed."""
    assert site.replicator.ship().cells == len(site.cells())
    assert counted(address) == expected([site])
    assert site.replicator.ship().cells == 0
    site.catalog.record([("page.p1", 1.0, NOW), ("page.new", 2.0, NOW - 3000)])
    assert 0 < site.replicator.ship().cells < 40
    assert counted(address) == expected([site])


@pytest.mark.parametrize("most", [1, 3, 7])
def test_small_batches_ship_the_same(most: int, site: Site, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is larger than a batch is shipped in several."""
    monkeypatch.setattr(module, "BATCH_CELLS", most)
    site.replicator.ship()
    assert counted(address) == expected([site])
    assert Tracker(site.catalog["daily"].path).backlog() == (None, 0)


def test_a_bucket_that_changes_between_its_batches_stays_marked(site: Site) -> None:
    """Its first cells may be stale in the cluster, so that the bucket is shipped again."""
    tracker = Tracker(site.catalog["daily"].path)
    tracker.start()
    site.catalog.record([(f"page.p{n}", 1.0, NOW) for n in range(5)])
    batch = tracker.read_batch(START, most=10_000, span_s=10**9)
    tracker.acknowledge(batch.version, batch.marks)
    site.catalog.record([(f"page.p{n}", 1.0, NOW) for n in range(5)])
    first = tracker.read_batch(START, most=2, span_s=10**9)
    assert first.end is not None
    site.catalog.record([("page.p0", 5.0, NOW)])
    second = tracker.read_batch(first.end, most=100, span_s=10**9)
    tracker.acknowledge(second.version, second.marks)
    assert tracker.backlog().cells > 0


def test_a_history_that_is_rewritten_between_batches_counts_once(
    site: Site, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is shipped of the new history before the cluster knows that the old one no longer counts."""
    site.replicator.ship()
    monkeypatch.setattr(module, "BATCH_CELLS", 50)
    site.catalog.record([(f"page.p{n % 7}", 1.0, NOW - n) for n in range(500)])
    insert = site.cluster.insert

    def rename(*arguments: Any, **given: Any) -> None:
        insert(*arguments, **given)
        site.catalog["daily"].rename("page.*", "web.*")
        site.cluster.insert = insert  # type: ignore[method-assign]

    site.cluster.insert = rename  # type: ignore[method-assign]
    site.replicator.ship()
    assert max(Counter(row[:3] for row in counted(address)).values()) <= 7
    site.replicator.ship()
    assert expected([site]) == counted(address)


def test_history_that_is_rewritten_counts_once(site: Site, address: Address) -> None:
    """Renames, removals, coarser buckets, other percentiles and deletion follow."""
    site.replicator.ship()
    changes: list[Callable[[], Any]] = [
        lambda: site.catalog["daily"].rename("page.*", "web.*"),
        lambda: site.catalog["daily"].remove("web.p3"),
        lambda: site.catalog["daily"].remove("web.p4", until=NOW - 200),
        lambda: site.catalog["daily"].edit(resolution=30),
        lambda: site.catalog["sketched"].edit(percentiles=4),
        lambda: site.catalog["sketched"].edit(percentiles=0),
        lambda: site.catalog.delete("sketched"),
        lambda: site.catalog.create("sketched", resolution=20, retention=0),
        lambda: site.catalog.record([("again", 1.0, NOW)]),
    ]
    for change in changes:
        change()
        site.replicator.ship()
        assert counted(address) == expected([site])


def test_a_restored_archive_is_shipped_again(site: Site, address: Address, tmp_path: Path) -> None:
    """What the backup does not have no longer counts."""
    site.replicator.ship()
    site.catalog["daily"].backup(tmp_path / "copy.db")
    site.catalog.record([("page.p1", 1.0, NOW)])
    site.replicator.ship()
    site.catalog.restore(tmp_path / "copy.db", "daily", replace=True)
    site.catalog.record([("page.p2", 9.0, NOW) for _ in range(20)])
    site.restart()
    site.replicator.ship()
    assert counted(address) == expected([site])


def test_a_clock_that_goes_back_loses_no_floor(site: Site, address: Address) -> None:
    """What a process publishes replaces what an earlier one, whose clock was ahead, has published."""
    site.now = NOW + 3600
    site.replicator.ship()
    site.now = NOW
    site.restart()
    site.catalog["daily"].rename("page.*", "web.*")
    site.replicator.ship()
    assert counted(address) == expected([site])


def test_two_directories_cannot_have_one_name(site: Site, tmp_path: Path) -> None:
    """The second is refused, and so is another name for the first."""
    site.replicator.ship()
    other = Catalog(tmp_path / "other")
    with pytest.raises(ClusterRefused, match="another data directory replicates as 'web1'"):
        Replicator(other, site.cluster, name="web1", identity="other").ship()
    with pytest.raises(ClusterRefused, match="replicates as 'web1', not as 'web2'"):
        Replicator(site.catalog, site.cluster, name="web2", identity="id-web1").ship()


def test_sources_that_disagree_about_a_resolution(site: Site, make: Make) -> None:
    """The error names both, and the other archives are shipped."""
    site.replicator.ship()
    other = make("web2")
    other.catalog.create("daily", resolution=20)
    other.catalog.create("weekly", resolution=300, retention=0)
    other.catalog.record([("page.p1", 1.0, NOW)])
    found = other.replicator.ship()
    assert [str(error) for error in found.errors] == [
        "archive daily is not shipped: its resolution is 20 in web2, but 10 in web1"
    ]
    assert found.cells == 1


def test_expired_samples_are_counted(site: Site) -> None:
    """Samples that expire before they are shipped are counted."""
    Tracker(site.catalog["daily"].path).start()
    site.now = NOW + 25 * 3600
    site.catalog["daily"].confirm_clock()
    site.catalog.record([("late", 1.0, site.now)])
    assert site.replicator.ship().expired == 500


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_every_cell_counts_once(seed: int, make: Make, tmp_path: Path, address: Address) -> None:
    """Three sources, in any order of samples, passes, crashes, renames, removals and restores."""
    chance = random.Random(seed)
    sites = [make(name) for name in ("web1", "web2", "web3")]
    for site in sites:
        site.catalog.create("daily", resolution=10, retention=0, percentiles=chance.choice([0, 2]))
    for _ in range(30):
        step(chance, chance.choice(sites), tmp_path)
        assert len({row[:4] for row in counted(address)}) == len(counted(address))
    for site in sites:
        site.restart()
        site.replicator.ship()
    assert counted(address) == expected(sites)


def step(chance: random.Random, site: Site, tmp_path: Path) -> None:
    """Do one thing that may happen to a source."""
    archive = site.catalog["daily"]
    names = [f"page.p{n}" for n in range(5)]
    what = chance.choice(["record", "record", "record", "ship", "crash", "rename", "remove", "copy", "restore"])
    copy = tmp_path / f"{site.name}.copy"
    if what == "record":
        samples = [(chance.choice(names), chance.randrange(64) / 8, NOW - chance.randrange(300)) for _ in range(20)]
        site.catalog.record(samples)
    elif what == "ship":
        site.replicator.ship()
    elif what == "crash":
        crash(chance, site)
    elif what == "rename":
        archive.rename(chance.choice(names), chance.choice(names))
    elif what == "remove":
        archive.remove(chance.choice(names), since=NOW - chance.randrange(300))
    elif what == "copy":
        copy.unlink(missing_ok=True)
        archive.backup(copy)
    elif copy.exists():
        site.catalog.restore(copy, "daily", replace=True)
        site.restart()


def crash(chance: random.Random, site: Site) -> None:
    """Fail at the nth call of the cluster, before or after it has happened."""
    cluster = site.replicator._cluster
    calls, is_done = chance.randrange(1, 6), chance.random() < 0.5
    real = cluster._connection.insert

    def insert(*arguments: Any, **settings: Any) -> None:
        nonlocal calls
        calls -= 1
        if calls > 0 or is_done:
            real(*arguments, **settings)
        if calls <= 0:
            raise ClusterUnavailable("crash")

    cluster._connection.insert = insert  # type: ignore[method-assign]
    with suppress(ClusterUnavailable):
        site.replicator.ship()
    site.restart()


def test_a_copied_directory_keeps_its_archives_apart(site: Site, make: Make, address: Address, tmp_path: Path) -> None:
    """A copy that replicates under a name of its own is another source."""
    site.replicator.ship()
    shutil.copytree(tmp_path / "web1", tmp_path / "web2")
    other = make("web2")
    other.replicator.ship()
    assert counted(address) == expected([site, other])
