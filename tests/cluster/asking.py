"""Sources and the one archive with all their samples, to compare what the cluster and a file answer."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tally.api.service import Service
from tally.cluster.address import Address
from tally.cluster.cluster import Cluster
from tally.cluster.replicator import Replicator
from tally.engine import Catalog
from tally.errors import TallyError
from tests.api.asking import ask, settings

NOW = 1_700_000_600.0
GLOBS = ["a.*", "*.get.*", "b.?*.p[12]*", "a.get.p1", "*;env=prod", "[^a].*", "nothing", "*ü*", "a.[", "*", "[]ab].*"]
TAGS = ["env=prod", "env!=prod", "env=~^pr|te", "env!=~t", "host=", "env=x", "name=~a.*p1$", "host!=", "env=~(?i)PROD"]
Sample = tuple[str, float, float]


class Source:
    """A data directory that replicates as `name`."""

    def __init__(self, directory: Path, address: Address, now: float = NOW) -> None:
        self.name = directory.name
        self.now = now
        self.catalog = Catalog(directory, clock=lambda: self.now, steady=lambda: self.now)
        self._address = address

    def ship(self) -> list[TallyError]:
        """Ship what has changed, as a new process, and return what could not be shipped."""
        with Cluster(self._address) as cluster:
            replicator = Replicator(
                self.catalog, cluster, name=self.name, identity=f"id-{self.name}", clock=lambda: self.now
            )
            return replicator.ship().errors


def setting(address: Address) -> str:
    """Return the value of TALLY_CLUSTER."""
    login = f"{address.user}:{address.password}@" if address.password else ""
    return str(address).replace("://", f"://{login}", 1)


class Both:
    """Sources `web1`, `web2`, ..., and the service of a directory with all samples beside that of the cluster."""

    def __init__(self, directory: Path, address: Address, *, sources: int = 2) -> None:
        self.now = NOW
        self.address = address
        self.sources = [Source(directory / f"web{number + 1}", address) for number in range(sources)]
        self.oracle = Catalog(directory / "oracle", clock=lambda: self.now, steady=lambda: self.now)
        self.files = self._service(directory / "oracle")
        self.cluster = self._service(directory / "empty", cluster=setting(address), answer_from="cluster")

    def _service(self, directory: Path, **chosen: Any) -> Service:
        return Service(settings(directory, **chosen), clock=lambda: self.now)

    def create(self, slug: str, **properties: Any) -> None:
        """Create an archive everywhere."""
        for catalog in (self.oracle, *(each.catalog for each in self.sources)):
            catalog.create(slug, **properties)

    def record(self, source: int, samples: Iterable[Sample]) -> None:
        """Store samples in a source and in the oracle."""
        given = list(samples)
        self.sources[source].catalog.record(given)
        self.oracle.record(given)

    def move_clock(self, seconds: float) -> None:
        """Let time pass everywhere."""
        self.now += seconds
        for each in self.sources:
            each.now = self.now

    def ship(self) -> None:
        """Ship all sources, again if one has waited for another to change its resolution too."""
        errors = [error for each in self.sources for error in each.ship()]
        if errors:
            assert not [error for each in self.sources for error in each.ship()]

    def check(self, target: str) -> bytes:
        """Ask both, and return the body that both answer."""
        expected, found = ask(self.files, target), ask(self.cluster, target)
        assert (found.status, found.body) == (expected.status, expected.body), target
        return expected.body


def random_samples(chance: random.Random, count: int, *, span_s: int = 600) -> Iterator[Sample]:
    """Yield samples whose sums are exact."""
    for _ in range(count):
        name = f"{chance.choice('ab')}.{chance.choice(['get', 'post', 'ü'])}.p{chance.randrange(4)}"
        tags = chance.choice(["", f";env={chance.choice(['prod', 'test'])}", ";env=prod;host=h1;env=x"])
        yield name + tags, chance.randrange(-40, 400) / 8, NOW - chance.randrange(span_s)


def random_target(chance: random.Random) -> str:
    """Return a random question about the archive `daily`, most of which make sense."""
    kind = chance.choice(["values", "values", "aggregate", "aggregate", "timedata", "histogram", "names"])
    slug = chance.choice(["daily", "daily", "daily", "auto"])
    aggregate = chance.choice(["", "count", "sum", "avg", "min", "max", "p50", "p95"])
    by = chance.choice(["", "bytime", "byname"])
    path = [kind, slug, *((aggregate,) if aggregate and kind not in ("histogram", "names") else ())]
    if by and kind in ("values", "aggregate"):
        path.append(by)
    return f"/{'/'.join(path)}/?{urlencode(list(_random_fields(chance, kind, by, aggregate)))}"


def _random_fields(chance: random.Random, kind: str, by: str, aggregate: str) -> Iterator[tuple[str, str]]:
    choices = {"q": GLOBS, "where": TAGS}
    if kind != "names":
        early, late = NOW - chance.randrange(700), NOW - chance.randrange(300)
        choices |= {"since": [f"{early:.0f}"], "until": [f"{late:.0f}"], "step": ["20", "60", "300", "7"]}
    if kind in ("values", "timedata") or (kind == "aggregate" and by != "byname"):
        choices["moving"] = ["60", "120", "300"]
    if kind == "values" or (kind == "aggregate" and by == "byname"):
        choices["limit"] = ["1", "3", "5"]
        choices["group"] = ["node:0", "node:1", "node:-1,0", "node:5", "tag:env", "tag:name,host"]
    if kind in ("values", "aggregate", "timedata"):
        choices["format"] = ["rows", "csv", "json"]
        choices |= {"low": ["1"], "high": ["30.5", "5"]} if aggregate else {"percentiles": ["50,99.9"]}
    if kind == "timedata":
        choices["fill"] = ["0", "previous", "null"]
    if kind == "histogram":
        choices["bins"] = ["3", "10"]
    choices["pretty"] = ["1"]
    for name, texts in choices.items():
        for _ in range(chance.choice([0, 0, 1] if name not in ("q", "where") else [0, 0, 1, 2])):
            yield name, chance.choice(texts)
