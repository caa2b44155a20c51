"""Stores samples directly in the archives of a data directory, without a collector."""

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

# A full disk must not fill the log too.
LOG_EVERY_S = 60.0


class Recorder:
    """Stores samples like a collector; each call is durable when it returns. May be shared by threads.

    Samples that cannot be stored are dropped and logged, at most once in LOG_EVERY_S, since metrics must not make a
    program fail.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time) -> None:
        self._settings = settings
        self._clock = clock
        self._catalog = Catalog(settings.data_dir, clock=clock)
        self._log_due = 0.0
        self._refused: Counter[str] = Counter()
        self._lock = forks.lock()
        forks.register(self)

    def after_fork(self) -> None:
        """Forget the parent's losses, which the parent logs."""
        self._log_due = 0.0
        self._refused = Counter()

    def record(self, datagrams: Iterable[bytes]) -> None:
        """Store the lines of all datagrams, in one transaction per archive."""
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
            self._log("; ".join([*self._count(refused), *map(str, errors)]))

    def _count(self, refused: Counter[str]) -> list[str]:
        """Add `refused` to the losses since the start, and return these as phrases."""
        with self._lock:
            self._refused += refused
            return [f"{count} were {why}" for why, count in self._refused.items()]

    def _log(self, losses: str) -> None:
        now = monotonic()
        if now >= self._log_due:
            self._log_due = now + LOG_EVERY_S
            logger.error("samples are lost: %s", losses)


def enabled(directory: Path) -> list[Archive]:
    """Return the enabled archives by slug. A file that cannot be read is logged and skipped."""
    archives = []
    for archive in Catalog(directory).archives():
        try:
            if archive.definition().enabled:
                archives.append(archive)
        except TallyError as error:
            logger.warning("%s", error)
    return archives
