"""One archive as a collector writes it: what is known of it, what waits to be written, and what became of the rest.

What cannot be committed at a flush is spilled to a file beside the archive, which is taken up at a later flush, by
whichever collector writes the archive then. What cannot be spilled either stays in memory, as far as there is room, and
is tried again at the next flush; what there is no room for is counted as dropped.
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
from tally.engine.storing import clock, rollup, spill
from tally.engine.storing.capacity import UNBOUNDED, weigh, weigh_all
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.rollup import Cells
from tally.engine.storing.spill import Batch
from tally.errors import ArchiveDamaged, SpillUnusable, TallyError, UnknownArchive

logger = logging.getLogger("tally.collector")

# A flush takes up spilled samples for so long; the rest is for the next one.
REPLAY_S = 5.0
BUSY_WAIT_S = 10.0
END_WAIT_S = 5.0
PAUSE_MAX_S = 0.05


@dataclass(slots=True)
class Account:
    """What became of the samples of one archive since the start.

    All but `error` count samples. `dropped` are those there was no room to keep while the archive could not be written,
    those whose archive was disabled, replaced or deleted meanwhile, and those that were lost. `spilled` went into the
    spill file, and `taken_up` came out of it, whoever spilled them, and count again as what became of them. `pending`
    wait for the next flush; `error` says why, and is empty otherwise.
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
        """Whether samples that came for the archive never got into it, or may be waiting still."""
        return bool(self.dropped or self.spilled)

    def add(self, outcome: Outcome) -> None:
        """Add what became of the samples of a commit."""
        self.stored += outcome.stored
        self.expired += outcome.expired
        self.cardinality += outcome.cardinality


