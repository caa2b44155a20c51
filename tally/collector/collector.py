"""The collector: receivers, a rollup that is swapped at each flush, a store that commits it, and the books on them.

Receiving goes on in the event loop while a worker thread flushes. At the end the kernel is told to queue nothing more,
what it holds is taken, and one last flush commits it. Sockets that were handed over are not told so: what comes from
then on waits in them for the next collector.
"""

import contextlib
import logging
import math
import mmap
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from tally.collector.listener import granted_bytes, kernel_drops, queued_bytes, refuse_more
from tally.collector.loss_log import LossLog
from tally.collector.port_lock import Share
from tally.collector.receiver import Receiver
from tally.collector.recent_losses import Recent
from tally.collector.sockets import Sockets
from tally.collector.store import Store
from tally.collector.streams import Streams
from tally.engine.catalog import Catalog
from tally.engine.files.status import StatusFile, process_identity, remove_stale
from tally.engine.storing.capacity import Capacity
from tally.engine.storing.rollup import Rollup
from tally.engine.storing.statsd import GAUGES_MAX, Gauges
from tally.errors import OutOfMemory, SamplesLost, TallyError
from tally.lines.plain import Reason
from tally.log import pluralize
from tally.settings import Settings

logger = logging.getLogger("tally.collector")

# Parts of TALLY_MAX_CELLS. A rollup with a sixth of it is flushed before its time, and takes names that archives have
# up to a half: by default all of TALLY_MAX_NAMES. So while one half is committed there is another one to collect in.
FREE_PART = 6
ROLLUP_PART = 2
GAUGES_PART = 3
# Who sends in a stream may go on for ever.
LAST_DRAIN_S = 10.0
# What is handed over may be written to all the while, and the next collector takes it.
HANDED_DRAIN_S = 1.0
# While a flush takes long, the status is written so far apart at least.
REPORT_S = 1.0
# Address space that is given back when there is no more, so that the end has room. It takes no memory.
RESERVE_BYTES = 64 * 2**20
NO_THREAD = "can't start new thread"

Result = TypeVar("Result")


