"""Samples straight into the archives of a data directory, where there is no collector to send them to."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic, time

from tally.engine import Archive, Catalog
from tally.errors import TallyError
from tally.settings import Settings
from tally.wire import Reason, lines, parse_line

logger = logging.getLogger("tally.client")

# A disk that is full shall not fill the log as well.
COMPLAIN_EVERY_S = 60.0


class Recorder:
    """Stores what a collector would have taken, each call durable when it returns. Safe to share, like the archives.

    What cannot be stored is lost and logged, at most once in COMPLAIN_EVERY_S: a program must not fail of its metrics,
    whichever way they take.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time) -> None:
        self._settings = settings
        self._clock = clock
        self._catalog = Catalog(settings.data_dir, clock=clock)
        self._quiet_until = 0.0

    def record(self, datagrams: Iterable[bytes]) -> None:
        """Store the lines of all datagrams, one transaction an archive."""
        now = int(self._clock())
        found = [parse_line(line, now, self._settings.max_future) for each in datagrams for line in lines(each)]
        samples = [sample for sample in found if not isinstance(sample, Reason)]
        if len(samples) < len(found):
            self._complain(f"{len(found) - len(samples)} are more than TALLY_MAX_FUTURE ahead of the clock")
        try:
            self._catalog.record(samples, max_names=self._settings.max_names)
        except (TallyError, OSError) as error:
            self._complain(error)

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
