"""Connects the receivers, the rollup and the store: replaces the rollup at each flush, and keeps all counters.

Receiving continues in the event loop while a worker thread flushes. At the end the kernel stops queueing datagrams, the
rest is read, and a last flush commits it. Inherited sockets keep queueing for the next collector.
"""

import contextlib
import logging
import math
import mmap
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from tally.collector.listener import granted_bytes, kernel_drops, queued_bytes, stop_queueing
from tally.collector.loss_log import LossLog
from tally.collector.port_lock import PortLock
from tally.collector.receiver import Receiver
from tally.collector.recent_losses import RecentLosses
from tally.collector.sockets import Sockets
from tally.collector.store import Store
from tally.collector.streams import Streams
from tally.engine.catalog import Catalog
from tally.engine.files.status import StatusFile, process_identity, remove_stale
from tally.engine.storing.capacity import Capacity
from tally.engine.storing.native_rollup import new_rollup
from tally.engine.storing.rollup import Rollup
from tally.engine.storing.statsd import GAUGES_MAX, Gauges
from tally.errors import OutOfMemory, SamplesLost, TallyError
from tally.lines.plain import Reason
from tally.log import pluralize
from tally.settings import Settings

logger = logging.getLogger("tally.collector")

# Fractions of TALLY_MAX_CELLS. A rollup with a sixth of it is flushed early, and then accepts only names that archives
# have, up to a half: by default all of TALLY_MAX_NAMES. So one half collects while the other half is committed.
FREE_PART = 6
ROLLUP_PART = 2
GAUGES_PART = 3
# The limit for draining streams, whose senders might never stop.
LAST_DRAIN_S = 10.0
# The limit for draining inherited sockets, which keep receiving for the next collector.
INHERITED_DRAIN_S = 1.0
# The least time between two copies of the status during a long flush.
REPORT_S = 1.0
# Address space that is released when memory runs out, so that the collector can finish. It takes no memory.
RESERVE_BYTES = 64 * 2**20
NO_THREAD = "can't start new thread"

Result = TypeVar("Result")


