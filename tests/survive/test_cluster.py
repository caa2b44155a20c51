"""A simulation: whatever happens to three sources, the cluster then answers what one archive with all samples answers.

Before, no sample counts twice: no bucket of a source has more samples than were recorded there.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tally.cluster.address import Address
from tally.cluster.cluster import Cluster
from tally.cluster.connection import Connection
from tally.cluster.progress import Progress
from tally.cluster.replicator import Replicator
from tally.engine import Catalog
from tally.errors import ClusterUnavailable
from tests.api.asking import ask
from tests.cluster.asking import NOW, Both, Source, random_samples, random_target
from tests.processes import free_ports
from tests.survive.scale import scaled

SEEDS = range(scaled(1, 10))
ROUNDS = scaled(200, 400)
RESOLUTIONS = {"daily": 10, "hourly": 60}
SENT_MAX = 20
ENDED = threading.Event()
ENDED.set()


class Network(Connection):
    """A connection that may lose an insert, or its acknowledgement, and that can repeat what was inserted long ago."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.sent: list[tuple[str, Any, dict[str, Any]]] = []
        self.lost_at = 0
        self.is_done = False

    def insert(self, statement: str, columns: Any, **settings: Any) -> None:
        """Insert, and remember it."""
        self.lost_at -= 1
        if self.lost_at != 0 or self.is_done:
            super().insert(statement, columns, **settings)
            self.sent = [*self.sent[1 - SENT_MAX :], (statement, columns, settings)]
        if self.lost_at == 0:
            raise ClusterUnavailable("lost")


class Site:
    """A source with its replicator, which runs until it is restarted."""

    def __init__(self, source: Source, address: Address) -> None:
        self.source = source
        self.network = Network(address)
        self.nowhere = Connection(replace(address, hosts=(("127.0.0.1", free_ports(1)[0]),)))
        self.recorded: Counter[int] = Counter()
        self.restart()

    def restart(self) -> None:
        """Begin with a new replicator, as after a kill."""
        self.replicator = Replicator(
            self.source.catalog,
            Cluster(self.network.address, self.network),
            name=self.source.name,
            identity=f"id-{self.source.name}",
            clock=lambda: self.source.now,
        )

    def ship(self) -> Progress | None:
        """Make a pass, as the thread of a collector does, and return what it has told other processes."""
        self.replicator.run(ENDED, interval_s=1)
        return Progress.read(self.source.catalog.directory)

    def ship_nowhere(self) -> None:
        """Make a pass while the cluster refuses connections."""
        cluster = self.replicator._cluster
        self.replicator._cluster = Cluster(self.nowhere.address, self.nowhere)
        progress = self.ship()
        assert progress is not None
        assert progress.failing is not None
        self.replicator._cluster = cluster

    def lose(self, number: int, *, is_done: bool) -> None:
        """Lose the insert of this number, or its acknowledgement, in a pass."""
        self.network.lost_at, self.network.is_done = number, is_done
        self.ship()
        self.network.lost_at = 0

    def repeat(self, chance: random.Random) -> None:
        """Insert again what was inserted before, in any order."""
        for statement, columns, settings in chance.sample(self.network.sent, min(3, len(self.network.sent))):
            Connection.insert(self.network, statement, columns, **settings)


