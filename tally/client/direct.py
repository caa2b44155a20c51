"""Samples straight into the archives of a data directory, where there is no collector to send them to."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic, time

from tally import forks
from tally.engine import Archive, Catalog
from tally.errors import TallyError
from tally.lines.grammar import parse_line
from tally.lines.plain import Reason, Sample, lines
from tally.settings import Settings

logger = logging.getLogger("tally.client")

# A disk that is full shall not fill the log as well.
COMPLAIN_EVERY_S = 60.0


class Recorder:
    """Stores what a collector would have taken, each call durable when it returns. Safe to share, like the archives.

    What cannot be stored is lost and logged, at most once in COMPLAIN_EVERY_S with all that was refused until then: a
    program must not fail of its metrics, whichever way they take.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time) -> None:
        self._settings = settings
        self._clock = clock
        self._catalog = Catalog(settings.data_dir, clock=clock)
        self._quiet_until = 0.0
        self._refused: Counter[str] = Counter()
        self._lock = forks.lock()
        forks.join(self)

    def after_fork(self) -> None:
        """Leave it to the parent to tell what was refused until now."""
        self._quiet_until = 0.0
        self._refused = Counter()

    def record(self, datagrams: Iterable[bytes]) -> None:
        """Store the lines of all datagrams, one transaction an archive."""
        now = int(self._clock())
        found = [parse_line(line, now, self._settings.max_future) for each in datagrams for line in lines(each)]
        samples = [sample for sample in found if isinstance(sample, Sample)]
        refused = Counter({"more than TALLY_MAX_FUTURE ahead of the clock": found.count(Reason.FUTURE)})
        errors: list[TallyError] = []
        try:
            stored = self._catalog.distribute(samples, max_names=self._settings.max_names)
            errors = stored.errors
            refused["of a name that no enabled archive keeps"] += stored.unmatched
            refused["for an archive that could not be written"] += stored.failed
            for outcome in stored.outcomes.values():
                refused["older than an archive's retention"] += outcome.expired
                refused["of a name more than TALLY_MAX_NAMES in an archive"] += outcome.cardinality
        except TallyError as error:
            errors = [error]
            refused["for archives that could not be read"] += len(samples)
        if refused.total() or errors:
            self._complain("; ".join([*self._counted(refused), *map(str, errors)]))

    def _counted(self, refused: Counter[str]) -> list[str]:
        """Return what was refused since the start, with `refused`, which is counted whether or not it is logged."""
        with self._lock:
            self._refused += refused
            return [f"{count} were {why}" for why, count in self._refused.items()]

    def _complain(self, what: object) -> None:
        now = monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + COMPLAIN_EVERY_S
            logger.error("samples are lost: %s", what)


def enabled(directory: Path) -> list[Archive]:
    """Return the archives that take samples, by slug; a file that cannot be read is logged and left out."""
    archives = []
    for archive in Catalog(directory).archives():
        try:
            if archive.definition().enabled:
                archives.append(archive)
        except TallyError as error:
            logger.warning("%s", error)
    return archives