class Collector:
    """Collects from `sockets` into the archives of `settings.data_dir`, and closes the sockets at the end."""

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
        # In monotonic time: the arrival of the first sample in the rollup, and in the batch that is being flushed.
        self._first_sample_at: float | None = None
        self._flushing_since: float | None = None
        self._receivers = [
            Receiver(sock, self._take, allow=() if sock.family == socket.AF_UNIX else settings.allow, clock=clock)
            for sock in sockets.datagrams
        ]
        self._streams = Streams(
            sockets.streams, self._take_lines, self._reject, pickles=sockets.pickles, allow=settings.allow
        )
        self._buffer_bytes = sum(map(granted_bytes, sockets.datagrams))
        self._kernel_drops = self._sum_udp(kernel_drops)
        self._queued_bytes = self._sum_udp(queued_bytes)
        self._recent_losses = RecentLosses(time.monotonic())
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
        """Return the capacity of a new rollup, given the cells in flight, pending cells and gauges."""
        left = self._settings.max_cells - in_flight - self._store.waiting_cells - self._gauges.size
        most = max(0, min(self._settings.max_cells // ROLLUP_PART, left))
        return Capacity(most, min(self._settings.max_cells // FREE_PART, most), self._store.admits)

    def _new_rollup(self, in_flight: int = 0) -> Rollup:
        return new_rollup(
            self._store.resolution(),
            max_future_s=self._settings.max_future,
            capacity=self._capacity(in_flight),
            gauges=self._gauges,
            sketched=self._store.keeps_sketches(),
        )

    def _take_lines(self, lines: list[bytes]) -> None:
        self._take(lines, int(self._clock()))

    def _take(self, datagrams: Sequence[bytes], second: int) -> None:
        if self._first_sample_at is None:
            self._first_sample_at = time.monotonic()
        self._rollup.add(datagrams, second)
        if self._rollup.size >= self._rollup.capacity.free:
            self._full.set()

    def _reject(self, line: bytes, reason: Reason) -> None:
        self._rollup.reject(line, reason)

    def _sum_udp(self, measure: Callable[[socket.socket], int | None]) -> int | None:
        """Return the sum over UDP sockets, or None if the kernel does not report it. Other sockets drop nothing."""
        found = [measure(sock) for sock in self._sockets.datagrams if sock.family != socket.AF_UNIX]
        known = [each for each in found if each is not None]
        return sum(known) if len(known) == len(found) else None

    async def run(self, stop: anyio.Event) -> None:
        """Collect until `stop` is set or the task is cancelled, then commit or spill all samples.

        Afterwards `failure` is set if samples were lost. If memory runs out, it sets `stop` itself.
        """
        with self._hold_port_lock(), contextlib.closing(self._sockets):
            await _run_in_thread(self._begin)
            self._rollup = self._new_rollup()
            if self._store.has_spills():
                self._full.set()  # The first flush replays them.
            try:
                async with anyio.create_task_group() as tasks:
                    for receiver in self._receivers:
                        tasks.start_soon(receiver.run)
                    tasks.start_soon(self._streams.run)
                    tasks.start_soon(self._flush_regularly)
                    try:
                        await stop.wait()
                    finally:
                        self._store.shorten_waits()  # Even a flush that waits for a lock ends in time.
                    tasks.cancel_scope.cancel()
            except* MemoryError:
                self._handle_memory_end()
                stop.set()
            finally:
                with anyio.CancelScope(shield=True):
                    await self._end()

    def _hold_port_lock(self) -> contextlib.AbstractContextManager[object]:
        """Hold the lock that lets other collectors of the data directory share the port, if it is shared at all."""
        if self._settings.workers == 1 or self._sockets.are_inherited:
            return contextlib.nullcontext()
        return PortLock(self._settings.data_dir, self._sockets.datagrams[0].getsockname()[1])

    def _begin(self) -> None:
        remove_stale(self._settings.data_dir, self._clock())
        self._store.refresh()
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
        self._flushing_since, self._first_sample_at = self._first_sample_at, None
        self._full = anyio.Event()
        with anyio.CancelScope(shield=True):  # A cancellation before the thread starts would lose the batch.
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write_status)
                await _run_in_thread(lambda: self._commit(batch, is_last))
                tasks.cancel_scope.cancel()
        self._rollup.capacity = self._capacity()

    async def _write_status(self) -> None:
        """Write the status periodically during a long flush, so that other processes see what is pending."""
        while True:
            await anyio.sleep(max(self._settings.flush_time, REPORT_S))
            await _run_in_thread(lambda: self._status.write(self.status()))

    def _commit(self, batch: Rollup, is_last: bool) -> None:
        began = time.monotonic()
        self._queued_bytes = self._sum_udp(queued_bytes)
        accepted = batch.accepted
        try:
            self._store.flush(batch, self._clock(), since=self._flushing_since, is_last=is_last)
            self._flushing_since = None
        finally:
            self._accepted += accepted
            self._rejected.update(batch.rejected)
            self._empty += batch.empty
        self._kernel_drops = self._sum_udp(kernel_drops)
        self._flushes += 1
        self._flush_s = time.monotonic() - began
        self._flushes_s += self._flush_s
        self._updated = self._clock()
        counters = self._counters()
        self._recent_losses.update(time.monotonic(), counters)
        self._loss_log.update(time.monotonic(), counters, batch.examples)
        self._status.write(self.status())

    async def _end(self) -> None:
        self._drain()
        try:
            await self._flush(is_last=True)
        except* MemoryError:
            self._handle_memory_end()
        lost = await _run_in_thread(self._store.spill_or_drop)
        self._loss_log.update(math.inf, self._counters(), {})
        drops = self._kernel_drops
        logger.info(
            "accepted %s, rejected %s; the kernel dropped %s; %s matched no archive; %s had no measurement",
            pluralize(self._accepted, "line"),
            self._rejected.total() - self._rejected[Reason.UNMATCHED],
            "an unknown number of datagrams" if drops is None else pluralize(drops, "datagram"),
            pluralize(self._rejected[Reason.UNMATCHED], "sample"),
            pluralize(self._empty, "line"),
        )
        self._log_samples_lost(lost)

    def _log_samples_lost(self, lost: dict[str, tuple[int, str]]) -> None:
        """Log the losses and keep the status file, or remove it if there are none."""
        texts = [f"lost {pluralize(count, 'sample')} of {slug}: {why}" for slug, (count, why) in lost.items()]
        if count_unread_lines := self._store.count_unread_lines():
            texts.append(f"lost {pluralize(count_unread_lines, 'line')}: out of memory")
        if not texts:
            self._status.remove()
            return
        self._recent_losses.update(time.monotonic(), self._counters())
        self._status.write({**self.status(), "ended": self._clock()})
        for text in texts:
            logger.error("%s", text)
        self.failure = SamplesLost("; ".join(texts))

    def _handle_memory_end(self) -> None:
        """Release the reserve when memory runs out, so that the collector can finish."""
        self._reserve.close()
        self.failure = OutOfMemory("the collector stopped as it ran out of memory; its samples were stored or spilled")
        logger.error("out of memory: collecting ends, and samples in memory are stored or spilled")

    def _drain(self) -> None:
        now = time.monotonic()
        if not self._sockets.are_inherited:
            for sock in self._sockets.datagrams:
                stop_queueing(sock)
        for receiver in self._receivers:  # This ends, since the kernel queues nothing more.
            receiver.finish(now + INHERITED_DRAIN_S if self._sockets.are_inherited else math.inf)
        self._streams.finish(time.monotonic() + (INHERITED_DRAIN_S if self._sockets.are_inherited else LAST_DRAIN_S))

    def current_status(self) -> dict[str, dict[str, Any]]:
        """Return the status by the digits of its file, for an API in this process. May be called from any thread."""
        return {self._status.identity: self.status()}

    def status(self) -> dict[str, Any]:
        """Return the content of the status file: counters as of the last flush, and what is pending now."""
        return {**self._counters(), "recent": self._recent_losses.to_dict()}

    def _counters(self) -> dict[str, Any]:
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
            **self._pending_state(),
        }

    def _pending_state(self) -> dict[str, Any]:
        """Return the accounts of the archives, and the age of the oldest uncommitted sample in seconds."""
        accounts = self._store.accounts()
        now = time.monotonic()
        ages = [now - since for since in (self._first_sample_at, self._flushing_since) if since is not None]
        ages += [account["waiting"] for account in accounts.values() if account["waiting"] is not None]
        return {"waiting": max(ages, default=None), "archives": accounts}


async def _run_in_thread(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread, or in this one if there is no memory for a new thread."""
    try:
        return await to_thread.run_sync(work)
    except RuntimeError as error:
        if NO_THREAD not in str(error):
            raise
        return work()
