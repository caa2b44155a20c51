"""From a rollup to the archives: each gets the cells that match its pattern, in one transaction, at each flush.

The directory is read anew each time, so archives appear, change and go with their files. An archive that cannot be
written, or whose directory is gone, keeps its cells with its keeper, and the others do not notice.
"""

import logging
import math
import time
from collections.abc import Callable
from itertools import chain
from typing import Any

from tally.collector.admission import Door
from tally.collector.archive_writer import Keeper, Patience
from tally.engine import glob
from tally.engine.catalog import Catalog
from tally.engine.storing.capacity import UNBOUNDED
from tally.engine.storing.clock import RetentionClock
from tally.engine.storing.rollup import Cells, Rollup
from tally.errors import TallyError

logger = logging.getLogger("tally.collector")

WAITING_PART = 4


class Store:
    """The archives of a catalog as a collector writes them; one call at a time.

    A quarter of `max_cells` may wait from one flush to the next, as much for each archive.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        max_names: int = 0,
        max_cells: int = UNBOUNDED,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._max_cells = max_cells
        self._door: Door | None = None
        self._steady = steady
        self._retention = RetentionClock()
        self._patience = Patience(steady)
        self._max_names = max_names
        self._left: list[Rollup] = []
        self._keepers: dict[str, Keeper] = {}
        self._home: tuple[int, int] | None = None
        self._is_lost = False

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Return each archive's account as it is now by slug; from any thread."""
        now = self._steady()
        return {slug: keeper.told(now) for slug, keeper in sorted(self._keepers.items())}

    def resolution(self) -> int:
        """Return the longest bucket, in seconds, of which every known archive's are made up; 1 when there are none."""
        known = [keeper.definition.resolution for keeper in self._keepers.values() if keeper.definition]
        return math.gcd(*known) or 1

    def look(self) -> None:
        """Learn which archives there are and what they want.

        One that was deleted stays in the books if it lost samples. One that went with its directory keeps its samples:
        the directory may come back.
        """
        try:
            home = self._catalog.identity()
            archives = self._catalog.archives()
            if home != self._catalog.identity():
                return  # The list may be of either directory: the next look will tell.
        except TallyError as error:
            self._lose(str(error))
            return
        if home is None:
            if self._keepers:
                self._lose(f"{self._catalog.directory}: the data directory is gone")
            return
        self._find(home, {archive.slug for archive in archives})
        for archive in archives:
            if archive.slug not in self._keepers:
                self._keepers[archive.slug] = Keeper(archive, self._patience, max_names=self._max_names)
            self._keepers[archive.slug].home = home
            self._keepers[archive.slug].look()
        for slug in self._keepers.keys() - {archive.slug for archive in archives}:
            if self._keepers[slug].home != home:
                continue
            self._keepers[slug].leave()
            if not self._keepers[slug].account.has_gaps:
                del self._keepers[slug]
        self._share_room()

    def _share_room(self) -> None:
        """Give each archive as much room for what waits, those too whose directory is gone."""
        keepers = [keeper for keeper in self._keepers.values() if keeper.definition is not None]
        for keeper in keepers:
            keeper.room = self._max_cells // WAITING_PART // len(keepers)

    def _lose(self, why: str) -> None:
        if not self._is_lost:
            logger.error("%s; what is known of the archives stands, and their samples are kept in memory", why)
        self._is_lost = True

    def _find(self, home: tuple[int, int], slugs: set[str]) -> None:
        """Tell where the data directory is there again, or is another one than before."""
        directory = self._catalog.directory
        if self._home not in (None, home):
            missing = ", ".join(sorted(self._keepers.keys() - slugs)) or "none"
            told = "%s: is another directory than before; archives that are not in it, and keep their samples: %s"
            logger.warning(told, directory, missing)
        elif self._is_lost:
            logger.info("%s: the data directory can be read again", directory)
        self._home, self._is_lost = home, False

    def flush(self, batch: Rollup, now: float, *, since: float | None = None, is_last: bool = False) -> None:
        """Commit what `batch` holds and what earlier flushes could not, archive by archive; count what matches none.

        The first sample of the batch came at `since`, by the clock that never steps; by default now.

        :raises MemoryError: when there is none for taking what a batch holds; then the next flush tries that again.
        """
        began = self._steady()
        came = began if since is None else since
        self._left.append(batch)
        is_crowded = batch.size >= batch.capacity.free
        now = self._retention.now(now, began)
        self.look()
        while self._left:
            resolution, cells = self._left[0].resolution, self._left[0].take()
            del self._left[0]
            if is_crowded and self._door is None:
                self._door = self._new_door(cells)
            left = cells
            for keeper in self._keepers.values():
                taken = keeper.keep(cells, resolution, now, since=came, is_last=is_last)
                left = glob.without(left, taken)
                keeper.note(began)
            batch.reject_unmatched(left)
        self._door = self._new_door({}) if is_crowded else None

    def admits(self, name: str) -> bool:
        """Return whether a name may have a cell though there are too many; may be called while a flush is under way."""
        door = self._door
        return door is None or door.admits(name)

    def _new_door(self, in_flight: Cells) -> Door | None:
        """Return what admits names that archives have, or have places for beside the names of cells in flight.

        None where that cannot be told.
        """
        if not self._max_names:
            return None
        door = Door(self._max_names)
        for keeper in self._keepers.values():
            if keeper.definition is None or not keeper.definition.enabled:
                continue
            try:
                door.add(keeper.definition.pattern, keeper.names())
            except (TallyError, MemoryError):
                return None
        for name in chain.from_iterable(in_flight.values()):
            door.admits(name)
        return door

    @property
    def waiting_cells(self) -> int:
        """As how many the cells count that wait for the next flush."""
        return sum(keeper.waiting_cells for keeper in self._keepers.values())

    def has_spills(self) -> bool:
        """Return whether samples wait in a spill file to be taken up."""
        return any(keeper.has_spill() for keeper in self._keepers.values())

    def hurry(self) -> None:
        """Wait for other processes no longer than is right at the end; to be called from any thread."""
        self._patience.end()

    def give_up(self) -> dict[str, tuple[int, str]]:
        """Return by slug how many samples could be neither committed nor spilled, and why; they count as dropped.

        Lines of batches that could not be taken for want of memory are not among them: see `broken`.
        """
        found = {slug: keeper.give_up() for slug, keeper in sorted(self._keepers.items())}
        return {slug: lost for slug, lost in found.items() if lost}

    def broken(self) -> int:
        """Return how many lines are in batches that could not be taken, as there was no memory."""
        return sum(batch.accepted for batch in self._left)