class Collector:
    """Collects from `sockets`, which it closes at its end, into the archives of `settings.data_dir`."""

    def __init__(self, settings: Settings, sockets: Sockets, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._sockets = sockets
        self._clock = clock
        self._started = clock()
        self._store = Store(
            Catalog(settings.data_dir, clock=clock), max_names=settings.max_names, max_cells=settings.max_cells
        )
        self._status = StatusFile(settings.data_dir)
        self._process = process_identity(os.getpid())
        self._updated = self._started
        # When the first sample came that is not committed yet: of the rollup, and of the batch that is being flushed.
        self._begun: float | None = None
        self._flushing: float | None = None
        self._receivers = [
            Receiver(sock, self._take, allow=() if sock.family == socket.AF_UNIX else settings.allow, clock=clock)
            for sock in sockets.datagrams
        ]
        self._streams = Streams(sockets.streams, self._take_lines, self._reject, allow=settings.allow)
        self._buffer_bytes = sum(map(granted_bytes, sockets.datagrams))
        self._kernel_drops = self._of_udp(kernel_drops)
        self._queued_bytes = self._of_udp(queued_bytes)
        self._recent = Recent(time.monotonic())
        self._loss_log = LossLog()
        self._accepted = 0
        self._rejected: Counter[str] = Counter()
        self._empty = 0
        self._flushes = 0
        self._flush_s = 0.0
        self._flushes_s = 0.0
        self._full = anyio.Event()
        self.failure: TallyError | None = None
        self._reserve = mmap.mmap(-1, RESERVE_BYTES)
        self._gauges = Gauges(most=min(GAUGES_MAX, settings.max_cells // GAUGES_PART))
        self._rollup = self._new_rollup()

    def _capacity(self, in_flight: int = 0) -> Capacity:
        """Return how many cells a rollup may have, beside those in flight, and what waits and is remembered."""
        left = self._settings.max_cells - in_flight - self._store.waiting_cells - self._gauges.size
        most = max(0, min(self._settings.max_cells // ROLLUP_PART, left))
        return Capacity(most, min(self._settings.max_cells // FREE_PART, most), self._store.admits)

    def _new_rollup(self, in_flight: int = 0) -> Rollup:
        return Rollup(
            self._store.resolution(),
            max_future_s=self._settings.max_future,
            capacity=self._capacity(in_flight),
            gauges=self._gauges,
        )

    def _take_lines(self, lines: list[bytes]) -> None:
        self._take(lines, int(self._clock()))

    def _take(self, datagrams: list[bytes], second: int) -> None:
        if self._begun is None:
            self._begun = time.monotonic()
        self._rollup.add(datagrams, second)
        if self._rollup.size >= self._rollup.capacity.free:
            self._full.set()

    def _reject(self, line: bytes, reason: Reason) -> None:
        self._rollup.reject(line, reason)

    def _of_udp(self, measure: Callable[[socket.socket], int | None]) -> int | None:
        """Return the sum over UDP sockets, None where the kernel does not say; in others it drops nothing."""
        found = [measure(sock) for sock in self._sockets.datagrams if sock.family != socket.AF_UNIX]
        known = [each for each in found if each is not None]
        return sum(known) if len(known) == len(found) else None

    async def run(self, stop: anyio.Event) -> None:
        """Collect until `stop` is set or the task is cancelled, and then commit or spill what came before.

        `failure` says then whether samples are lost. When there is no memory left, it sets `stop`.
        """
        with self._share(), contextlib.closing(self._sockets):
            await _aside(self._begin)
            self._rollup = self._new_rollup()
            if self._store.has_spills():
                self._full.set()  # The first flush takes them up.
            try:
                async with anyio.create_task_group() as tasks:
                    for receiver in self._receivers:
                        tasks.start_soon(receiver.run)
                    tasks.start_soon(self._streams.run)
                    tasks.start_soon(self._flush_regularly)
                    try:
                        await stop.wait()
                    finally:
                        self._store.hurry()  # A flush that waits for a lock ends in time.
                    tasks.cancel_scope.cancel()
            except* MemoryError:
                self._run_out()
                stop.set()
            finally:
                with anyio.CancelScope(shield=True):
                    await self._end()

    def _share(self) -> contextlib.AbstractContextManager[object]:
        """Let further collectors of the data directory know that they may share the port, where it is shared at all."""
        if self._settings.workers == 1 or self._sockets.are_handed:
            return contextlib.nullcontext()
        return Share(self._settings.data_dir, self._sockets.datagrams[0].getsockname()[1])

    def _begin(self) -> None:
        remove_stale(self._settings.data_dir, self._clock())
        self._store.look()
        self._updated = self._clock()
        self._status.write(self.status())
        self._sockets.log_addresses(asked_bytes=self._settings.receive_buffer)

    async def _flush_regularly(self) -> None:
        due = time.monotonic()
        while True:
            due = max(due + self._settings.flush_time, time.monotonic())
            with anyio.move_on_after(due - time.monotonic()):
                await self._full.wait()
            await self._flush()

    async def _flush(self, *, is_last: bool = False) -> None:
        batch, self._rollup = self._rollup, self._new_rollup(in_flight=self._rollup.size)
        self._flushing, self._begun = self._begun, None
        self._full = anyio.Event()
        with anyio.CancelScope(shield=True):  # A stop between the swap and the thread would lose the batch.
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._report)
                await _aside(lambda: self._commit(batch, is_last))
                tasks.cancel_scope.cancel()
        self._rollup.capacity = self._capacity()

    async def _report(self) -> None:
        """Write the status now and then while a flush takes long, so that other processes know what waits."""
        while True:
            await anyio.sleep(max(self._settings.flush_time, REPORT_S))
            await _aside(lambda: self._status.write(self.status()))

    def _commit(self, batch: Rollup, is_last: bool) -> None:
        began = time.monotonic()
        self._queued_bytes = self._of_udp(queued_bytes)
        accepted = batch.accepted
        try:
            self._store.flush(batch, self._clock(), since=self._flushing, is_last=is_last)
            self._flushing = None
        finally:
            self._accepted += accepted
            self._rejected.update(batch.rejected)
            self._empty += batch.empty
        self._kernel_drops = self._of_udp(kernel_drops)
        self._flushes += 1
        self._flush_s = time.monotonic() - began
        self._flushes_s += self._flush_s
        self._updated = self._clock()
        books = self._books()
        self._recent.note(time.monotonic(), books)
        self._loss_log.update(time.monotonic(), books, batch.examples)
        self._status.write(self.status())

    async def _end(self) -> None:
        self._take_the_last()
        try:
            await self._flush(is_last=True)
        except* MemoryError:
            self._run_out()
        lost = await _aside(self._store.give_up)
        self._loss_log.update(math.inf, self._books(), {})
        drops = self._kernel_drops
        logger.info(
            "accepted %s, rejected %s; the kernel dropped %s; %s matched no archive; %s had no measurement",
            pluralize(self._accepted, "line"),
            self._rejected.total() - self._rejected[Reason.UNMATCHED],
            "an unknown number of datagrams" if drops is None else pluralize(drops, "datagram"),
            pluralize(self._rejected[Reason.UNMATCHED], "sample"),
            pluralize(self._empty, "line"),
        )
        self._leave(lost)

    def _leave(self, lost: dict[str, tuple[int, str]]) -> None:
        """Say what is lost, and leave the books for others to read; where nothing is, remove them."""
        texts = [f"lost {pluralize(count, 'sample')} of {slug}: {why}" for slug, (count, why) in lost.items()]
        if broken := self._store.broken():
            texts.append(f"lost {pluralize(broken, 'line')}: out of memory")
        if not texts:
            self._status.remove()
            return
        self._recent.note(time.monotonic(), self._books())
        self._status.write({**self.status(), "ended": self._clock()})
        for text in texts:
            logger.error("%s", text)
        self.failure = SamplesLost("; ".join(texts))

    def _run_out(self) -> None:
        """Make room for the end, once, when there is no memory left."""
        self._reserve.close()
        self.failure = OutOfMemory("the collector ended as it was out of memory; what it held is stored or spilled")
        logger.error("out of memory: collecting ends, and what is in memory is stored or spilled")

    def _take_the_last(self) -> None:
        now = time.monotonic()
        if not self._sockets.are_handed:
            for sock in self._sockets.datagrams:
                refuse_more(sock)
        for receiver in self._receivers:  # What is queued has an end where the kernel queues nothing more.
            receiver.finish(now + HANDED_DRAIN_S if self._sockets.are_handed else math.inf)
        self._streams.finish(time.monotonic() + (HANDED_DRAIN_S if self._sockets.are_handed else LAST_DRAIN_S))

    def present(self) -> dict[str, dict[str, Any]]:
        """Return the status by the digits of the status file, for whoever answers in this process; from any thread."""
        return {self._status.identity: self.status()}

    def status(self) -> dict[str, Any]:
        """Return the books: counters as of the last flush, what waits now, and times in unix seconds."""
        return {**self._books(), "recent": self._recent.told()}

    def _books(self) -> dict[str, Any]:
        return {
            "process": self._process,
            "started": self._started,
            "updated": self._updated,
            "written": self._clock(),
            "ended": None,
            "flush_time": self._settings.flush_time,
            "flushes": self._flushes,
            "flush_seconds": self._flush_s,
            "flush_seconds_total": self._flushes_s,
            "datagrams": sum(each.datagrams for each in self._receivers),
            "refused": sum(each.refused for each in self._receivers),
            "connections": self._streams.taken,
            "connections_refused": self._streams.refused,
            "connections_open": self._streams.open,
            "kernel_drops": self._kernel_drops,
            "receive_buffer": self._buffer_bytes,
            "receive_queue": self._queued_bytes,
            "accepted": self._accepted,
            "rejected": dict(self._rejected),
            "empty": self._empty,
            **self._waiting(),
        }

    def _waiting(self) -> dict[str, Any]:
        """Return the accounts of the archives, and for how many seconds the oldest sample has not been committed."""
        accounts = self._store.accounts()
        now = time.monotonic()
        ages = [now - since for since in (self._begun, self._flushing) if since is not None]
        ages += [account["waiting"] for account in accounts.values() if account["waiting"] is not None]
        return {"waiting": max(ages, default=None), "archives": accounts}


async def _aside(work: Callable[[], Result]) -> Result:
    """Do some work in a thread while receiving goes on or, where there is no memory for a thread, at once."""
    try:
        return await to_thread.run_sync(work)
    except RuntimeError as error:
        if NO_THREAD not in str(error):
            raise
        return work()
