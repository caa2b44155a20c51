"""Writes the samples of a collector to one archive, and counts what became of them.

Samples that cannot be committed are appended to a spill file beside the archive. A later flush, of any collector,
replays the file. If the spill file cannot be written, the samples stay in memory, and the next flush retries them.
Beyond a limit the oldest are dropped and counted.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tally.engine import glob
from tally.engine.archive import Archive
from tally.engine.asking.names import each_name
from tally.engine.definition import Definition
from tally.engine.storing import clock, merging, spill
from tally.engine.storing.capacity import UNBOUNDED
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.merging import Cells
from tally.engine.storing.spill import Batch
from tally.errors import ArchiveDamaged, SpillUnusable, TallyError, UnknownArchive
from tally.log import pluralize

logger = logging.getLogger("tally.collector")

# The longest time that one flush spends on replaying a spill file.
REPLAY_S = 5.0
BUSY_WAIT_S = 10.0
END_WAIT_S = 5.0
PAUSE_MAX_S = 0.05


@dataclass(slots=True)
class Account:
    """The samples of one archive since the start, by what became of them.

    `dropped` samples are lost: they exceeded the limit in memory or memory ran out, their archive was disabled,
    replaced or deleted before they were committed, or their spill record is corrupt. `spilled` samples went into the
    spill file. `taken_up` samples were replayed from it, whichever process spilled them, and are then counted again by
    their outcome. `pending` samples wait for the next flush; `error` says why.
    """

    stored: int = 0
    expired: int = 0
    cardinality: int = 0
    dropped: int = 0
    spilled: int = 0
    taken_up: int = 0
    pending: int = 0
    error: str = ""

    @property
    def has_gaps(self) -> bool:
        """Whether some samples never reached the archive, or may still be in its spill file."""
        return bool(self.dropped or self.spilled)

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of a commit."""
        self.stored += outcome.stored
        self.expired += outcome.expired
        self.cardinality += outcome.cardinality


