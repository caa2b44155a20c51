"""Concurrency slots: limits how many requests run at a time, how many wait, and how many answers are paused.

A request holds its slot while its query runs. While the client reads a chunk, the query is paused: its read transaction
stays open, and its slot goes to the request that has waited longest. At most RESTING answers are paused at a time. One
more cuts the answer that has been paused longest, so clients that do not read hold no slots and few files.

At first there are BESIDE more slots than processors: more threads would starve the event loop, which accepts requests
and receives samples. While requests wait and no slot becomes free for LONG_S, slots are added one at a time, up to
SLOTS, so that long queries do not delay short ones.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tally.errors import QueryTimeout

SLOTS, WAITING, RESTING = 16, 64, 64
BESIDE, LONG_S = 2, 0.05


class Slots:
    """At most `count` slots, of which `few` exist at first."""

    def __init__(
        self, count: int = SLOTS, *, few: int | None = None, waiting: int = WAITING, resting: int = RESTING
    ) -> None:
        self.count = count
        self._few = min(count, few or (os.cpu_count() or 1) + BESIDE)
        self._free = anyio.CapacityLimiter(self._few)
        # How often a slot was released or added.
        self._changes = 0
        self._waiting_most = waiting
        self._waiting = 0
        self._resting_most = resting
        # In the order in which they were paused.
        self._resting: dict[Slot, anyio.CancelScope] = {}

    async def take(self, timeout_s: float) -> "Slot | None":
        """Return a slot, which the caller releases, or None if none becomes free in time or too many requests wait."""
        if self._waiting >= self._waiting_most:
            return None
        slot = Slot(self)
        self._waiting += 1
        try:
            with anyio.move_on_after(timeout_s) as wait:
                await slot._take()
        finally:
            self._waiting -= 1
        return None if wait.cancelled_caught else slot

    async def _acquire(self, slot: "Slot") -> None:
        try:
            self._free.acquire_on_behalf_of_nowait(slot)
        except anyio.WouldBlock:
            if self._few == self.count:
                await self._free.acquire_on_behalf_of(slot)
                return
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._add_while_stuck)
                await self._free.acquire_on_behalf_of(slot)
                tasks.cancel_scope.cancel()

    async def _add_while_stuck(self) -> None:
        """Add a slot whenever none was released for LONG_S, up to `count`."""
        while True:
            seen = self._changes
            await anyio.sleep(LONG_S)
            if seen == self._changes and self._free.total_tokens < self.count:
                self._changes += 1
                self._free.total_tokens += 1

    def _release(self, slot: "Slot", *, was_long: bool) -> None:
        self._changes += 1
        if was_long and self._free.total_tokens > self._few:
            self._free.total_tokens -= 1
        self._free.release_on_behalf_of(slot)

    def _rest(self, slot: "Slot", scope: anyio.CancelScope) -> None:
        self._resting[slot] = scope
        if len(self._resting) > self._resting_most:
            slowest = next(iter(self._resting))
            self._resting.pop(slowest).cancel()


class Slot:
    """The slot of one request, which does not hold it while its answer is paused."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        # When it was taken; None while it is not held.
        self._taken_at: float | None = None

    async def _take(self) -> None:
        await self._slots._acquire(self)
        self._taken_at = anyio.current_time()

    def release(self) -> None:
        """Release the slot if it is held."""
        if self._taken_at is not None:
            was_long = anyio.current_time() - self._taken_at > LONG_S
            self._taken_at = None
            self._slots._release(self, was_long=was_long)

    @asynccontextmanager
    async def resting(self, *, is_cut: bool = True) -> AsyncIterator[None]:
        """Release the slot during the body of the `with` statement, then take one again.

        :raises QueryTimeout: if `is_cut`, too many answers are paused, and this one has been paused longest.
        """
        with anyio.CancelScope() as scope:
            self.release()
            if is_cut:
                self._slots._rest(self, scope)
            try:
                yield
                await self._take()
            finally:
                self._slots._resting.pop(self, None)
        if scope.cancelled_caught:
            raise QueryTimeout("the client took too long to read the answer, and others wait to be answered")
