"""Distributes a rollup to the archives at each flush: each archive commits the cells that match its pattern.

The data directory is listed at each flush, so archives may be created, changed and deleted at any time. An archive that
cannot be written does not affect the others.
"""

import logging
import math
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from tally.collector.admission import NameAdmission
from tally.collector.archive_writer import ArchiveWriter, LockWait
from tally.engine import glob
from tally.engine.catalog import Catalog
from tally.engine.storing.capacity import UNBOUNDED
from tally.engine.storing.clock import RetentionClock
from tally.engine.storing.merging import Cells
from tally.engine.storing.rollup import Rollup
from tally.errors import TallyError

logger = logging.getLogger("tally.collector")

WAITING_PART = 4


class Store:
    """Writes to the archives of a catalog. Not for concurrent calls, unless a method says so.

    Up to a quarter of `max_cells` may wait from one flush to the next, an equal share for each archive.
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
        self._admission: NameAdmission | None = None
        self._steady = steady
        self._retention = RetentionClock()
        self._lock_wait = LockWait(steady)
        self._max_names = max_names
        self._uncommitted: list[Rollup] = []
        self._writers: dict[str, ArchiveWriter] = {}
        self._directory_id: tuple[int, int] | None = None
        self._is_unavailable = False

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Return the current account of each archive by slug. May be called from any thread."""
        now = self._steady()
        return {slug: writer.to_dict(now) for slug, writer in sorted(self._writers.items())}

    def resolution(self) -> int:
        """Return the greatest common divisor of all resolutions in seconds, or 1 if there are no archives."""
        known = [writer.definition.resolution for writer in self._writers.values() if writer.definition]
        return math.gcd(*known) or 1

    def keeps_sketches(self) -> bool:
        """Return whether any archive keeps percentiles."""
        return any(writer.definition.percentiles for writer in self._writers.values() if writer.definition)

    def refresh(self) -> None:
        """List the archives and read their definitions.

        The account of a deleted archive is kept if it lost samples. If the whole directory is gone, pending samples are
        kept, since it may come back.
        """
        try:
            directory_id = self._catalog.identity()
            archives = self._catalog.archives()
            if directory_id != self._catalog.identity():
                return  # The directory was replaced while it was listed; the next flush lists it again.
        except TallyError as error:
            self._log_unavailable(str(error))
            return
        if directory_id is None:
            if self._writers:
                self._log_unavailable(f"{self._catalog.directory}: the data directory is gone")
            return
        self._log_directory_change(directory_id, {archive.slug for archive in archives})
        for archive in archives:
            if archive.slug not in self._writers:
                self._writers[archive.slug] = ArchiveWriter(archive, self._lock_wait, max_names=self._max_names)
            self._writers[archive.slug].directory_id = directory_id
            self._writers[archive.slug].refresh()
        for slug in self._writers.keys() - {archive.slug for archive in archives}:
            if self._writers[slug].directory_id != directory_id:
                continue
            self._writers[slug].drop_deleted()
            if not self._writers[slug].account.has_gaps:
                del self._writers[slug]
        self._share_room()

    def _share_room(self) -> None:
        """Divide the room for pending cells equally, including archives whose directory is gone."""
        writers = [writer for writer in self._writers.values() if writer.definition is not None]
        for writer in writers:
            writer.room = self._max_cells // WAITING_PART // len(writers)

    def _log_unavailable(self, why: str) -> None:
        if not self._is_unavailable:
            logger.error("%s; samples are kept in memory until it is back", why)
        self._is_unavailable = True

    def _log_directory_change(self, directory_id: tuple[int, int], slugs: set[str]) -> None:
        """Log when the data directory is back, or was replaced by another one."""
        directory = self._catalog.directory
        if self._directory_id not in (None, directory_id):
            missing = ", ".join(sorted(self._writers.keys() - slugs)) or "none"
            text = "%s was replaced by another directory; samples are kept in memory for archives missing from it: %s"
            logger.warning(text, directory, missing)
        elif self._is_unavailable:
            logger.info("%s: the data directory can be read again", directory)
        self._directory_id, self._is_unavailable = directory_id, False

    def flush(self, batch: Rollup, now: float, *, since: float | None = None, is_last: bool = False) -> None:
        """Commit the cells of `batch` and of earlier ones that failed; count the samples that match no archive.

        `since` is the monotonic time at which the first sample of the batch arrived, by default now.

        :raises MemoryError: when a batch cannot be read for lack of memory; the next flush retries it.
        """
        began = self._steady()
        came = began if since is None else since
        self._uncommitted.append(batch)
        is_crowded = batch.size >= batch.capacity.free
        now = self._retention.now(now, began)
        self.refresh()
        while self._uncommitted:
            resolution, cells = self._uncommitted[0].resolution, self._uncommitted[0].take()
            del self._uncommitted[0]
            if is_crowded and self._admission is None:
                self._admission = self._new_admission(cells)
            left = cells
            for writer in self._writers.values():
                taken = writer.write(cells, resolution, now, since=came, is_last=is_last)
                left = glob.without(left, taken)
                writer.update_failure(began)
            batch.reject_unmatched(left)
        self._admission = self._new_admission({}) if is_crowded else None

    def admits(self, name: str) -> bool:
        """Return whether a name may have a cell during a flood. May be called during a flush."""
        admission = self._admission
        return admission is None or admission.admits(name)

    def _new_admission(self, in_flight: Cells) -> NameAdmission | None:
        """Return the admission for the archives' names and free places, or None if their names cannot be read.

        Names of the cells in flight take free places too.
        """
        if not self._max_names:
            return None
        admission = NameAdmission(self._max_names)
        for writer in self._writers.values():
            if writer.definition is None or not writer.definition.enabled:
                continue
            try:
                admission.add(writer.definition.pattern, writer.names())
            except (TallyError, MemoryError):
                return None
        for name in chain.from_iterable(in_flight.values()):
            admission.admits(name)
        return admission

    @property
    def waiting_cells(self) -> int:
        """The weight of the cells that wait for the next flush."""
        return sum(writer.waiting_cells for writer in self._writers.values())

    def has_spills(self) -> bool:
        """Return whether any archive has a spill file."""
        return any(writer.has_spill() for writer in self._writers.values())

    def shorten_waits(self) -> None:
        """Shorten all further waits for locks, for the end. May be called from any thread."""
        self._lock_wait.shorten()

    def spill_or_drop(self) -> dict[str, tuple[int, str]]:
        """Spill or drop all pending samples; return by slug how many were dropped, and why.

        Batches that could not be read for lack of memory are not included: see `count_unread_lines`.
        """
        found = {slug: writer.spill_or_drop() for slug, writer in sorted(self._writers.items())}
        return {slug: lost for slug, lost in found.items() if lost}

    def count_unread_lines(self) -> int:
        """Return the number of lines in batches that could not be read for lack of memory."""
        return sum(batch.accepted for batch in self._uncommitted)


def confirm_clock(directory: Path) -> None:
    """Let all archives in `directory` expire by the clock. An archive that cannot be written is logged and skipped."""
    for archive in Catalog(directory).archives():
        try:
            archive.confirm_clock()
        except TallyError as error:
            logger.warning("%s", error)
    logger.info("the clock is right, by --clock-is-right: old buckets expire at once")