class LockWait:
    """Waits for locks: BUSY_WAIT_S each time, but after `shorten` at most END_WAIT_S in total."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._until = 0.0
        self._end = float("inf")

    def __call__(self, tries: int) -> bool:
        """Sleep before the next try, and return True; return False once the time since the first try is up."""
        now = self._steady()
        if tries == 0:
            self._until = now + BUSY_WAIT_S
        left = min(self._until, self._end) - now
        if left <= 0:
            return False
        time.sleep(min(0.001 * (tries + 1), PAUSE_MAX_S, left))
        return True

    def shorten(self) -> None:
        """Limit all waits from now on to END_WAIT_S in total, including one that has begun."""
        self._end = min(self._end, self._steady() + END_WAIT_S)


class ArchiveWriter:
    """Collects the samples for `archive` until they are committed or spilled."""

    def __init__(self, archive: Archive, wait: spill.Wait, *, max_names: int = 0) -> None:
        self.account = Account()
        # The most cells that may wait from one flush to the next.
        self.room = UNBOUNDED
        self.definition: Definition | None = None
        # The identity of the directory in which the archive was last seen.
        self.directory_id: tuple[int, int] | None = None
        # The definition is a placeholder because the archive is too damaged to be read.
        self.has_placeholder = False
        self._archive = archive
        self._wait = wait
        self._max_names = max_names
        self._pending: Cells = {}
        # The previous definition, if another archive has replaced this one since the last samples.
        self._replaced: Definition | None = None
        # In monotonic time: when the oldest pending sample arrived, and since when the archive cannot be written.
        self._waits_since: float | None = None
        self._fails_since: float | None = None
        self._logged = ""
        self._doubts_clock = False
        # A spill file and resolution that cannot be replayed together, and why.
        self._unusable_spill: object = None
        self._spill_error = ""

    def refresh(self) -> None:
        """Read the definition. While it cannot be read, the previous one stays in use.

        If the archive is too damaged to be read at all, every sample is spilled in buckets of one second. The archive's
        pattern is applied when the spill file is replayed.
        """
        try:
            definition = self._archive.definition()
        except TallyError as error:
            self.account.error = str(error)
            if self.definition is None and isinstance(error, ArchiveDamaged):
                self.definition = Definition.create(self._archive.slug, resolution=1, retention=0, percentiles=1)
                self.has_placeholder = True
            elif self.definition is None:
                self._log_once("it gets no samples until it can be read")
            return
        if self.definition is None:
            logger.info("%s", _describe(definition))
        elif self.has_placeholder:
            pending, self._pending = self._pending, {}
            _merge(self._pending, glob.select(pending, definition.pattern), definition)
        elif definition.resolution % self.definition.resolution:
            self._drop(list(self._pending))
            self._replaced = self.definition
        self.definition, self.has_placeholder = definition, False

    def to_dict(self, now: float) -> dict[str, Any]:
        """Return the account, with the age of the oldest pending sample and of the present failure in seconds."""
        return {
            **asdict(self.account),
            "waiting": _age(self._waits_since, now),
            "failing": _age(self._fails_since, now),
        }

    def update_failure(self, since: float) -> None:
        """Record whether the flush that began at `since` could write the archive."""
        self._fails_since = (self._fails_since or since) if self.account.error else None

    def write(self, cells: Cells, resolution: int, now: float, *, since: float, is_last: bool = False) -> Cells:
        """Add the matching cells and commit them, and return them."""
        taken = self.add(cells, resolution, since)
        self.commit(now, is_last=is_last)
        return taken

    def add(self, cells: Cells, resolution: int, since: float) -> Cells:
        """Add the matching ones of `cells`, in buckets of `resolution` seconds, to the pending ones, and return them.

        The first of them arrived at `since`. If the archive was created after they were rolled up and its buckets are
        finer, it starts with the next batch; samples for an archive that it replaced are dropped.
        """
        if self.definition is None:
            return {}
        replaced, self._replaced = self._replaced, None
        if self.definition.resolution % resolution:
            lost = glob.select(cells, replaced.pattern) if replaced else {}
            self.account.dropped += merging.count(lost)
            return lost
        matching: Cells = {}
        if self.definition.enabled:
            matching = self._merge(cells, self.definition)
            self._waits_since = self._waits_since or since
        else:
            self._drop(list(self._pending))
        self._count_pending()
        return matching

    def _merge(self, cells: Cells, definition: Definition) -> Cells:
        """Merge the matching cells into the pending ones, and return them.

        If memory runs out, count the others as dropped, and return all cells.
        """
        before = merging.count(self._pending)
        try:
            matching = glob.select(cells, definition.pattern)
            _merge(self._pending, matching, definition)
        except MemoryError:
            matches = glob.matcher(definition.pattern)
            came = sum(cell[0] for row in cells.values() for name, cell in row.items() if matches(name))
            lost = before + round(came) - merging.count(self._pending)
            self.account.dropped += lost
            logger.error("out of memory: dropped %s of %s", pluralize(lost, "sample"), self._archive.slug)
            return cells
        return matching

    def commit(self, now: float, *, is_last: bool = False) -> None:
        """Commit pending cells, expire old buckets and replay the spill file; spill the cells if the commit fails.

        The last flush replays nothing, since that may take long.
        """
        if self.definition is None or not self.definition.enabled:
            return
        try:
            outcome = self._archive.merge(self._pending, Rules(now, self._max_names), wait=self._wait)
        except UnknownArchive as error:  # Deleted a moment ago.
            self.account.error = str(error)
            self._log_once("its samples are kept in memory")
            self._enforce_room()
        except (TallyError, MemoryError) as error:
            self.account.error = str(error) or "out of memory"
            self.spill_pending()
            self._enforce_room()
        else:
            self._record_outcome(outcome)
            if not is_last:
                self._replay_spill(now)

    def _record_outcome(self, outcome: Outcome) -> None:
        self._pending = {}
        self._log_clock_doubt(is_doubted=outcome.is_doubted)
        self.account.add(outcome)
        self._count_pending()
        if self._logged:
            logger.info("archive %s can be written again", self._archive.slug)
        self.account.error, self._logged = self._spill_error, ""

    def spill_pending(self) -> None:
        """Move pending cells to the spill file, as many as can be written."""
        assert self.definition is not None
        name = spill.spill_path(self._archive.path).name
        try:
            while self._pending:
                self._spill_some(self.definition.resolution)
            self._log_once(f"its samples are spilled to {name} until it can be written")
        except (TallyError, MemoryError) as error:
            why = str(error) or "out of memory"
            if why not in self.account.error:
                self.account.error += f"; {why}"
            self._log_once("its samples are kept in memory and tried again at each flush")
        self._count_pending()

    def _spill_some(self, resolution: int) -> None:
        cells = merging.split_off(self._pending, spill.RECORD_CELLS)
        try:
            spill.append(
                self._archive.path, Batch(cells, resolution, is_selected=not self.has_placeholder), wait=self._wait
            )
        except BaseException:
            merging.merge(self._pending, cells, resolution)  # No cell is in both.
            raise
        self.account.spilled += merging.count(cells)

    def _replay_spill(self, now: float) -> None:
        """Commit spilled samples for up to REPLAY_S. An unusable file stays as it is; other errors are retried."""
        assert self.definition is not None
        identity = spill.fingerprint(self._archive.path)
        if identity is not None and (identity, self.definition.resolution) == self._unusable_spill:
            return
        if identity is None:
            self.account.error = self._spill_error = ""
            return
        before, deadline = self.account.taken_up, time.monotonic() + REPLAY_S
        try:
            for taken in spill.replay(self._archive, now=now, max_names=self._max_names, wait=self._wait):
                self._count_replayed(taken)
                if time.monotonic() > deadline:
                    break
        except SpillUnusable as error:
            logger.error("%s", error)
            self.account.error = self._spill_error = str(error)
            self._unusable_spill = (identity, self.definition.resolution)
        except TallyError as error:
            logger.warning("%s", error)
        else:
            self.account.error = self._spill_error = ""
        if count := self.account.taken_up - before:
            logger.info("archive %s took up %s", self._archive.slug, pluralize(count, "spilled sample"))

    def _count_replayed(self, taken: spill.Replayed) -> None:
        self.account.taken_up += taken.samples
        if taken.outcome is not None:
            self.account.add(taken.outcome)
            return
        self.account.dropped += taken.samples
        name = spill.spill_path(self._archive.path).name
        logger.error(
            "%s: dropped a record with a wrong checksum, of about %s", name, pluralize(taken.samples, "sample")
        )

    def has_spill(self) -> bool:
        """Return whether the archive has a spill file."""
        return spill.fingerprint(self._archive.path) is not None

    def drop_deleted(self) -> None:
        """Drop the pending cells of an archive that was deleted."""
        if self.definition is not None:
            count = merging.count(self._pending)
            dropped = f": dropped {pluralize(count, 'uncommitted sample')}" if count else ""
            logger.warning("archive %s was deleted%s", self._archive.slug, dropped)
            if self.has_spill():
                path = spill.spill_path(self._archive.path)
                logger.warning("%s: its samples are kept until an archive of this name exists again", path)
            self._drop(list(self._pending))
            self._count_pending()
            self.account.error = "there is no such archive"
        self.definition = None

    def spill_or_drop(self) -> tuple[int, str] | None:
        """Spill pending cells, and drop those that cannot be. Return how many samples are lost and why, or None."""
        if self._pending:
            self.spill_pending()
        lost = merging.count(self._pending)
        if not self._pending:
            return None
        self._drop(list(self._pending))
        self._count_pending()
        return lost, self.account.error

    @property
    def waiting_cells(self) -> int:
        """The weight of the cells that wait for the next flush."""
        return sum(map(merging.weigh_row, self._pending.values()))

    def names(self) -> Iterator[str]:
        """Yield the names in the archive.

        :raises TallyError: when they cannot be read.
        """
        return each_name(self._archive.path)

    def _enforce_room(self) -> None:
        """Drop cells beyond `room`: the oldest buckets first, then the newest names of the last bucket."""
        surplus = self.waiting_cells - self.room
        *older, last = sorted(self._pending) or [0]
        for bucket in older:
            if surplus > 0:
                surplus -= merging.weigh_row(self._pending[bucket])
                self._drop([bucket])
        while surplus > 0:
            name, cell = self._pending[last].popitem()
            surplus -= merging.weigh_row({name: cell})
            self.account.dropped += merging.count({last: {name: cell}})
        self._count_pending()

    def _drop(self, buckets: list[int]) -> None:
        for bucket in buckets:
            self.account.dropped += merging.count({bucket: self._pending.pop(bucket)})

    def _count_pending(self) -> None:
        self.account.pending = merging.count(self._pending)
        if not self._pending:
            self._waits_since = None

    def _log_clock_doubt(self, *, is_doubted: bool) -> None:
        """Log once when the archive starts to doubt the clock, and once when it stops."""
        if is_doubted and not self._doubts_clock:
            logger.warning("%s", clock.describe_doubt(self._archive.slug))
        elif self._doubts_clock and not is_doubted:
            logger.info("archive %s: the clock is trusted again", self._archive.slug)
        self._doubts_clock = is_doubted

    def _log_once(self, consequence: str) -> None:
        """Log the error and its consequence, unless the last message had the same consequence."""
        if self._logged != consequence:
            logger.error("%s; %s", self.account.error, consequence)
        self._logged = consequence


def _merge(target: Cells, cells: Cells, definition: Definition) -> None:
    merging.merge(target, cells, definition.resolution, sketched=definition.percentiles > 0)


def _describe(definition: Definition) -> str:
    kept = f"kept {definition.retention} h" if definition.retention else "kept for ever"
    percentiles = f", percentiles within {definition.percentiles} %" if definition.percentiles else ""
    metrics = "all metrics" if definition.pattern == "*" else f"metrics matching {definition.pattern}"
    disabled = "" if definition.enabled else ", disabled"
    return f"{definition.slug}: {definition.resolution} s buckets, {kept}, {metrics}{percentiles}{disabled}"


def _age(since: float | None, now: float) -> float | None:
    return None if since is None else now - since