class Patience:
    """How long a collector waits for locks: BUSY_WAIT_S each time, and after `end` END_WAIT_S in all."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._until = 0.0
        self._end = float("inf")

    def __call__(self, tries: int) -> bool:
        """Wait a moment, unless it has been too long since the first of these calls; return whether it waited."""
        now = self._steady()
        if tries == 0:
            self._until = now + BUSY_WAIT_S
        left = min(self._until, self._end) - now
        if left <= 0:
            return False
        time.sleep(min(0.001 * (tries + 1), PAUSE_MAX_S, left))
        return True

    def end(self) -> None:
        """Hurry from now on; a wait that is under way ends in time too."""
        self._end = min(self._end, self._steady() + END_WAIT_S)


class Keeper:
    """Keeps what belongs into `archive` until it is committed or spilled."""

    def __init__(self, archive: Archive, wait: spill.Wait, *, max_names: int = 0) -> None:
        self.account = Account()
        # So many cells wait from one flush to the next at most.
        self.room = UNBOUNDED
        self.definition: Definition | None = None
        # The directory in which the archive was seen last.
        self.home: tuple[int, int] | None = None
        # The definition is a stand-in, as the archive is too damaged for its own to be read.
        self.is_unread = False
        self._archive = archive
        self._wait = wait
        self._max_names = max_names
        self._pending: Cells = {}
        # The definition of an archive whose place another one has taken since the last samples.
        self._replaced: Definition | None = None
        # Since when the oldest of these waits, and the archive cannot be written: of a clock that never steps.
        self._waits_since: float | None = None
        self._fails_since: float | None = None
        self._told = ""
        self._is_doubted = False
        # A spill file that cannot be taken up as long as it and the resolution are these, and why.
        self._stuck: object = None
        self._stays = ""

    def look(self) -> None:
        """Read the definition; while it cannot be read, the one known before stands.

        Of an archive that is too damaged to be read from the start all that comes is spilled, in buckets of a second,
        and its pattern is applied when it is taken up.
        """
        try:
            definition = self._archive.definition()
        except TallyError as error:
            self.account.error = str(error)
            if self.definition is None and isinstance(error, ArchiveDamaged):
                self.definition = Definition.create(self._archive.slug, resolution=1, retention=0)
                self.is_unread = True
            elif self.definition is None:
                self._tell("it gets no samples until it can be read")
            return
        if self.definition is None:
            logger.info("%s", _describe(definition))
        elif self.is_unread:
            pending, self._pending = self._pending, {}
            rollup.merge(self._pending, glob.select(pending, definition.pattern), definition.resolution)
        elif definition.resolution % self.definition.resolution:
            self._drop(list(self._pending))
            self._replaced = self.definition
        self.definition, self.is_unread = definition, False

    def told(self, now: float) -> dict[str, Any]:
        """Return the account, with how many seconds its oldest pending sample waits, and it cannot be written."""
        return {
            **asdict(self.account),
            "waiting": _age(self._waits_since, now),
            "failing": _age(self._fails_since, now),
        }

    def note(self, since: float) -> None:
        """Note after a flush that began at `since` whether the archive can be written."""
        self._fails_since = (self._fails_since or since) if self.account.error else None

    def keep(self, cells: Cells, resolution: int, now: float, *, since: float, is_last: bool = False) -> Cells:
        """Take and commit, one archive after the other, so that no two copies of a batch are in memory for long."""
        taken = self.take(cells, resolution, since)
        self.commit(now, is_last=is_last)
        return taken

    def take(self, cells: Cells, resolution: int, since: float) -> Cells:
        """Keep those of `cells`, in buckets of `resolution` seconds, that belong into the archive, and return them.

        The first of them came at `since`.

        An archive that has come since they were rolled up, with buckets that theirs do not make up, begins with the
        next ones. What was for the archive whose place it has taken is dropped.
        """
        if self.definition is None:
            return {}
        replaced, self._replaced = self._replaced, None
        if self.definition.resolution % resolution:
            lost = glob.select(cells, replaced.pattern) if replaced else {}
            self.account.dropped += rollup.count(lost)
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
        """Keep those of `cells` that match, and return them; what there is no memory for is dropped and counted."""
        before = rollup.count(self._pending)
        try:
            matching = glob.select(cells, definition.pattern)
            rollup.merge(self._pending, matching, definition.resolution)
        except MemoryError:
            matches = glob.matcher(definition.pattern)
            came = sum(cell[0] for row in cells.values() for name, cell in row.items() if matches(name))
            lost = before + round(came) - rollup.count(self._pending)
            self.account.dropped += lost
            logger.error("out of memory: %s samples of %s are lost", lost, self._archive.slug)
            return cells
        return matching

    def commit(self, now: float, *, is_last: bool = False) -> None:
        """Write what is kept, let the archive expire what is old, and take up what was spilled; else spill.

        The last time nothing is taken up, as that may take long.
        """
        if self.definition is None or not self.definition.enabled:
            return
        try:
            outcome = self._archive.merge(self._pending, Rules(now, self._max_names), wait=self._wait)
        except UnknownArchive as error:  # It went a moment ago, and perhaps for good.
            self.account.error = str(error)
            self._tell("its samples are kept in memory")
            self._bound()
        except (TallyError, MemoryError) as error:
            self.account.error = str(error) or "out of memory"
            self.spill_pending()
            self._bound()
        else:
            self._committed(outcome)
            if not is_last:
                self._take_up(now)

    def _committed(self, outcome: Outcome) -> None:
        self._pending = {}
        self._tell_doubt(is_doubted=outcome.is_doubted)
        self.account.add(outcome)
        self._count_pending()
        if self._told:
            logger.info("archive %s can be written again", self._archive.slug)
        self.account.error, self._told = self._stays, ""

    def spill_pending(self) -> None:
        """Move what is kept to the spill file, as far as that can be written."""
        assert self.definition is not None
        name = spill.spill_path(self._archive.path).name
        try:
            while self._pending:
                self._spill_some(self.definition.resolution)
            self._tell(f"its samples are spilled to {name} until it can be written")
        except (TallyError, MemoryError) as error:
            why = str(error) or "out of memory"
            if why not in self.account.error:
                self.account.error += f"; {why}"
            self._tell("its samples are kept in memory and tried again at each flush")
        self._count_pending()

    def _spill_some(self, resolution: int) -> None:
        cells = rollup.split_off(self._pending, spill.RECORD_CELLS)
        try:
            spill.append(self._archive.path, Batch(cells, resolution, is_selected=not self.is_unread), wait=self._wait)
        except BaseException:
            rollup.merge(self._pending, cells, resolution)
            raise
        self.account.spilled += rollup.count(cells)

    def _take_up(self, now: float) -> None:
        """Commit what was spilled, for REPLAY_S; what cannot be now is tried again, or stays where it never will."""
        assert self.definition is not None
        identity = spill.fingerprint(self._archive.path)
        if identity is not None and (identity, self.definition.resolution) == self._stuck:
            return
        if identity is None:
            self.account.error = self._stays = ""
            return
        before, deadline = self.account.taken_up, time.monotonic() + REPLAY_S
        try:
            for taken in spill.replay(self._archive, now=now, max_names=self._max_names, wait=self._wait):
                self._taken_up(taken)
                if time.monotonic() > deadline:
                    break
        except SpillUnusable as error:
            logger.error("%s", error)
            self.account.error = self._stays = str(error)
            self._stuck = (identity, self.definition.resolution)
        except TallyError as error:
            logger.warning("%s", error)
        else:
            self.account.error = self._stays = ""
        if count := self.account.taken_up - before:
            logger.info("archive %s took up %s samples that were spilled", self._archive.slug, count)

    def _taken_up(self, taken: spill.Replayed) -> None:
        self.account.taken_up += taken.samples
        if taken.outcome is not None:
            self.account.add(taken.outcome)
            return
        self.account.dropped += taken.samples
        name = spill.spill_path(self._archive.path).name
        logger.error("%s: a record had a wrong checksum: about %s samples are lost", name, taken.samples)

    def has_spill(self) -> bool:
        """Return whether there is a spill file of the archive."""
        return spill.fingerprint(self._archive.path) is not None

    def leave(self) -> None:
        """Drop what waits for an archive that was deleted; it may come again."""
        if self.definition is not None:
            waiting = rollup.count(self._pending)
            logger.warning("archive %s is gone, and with it %s samples that waited", self._archive.slug, waiting)
            if self.has_spill():
                path = spill.spill_path(self._archive.path)
                logger.warning("%s: samples that were spilled stay in it until there is such an archive again", path)
            self._drop(list(self._pending))
            self._count_pending()
            self.account.error = "there is no such archive"
        self.definition = None

    def give_up(self) -> tuple[int, str] | None:
        """Spill what is left or count it as dropped; return how many samples are lost and why, None where none are."""
        if self._pending:
            self.spill_pending()
        lost = rollup.count(self._pending)
        if not self._pending:
            return None
        self._drop(list(self._pending))
        self._count_pending()
        return lost, self.account.error

    @property
    def waiting_cells(self) -> int:
        """As how many the cells count that wait for the next flush."""
        return sum(map(weigh_all, self._pending.values()))

    def names(self) -> Iterator[str]:
        """Yield the names that the archive has.

        :raises TallyError: when they cannot be told.
        """
        return each_name(self._archive.path)

    def _bound(self) -> None:
        """Keep as many cells as there is room for: the oldest buckets are dropped, and of the last its newest names."""
        surplus = self.waiting_cells - self.room
        *older, last = sorted(self._pending) or [0]
        for bucket in older:
            if surplus > 0:
                surplus -= weigh_all(self._pending[bucket])
                self._drop([bucket])
        while surplus > 0:
            name, cell = self._pending[last].popitem()
            surplus -= weigh(name)
            self.account.dropped += rollup.count({last: {name: cell}})
        self._count_pending()

    def _drop(self, buckets: list[int]) -> None:
        for bucket in buckets:
            self.account.dropped += rollup.count({bucket: self._pending.pop(bucket)})

    def _count_pending(self) -> None:
        self.account.pending = rollup.count(self._pending)
        if not self._pending:
            self._waits_since = None

    def _tell_doubt(self, *, is_doubted: bool) -> None:
        """Say once that the archive doubts the clock, and that it does so no more."""
        if is_doubted and not self._is_doubted:
            logger.warning("%s", clock.describe_doubt(self._archive.slug))
        elif self._is_doubted and not is_doubted:
            logger.info("archive %s: the clock is believed again", self._archive.slug)
        self._is_doubted = is_doubted

    def _tell(self, what: str) -> None:
        """Log the error, and what it means for samples, unless that was told last."""
        if self._told != what:
            logger.error("%s; %s", self.account.error, what)
        self._told = what


def _describe(definition: Definition) -> str:
    kept = f"kept {definition.retention} h" if definition.retention else "kept for ever"
    metrics = "all metrics" if definition.pattern == "*" else f"metrics matching {definition.pattern}"
    disabled = "" if definition.enabled else ", disabled"
    return f"{definition.slug}: {definition.resolution} s buckets, {kept}, {metrics}{disabled}"


def _age(since: float | None, now: float) -> float | None:
    return None if since is None else now - since