class Simulation:
    """Three sources, and one archive for each of theirs that has all samples."""

    def __init__(self, directory: Path, address: Address, seed: int) -> None:
        self.chance = random.Random(seed)
        self.both = Both(directory, address, sources=3)
        self.sites = [Site(source, address) for source in self.both.sources]
        percentiles = self.chance.choice([1, 2])
        for slug, resolution in RESOLUTIONS.items():
            self.both.create(slug, resolution=resolution, retention=0, percentiles=percentiles)

    def step(self) -> str:
        """Do one thing that may happen, and return its name."""
        site = self.chance.choice(self.sites)
        steps: list[Callable[[Site], Any]] = [
            self.record, self.record, self.record, self.ship, self.ship, self.restart, self.lose, self.be_away,
            self.repeat, self.turn_clock, self.rename, self.remove, self.delete,
        ]  # fmt: skip
        chosen = self.chance.choice(steps)
        chosen(site)
        return chosen.__name__

    def record(self, site: Site) -> None:
        """Names that all have, names of its own, and late samples."""
        samples = list(random_samples(self.chance, 20, span_s=self.chance.choice([60, 600])))
        samples += [(self.own_name(site), 0.5, NOW - self.chance.randrange(600))]
        self.both.record(self.sites.index(site), samples)
        site.recorded.update(int(time) for _, _, time in samples)

    def own_name(self, site: Site) -> str:
        """Return a name that no other source has."""
        return f"{site.source.name}.p{self.chance.randrange(3)}"

    def ship(self, site: Site) -> None:
        """Make a pass."""
        site.ship()

    def restart(self, site: Site) -> None:
        """Make a pass with a new replicator."""
        site.restart()
        site.ship()

    def lose(self, site: Site) -> None:
        """Lose an insert, and perhaps the replicator."""
        site.lose(self.chance.randrange(1, 6), is_done=self.chance.random() < 0.5)
        if self.chance.random() < 0.5:
            site.restart()

    def be_away(self, site: Site) -> None:
        """Make a pass while the cluster refuses connections."""
        site.ship_nowhere()

    def repeat(self, site: Site) -> None:
        """Repeat earlier inserts."""
        site.repeat(self.chance)

    def turn_clock(self, site: Site) -> None:
        """Let the clock of a source be wrong by minutes."""
        site.source.now = NOW + self.chance.randrange(-300, 300)

    def catalogs(self) -> list[Catalog]:
        """Return those of all sources, and the one of all samples."""
        return [*(site.source.catalog for site in self.sites), self.both.oracle]

    def rename(self, site: Site) -> None:
        """Rename names of one source, or of all."""
        if self.chance.random() < 0.5:
            old, new = self.own_name(site), self.own_name(site)
            catalogs = [site.source.catalog, self.both.oracle]
        else:
            old, new = (f"{self.chance.choice('ab')}.get.p{self.chance.randrange(4)}" for _ in range(2))
            catalogs = self.catalogs()
        for catalog in catalogs:
            catalog["daily"].rename(old, new)

    def remove(self, site: Site) -> None:
        """Remove a part of a name from one source, or from all."""
        is_own = self.chance.random() < 0.5
        name = self.own_name(site) if is_own else f"{self.chance.choice('ab')}.post.*"
        since = NOW - self.chance.randrange(300)
        for catalog in [site.source.catalog, self.both.oracle] if is_own else self.catalogs():
            catalog["daily"].remove(name, since=since)

    def delete(self, _site: Site) -> None:
        """Delete an archive everywhere, and create it anew."""
        percentiles = self.chance.choice([1, 2])
        for catalog in self.catalogs():
            catalog.delete("hourly")
            catalog.create("hourly", resolution=60, retention=0, percentiles=percentiles)

    def check_once(self) -> None:
        """Fail if a bucket of a source has more samples than were recorded."""
        for site in self.sites:
            for slug, resolution in RESOLUTIONS.items():
                most: Counter[int] = Counter()
                for second, count in site.recorded.items():
                    most[second // resolution * resolution] += count
                found = ask(self.both.cluster, f"/aggregate/{slug}/count/?source={site.source.name}")
                assert found.status == 200
                assert not {at: n for at, n in found.json.items() if n > most[int(at)]}, (slug, site.source.name)

    def check_answers(self, count: int) -> None:
        """Ship all, and ask random questions."""
        for site in self.sites:
            progress = site.ship()
            assert progress is not None
            assert (progress.failing, progress.errors, progress.backlog.cells) == (None, (), 0)
        for slug in RESOLUTIONS:
            self.both.check(f"/values/{slug}/?percentiles=50")
        for _ in range(count):
            target = random_target(self.chance)
            self.both.check(target.replace("/daily/", f"/{self.chance.choice([*RESOLUTIONS])}/", 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_answers_are_those_of_one_archive(
    tmp_path: Path, address: Address, request: pytest.FixtureRequest, seed: int
) -> None:
    """The steps are printed if it fails; the seed stands in the name of the test."""
    simulation = Simulation(tmp_path, address, seed)
    for site in simulation.sites:
        request.addfinalizer(site.network.close)
    simulation.check_answers(0)
    for number in range(1, ROUNDS + 1):
        print(number, simulation.step())  # noqa: T201
        if number % 20 == 0:
            simulation.check_once()
        if number % 100 == 0:
            simulation.check_answers(5)
    simulation.check_answers(20)
