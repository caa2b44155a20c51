"""Ships what has changed in the archives of a data directory to a cluster.

    archive ── Tracker.read_batch ──▶ Cluster.insert ──▶ Tracker.acknowledge ──▶ Cluster.publish

A batch is at most BATCH_CELLS whole cells, so memory is bounded, and no transaction of the archive is open while the
cluster is waited for. Each step may be repeated after a crash: a cell that is shipped again has the same key, and
counts once. While the cluster is away, the changes stay in the archives.

When the history of an archive was rewritten (names removed or renamed, another resolution or accuracy, a restored
backup, another archive under its slug), its floor is raised first, and then all its cells are shipped anew. So nothing
counts twice meanwhile.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from tally.cluster.cluster import Cluster, Published, Source
from tally.cluster.events import EventShipper
from tally.cluster.progress import SHIPS_PER_BUCKET, Backlog, Progress
from tally.cluster.tables import WEEK_S
from tally.engine.archive import Archive
from tally.engine.catalog import Catalog
from tally.engine.storing.tracking import START, Place, State, Tracker
from tally.errors import ArchiveUnavailable, ClusterRefused, ClusterUnavailable, TallyError, UnknownArchive

logger = logging.getLogger("tally.cluster")

BATCH_CELLS = 50_000
# ClickHouse writes at most 100 partitions in one insert; there is one for each week.
BATCH_WEEKS = 50
BACKOFF_MAX_S = 60.0
REPORT_S = 10.0
# Counting what is to be shipped takes at most one in so many seconds.
REPORT_SHARE = 20
DROP_S = 3600.0
# A version that no archive reaches: nothing of a deleted archive counts.
NEVER = 2**63


class Pass(NamedTuple):
    """The result of a pass: shipped cells, samples that had expired before, and archives that could not be shipped."""

    cells: int
    expired: int
    errors: list[TallyError]


class Replicator:
    """Replicates `catalog` as the source `name` with an identity. Not for concurrent calls."""

    def __init__(
        self,
        catalog: Catalog,
        cluster: Cluster,
        *,
        name: str,
        identity: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._cluster = cluster
        self._name = name
        self._identity = identity
        self._clock = clock
        self._stamp = 0
        self._expired = 0
        self._reported_at = self._dropped_at = 0.0
        self._report_pause_s = REPORT_S
        self._progress = Progress(name, 0.0, Backlog(None, None, 0))
        self._known: dict[str, Published] | None = None
        self._others: list[Published] = []
        self._shipped_at: dict[str, float] = {}
        # What the archives have acknowledged since the last report.
        self._acknowledged: dict[str, int] = {}
        self._events = EventShipper(catalog.events, cluster, name=name, identity=identity)

    def run(self, stop: threading.Event, *, interval_s: float) -> None:
        """Ship until `stop` is set, and once more then.

        :raises ClusterRefused: when this directory must not replicate under its name.
        """
        failures = 0
        while True:
            is_last = stop.is_set()
            try:
                found = self.ship(is_complete=is_last)
                failures = 0 if not failures else self._log_recovery()
                for error in found.errors:
                    logger.warning("%s", error)
                self._tell(found.errors)
            except ClusterRefused:
                raise
            except TallyError as error:
                failures += 1
                self._known = None
                if failures == 1:
                    logger.warning("%s; what changes meanwhile is shipped later", error)
                self._tell([error], has_failed=True)
            if is_last:
                return
            stop.wait(_wait_s(interval_s, failures))

    def _tell(self, errors: list[TallyError], *, has_failed: bool = False) -> None:
        """Write the progress after a pass, if it is news."""
        texts = tuple(map(str, errors))
        failing = (self._progress.failing or self._clock()) if has_failed else None
        if has_failed:
            self._measure()
        if has_failed or (texts, failing) != (self._progress.errors, self._progress.failing):
            self._write_progress(failing=failing, errors=texts)

    def _write_progress(self, **changes: Any) -> None:
        self._progress = self._progress._replace(updated=self._clock(), expired=self._expired, **changes)
        self._progress.write(self._catalog.directory)

    def _measure(self) -> Backlog:
        """Return what is to be shipped."""
        began = time.monotonic()
        backlog = Backlog.measure(self._catalog.archives())
        self._progress = self._progress._replace(backlog=backlog)
        self._report_pause_s = max(REPORT_S, REPORT_SHARE * (time.monotonic() - began))
        return backlog

    def _log_recovery(self) -> int:
        logger.info("%s: can be used again", self._cluster.address)
        return 0

    def ship(self, *, is_complete: bool = True) -> Pass:
        """Ship everything that has changed since the last pass.

        Unless it `is_complete`, archives with long buckets are shipped at some passes only, and progress is reported
        now and then.

        :raises ClusterUnavailable: when the cluster cannot be used; what is left is shipped by the next pass.
        :raises ClusterRefused: as `run`.
        """
        archives = self._catalog.archives()
        if self._known is None:
            _track(archives)
        known = self._connect()
        cells, expired = 0, 0
        errors: list[TallyError] = []
        try:
            self._events.ship(self._next_stamp)
        except ArchiveUnavailable as error:
            errors.append(error)
        for archive in archives:
            try:
                tracker = Tracker(archive.path)
                tracker.start()
                expired += tracker.drop_expired()
                cells += self._ship_archive(archive, tracker, is_complete=is_complete)
            except UnknownArchive:
                continue  # Deleted since the directory was listed.
            except ClusterUnavailable:
                raise
            except TallyError as error:
                errors.append(error)
        for slug in known.keys() - {archive.slug for archive in archives}:
            self._delete(known[slug])
        self._expired += expired
        self._report(is_due=is_complete)
        return Pass(cells, expired, errors)

    def _connect(self) -> dict[str, Published]:
        """Return this source's archives in the cluster by slug, after claiming the name."""
        if self._known is None:
            self._cluster.wait_for_replica()
            # An earlier process may have had a clock that was ahead: what counts is the row with the greatest stamp.
            self._stamp = max(self._stamp, self._cluster.read_greatest_stamp(self._name))
            self._cluster.claim(self._name, self._identity, stamp=self._next_stamp())
            self._known = self._read_archives()
            self._events.begin_again()
        return self._known

    def _read_archives(self) -> dict[str, Published]:
        archives = self._cluster.read_archives()
        self._others = [each for each in archives if each.source != self._name and not each.is_deleted]
        return {each.archive: each for each in archives if each.source == self._name}

    def _ship_archive(self, archive: Archive, tracker: Tracker, *, is_complete: bool) -> int:
        state = self._agree(archive.slug, tracker)
        floor = self._connect()[archive.slug].floor if state.rewritten is None else state.rewritten
        self._publish(archive.slug, state, floor=floor)
        if state.rewritten is not None:
            tracker.ship_all(state.rewritten)
            self._shipped_at.pop(archive.slug, None)
        now = self._clock()
        pause_s = state.definition.resolution / SHIPS_PER_BUCKET
        if not is_complete and 0 <= now - self._shipped_at.get(archive.slug, 0.0) < pause_s:
            return 0
        self._check_resolution(archive.slug, state)
        self._shipped_at[archive.slug] = now
        return self._ship_cells(archive.slug, tracker, floor)

    def _agree(self, slug: str, tracker: Tracker) -> State:
        """Return the state of the archive, after beginning again if the cluster knows another or a later one."""
        state = tracker.read_state()
        known = (self._known or {}).get(slug)
        if known is None:
            if state.rewritten is not None:
                return state
            tracker.begin_again(self._find_greatest_version(slug, state))
            return tracker.read_state()
        is_other = known.identity != state.identity or known.is_deleted
        acknowledged = max(known.acknowledged, self._acknowledged.get(slug, 0))
        if is_other or acknowledged > state.acknowledged:
            logger.info("archive %s: was restored or replaced, so all of it is shipped again", slug)
            tracker.begin_again(max(acknowledged, self._find_greatest_version(slug, state)))
            tracker.acknowledge(acknowledged, [])
            return tracker.read_state()
        return state

    def _find_greatest_version(self, slug: str, state: State) -> int:
        """Return a number that no version in the cluster exceeds, in the archive or in another one of its slug.

        The replica that is asked may lack rows. A history begins at a stamp, and nothing changes a billion times a
        second, so a later stamp exceeds all its versions.
        """
        shipped = self._cluster.read_greatest_version(slug, self._name)
        return max(state.version, shipped, self._next_stamp())

    def _publish(self, slug: str, state: State, *, floor: int) -> None:
        """Store the definition in the cluster, if that is news."""
        known = self._connect().get(slug)
        acknowledged = known.acknowledged if known else 0
        published = Published(slug, self._name, state.identity, state.definition, floor, acknowledged, False)
        if published != known:
            self._cluster.publish(published, stamp=self._next_stamp())
            self._connect()[slug] = published

    def _check_resolution(self, slug: str, state: State) -> None:
        """Check that all sources agree.

        :raises ClusterRefused: when they do not; both are named.
        """
        for other in self._others:
            if other.archive == slug and other.definition.resolution != state.definition.resolution:
                raise ClusterRefused(
                    f"archive {slug} is not shipped: its resolution is {state.definition.resolution} in {self._name}, "
                    f"but {other.definition.resolution} in {other.source}"
                )

    def _ship_cells(self, slug: str, tracker: Tracker, floor: int) -> int:
        place: Place | None = START
        cells = 0
        while place is not None:
            batch = tracker.read_batch(place, most=BATCH_CELLS, span_s=BATCH_WEEKS * WEEK_S)
            self._cluster.insert(slug, self._name, batch, floor=floor)
            if batch.marks:
                tracker.acknowledge(batch.version, batch.marks)
            cells += len(batch.rows)
            place = batch.end
            if place is not None:
                self._report()
        if cells:
            self._acknowledged[slug] = tracker.read_state().acknowledged
        return cells

    def _delete(self, known: Published) -> None:
        if not known.is_deleted:
            gone = known._replace(is_deleted=True, floor=NEVER)
            self._cluster.publish(gone, stamp=self._next_stamp())
            self._connect()[known.archive] = gone

    def _report(self, *, is_due: bool = False) -> None:
        """Report to the cluster and to other processes, and drop what has expired, now and then."""
        now = self._clock()
        if is_due or not 0 <= now - self._reported_at < self._report_pause_s:
            backlog = self._measure()
            lag_s = max(0.0, now - backlog.first) if backlog.first is not None else 0.0
            source = Source(self._name, now, lag_s, backlog.cells, self._expired)
            self._cluster.report(source, self._identity, stamp=self._next_stamp())
            self._publish_acknowledged()
            # A replica may not have what was published last. One that has lost an archive has lost all of it.
            self._known = {
                slug: self._connect()[slug] for slug in self._read_archives().keys() & self._connect().keys()
            }
            self._reported_at = now
            others = tuple(each for each in self._cluster.read_sources() if each.source != self._name)
            self._write_progress(others=others)
        if not 0 <= now - self._dropped_at < DROP_S:
            self._cluster.drop_expired(now)
            self._dropped_at = now

    def _publish_acknowledged(self) -> None:
        for slug, acknowledged in self._acknowledged.items():
            if not (known := self._connect()[slug]).is_deleted:
                published = known._replace(acknowledged=acknowledged)
                self._cluster.publish(published, stamp=self._next_stamp())
                self._connect()[slug] = published
        self._acknowledged.clear()

    def _next_stamp(self) -> int:
        """Return a number that grows, even if the clock does not."""
        self._stamp = max(int(self._clock() * 1e9), self._stamp + 1)
        return self._stamp


def _track(archives: list[Archive]) -> None:
    """Begin to track archives, so that there is a backlog even if the cluster has been away from the start."""
    for archive in archives:
        with suppress(TallyError):  # The pass that ships it reports the error.
            Tracker(archive.path).start()


def _wait_s(interval_s: float, failures: int) -> float:
    """Return the time until the next pass: longer after each failure, and different in each process."""
    if not failures:
        return interval_s
    jitter = 0.5 + secrets.randbelow(500) / 1000
    return float(min(BACKOFF_MAX_S, interval_s * 2 ** min(failures, 10)) * jitter)
