"""From a rollup to the archives: each gets the cells that match its pattern, in one transaction, at each flush.

The directory is read anew each time, so archives appear, change and go with their files. An archive that cannot be
written keeps its cells here, PENDING_CELLS of them from one flush to the next, and is tried again then; the others do
not notice. What there is no room for is counted as dropped.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice

from tally.engine import glob, rollup
from tally.engine.archive import Archive
from tally.engine.catalog import Catalog
from tally.engine.definition import Definition
from tally.engine.retention import Retention
from tally.engine.rollup import Cells, Rollup
from tally.errors import TallyError

logger = logging.getLogger("tally.collector")

PENDING_CELLS = 250_000


@dataclass(slots=True)
class Account:
    """What became of the samples of one archive since the start.

    `stored`, `expired` and `cardinality` count samples, as does `dropped`: those there was no room to keep while the
    archive could not be written, or whose archive was disabled, replaced or deleted meanwhile. `pending` samples wait
    for the next flush; `error` says why, and is empty otherwise.
    """

    stored: int = 0
    expired: int = 0
    cardinality: int = 0
    dropped: int = 0
    pending: int = 0
    error: str = ""


class Keeper:
    """One archive as a collector writes it: what is known of it, and what waits to be written."""

    def __init__(self, archive: Archive) -> None:
        self.account = Account()
        self.definition: Definition | None = None
        self._archive = archive
        self._pending: Cells = {}

    def look(self) -> None:
        """Read the definition; while it cannot be read, the one known before stands."""
        try:
            definition = self._archive.definition()
        except TallyError as error:
            self._fail(error)
            return
        if self.definition is None:
            logger.info("archive %s takes %s", definition.slug, definition.pattern)
        elif definition.resolution % self.definition.resolution:
            self._drop(list(self._pending))  # Another archive has taken its place.
        self.definition = definition

    def take(self, cells: Cells, resolution: int) -> Cells:
        """Keep those of `cells`, in buckets of `resolution` seconds, that belong into the archive, and return them.

        An archive that has come since they were rolled up, with buckets that theirs do not make up, begins with the
        next ones.
        """
        if self.definition is None or self.definition.resolution % resolution:
            return {}
        matching: Cells = {}
        if self.definition.enabled:
            matching = glob.select(cells, self.definition.pattern)
            rollup.merge(self._pending, matching, self.definition.resolution)
        else:
            self._drop(list(self._pending))
        self.account.pending = rollup.count(self._pending)
        return matching

    def commit(self, now: float, max_names: int) -> None:
        """Write what is kept, and let the archive expire what is old."""
        if self.definition is None or not self.definition.enabled:
            return
        try:
            outcome = self._archive.commit(self._pending, now=now, max_names=max_names, are_checked=True)
        except TallyError as error:
            self._fail(error)
            self._bound()
            return
        self._pending = {}
        account = self.account
        account.stored += outcome.stored
        account.expired += outcome.expired
        account.cardinality += outcome.cardinality
        account.pending = 0
        if account.error:
            logger.info("archive %s can be written again", self._archive.slug)
            account.error = ""

    def leave(self) -> None:
        """Drop what waits for an archive that is gone; it may come again."""
        if self.definition is not None:
            waiting = rollup.count(self._pending)
            logger.warning("archive %s is gone, and with it %s samples that waited", self._archive.slug, waiting)
            self._drop(list(self._pending))
            self.account.pending = 0
            self.account.error = "there is no such archive"
        self.definition = None

    def _bound(self) -> None:
        """Keep PENDING_CELLS at most: the oldest buckets are dropped, and of the last one its newest names."""
        while len(self._pending) > 1 and sum(map(len, self._pending.values())) > PENDING_CELLS:
            self._drop([min(self._pending)])
        for row in self._pending.values():
            surplus = dict(islice(row.items(), PENDING_CELLS, None))
            self.account.dropped += rollup.count({0: surplus})
            for name in surplus:
                del row[name]
        self.account.pending = rollup.count(self._pending)

    def _drop(self, buckets: list[int]) -> None:
        for bucket in buckets:
            self.account.dropped += rollup.count({bucket: self._pending.pop(bucket)})

    def _fail(self, error: TallyError) -> None:
        if not self.account.error:
            kept = "its samples are kept in memory and tried again at each flush"
            logger.error("%s; %s", error, kept if self.definition else "it gets no samples until it can be read")
        self.account.error = str(error)


class Store:
    """The archives of a catalog as a collector writes them; one call at a time."""

    def __init__(self, catalog: Catalog, *, max_names: int = 0, steady: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._steady = steady
        self._retention = Retention()
        self._max_names = max_names
        self._keepers: dict[str, Keeper] = {}
        self._is_lost = False

    def accounts(self) -> dict[str, dict[str, int | str]]:
        """Return each archive's account by slug."""
        return {slug: asdict(keeper.account) for slug, keeper in sorted(self._keepers.items())}

    def resolution(self) -> int:
        """Return the longest bucket, in seconds, of which every known archive's are made up; 1 when there are none."""
        known = [keeper.definition.resolution for keeper in self._keepers.values() if keeper.definition]
        return math.gcd(*known) or 1

    def look(self) -> None:
        """Learn which archives there are and what they want; one that is gone stays in the books if it lost samples."""
        try:
            archives = self._catalog.archives()
        except TallyError as error:
            if not self._is_lost:
                logger.error("%s; what is known of the archives stands", error)
            self._is_lost = True
            return
        self._is_lost = False
        for archive in archives:
            if archive.slug not in self._keepers:
                self._keepers[archive.slug] = Keeper(archive)
            self._keepers[archive.slug].look()
        for slug in self._keepers.keys() - {archive.slug for archive in archives}:
            self._keepers[slug].leave()
            if not self._keepers[slug].account.dropped:
                del self._keepers[slug]

    def flush(self, batch: Rollup, now: float) -> None:
        """Commit what `batch` holds and what earlier flushes could not, archive by archive; count what matches none."""
        cells = batch.take()
        now = self._retention.now(now, self._steady())
        self.look()
        taken = [keeper.take(cells, batch.resolution) for keeper in self._keepers.values()]
        batch.leave(glob.unmatched(cells, taken))
        for keeper in self._keepers.values():
            keeper.commit(now, self._max_names)
