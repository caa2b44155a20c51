"""A collector in its own process, and the samples that it has stored."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tally.engine import Catalog
from tests.processes import Running, started

Aggregates = Mapping[str, float]


class Collecting:
    """A running collector with one archive."""

    def __init__(self, running: Running, directory: Path) -> None:
        self.running = running
        self._archive = Catalog(directory)["all"]

    @property
    def port(self) -> int:
        """The UDP port."""
        return self.running.udp_port

    @property
    def tcp_port(self) -> int:
        """The TCP port."""
        return int(self.running.said(r"collecting on TCP \S+ port (\d+)")[1])

    def stored(self) -> dict[str, Aggregates]:
        """Return the aggregates of all stored samples by name."""
        found: dict[str, Aggregates] = self._archive.aggregate(by="name")
        return found

    def end(self) -> dict[str, tuple[float, ...]]:
        """Stop the collector, and return `(count, sum, min, max)` of all stored samples by name."""
        assert 0 == self.running.end(signal.SIGTERM)
        return {
            name: tuple(each[key] for key in ("count", "sum", "min", "max")) for name, each in self.stored().items()
        }


@contextmanager
def collecting(directory: Path, *arguments: str, **settings: object) -> Iterator[Collecting]:
    """Start a collector with an archive for all names, and stop it at the end.

    Without a flush time among the settings it flushes when it ends.
    """
    Catalog(directory).create("all", resolution=10)
    with started(directory, "collect", *arguments, **{"TALLY_FLUSH_TIME": 3600, **settings}) as running:
        yield Collecting(running, directory)
