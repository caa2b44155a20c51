"""Slots for work: how many requests are worked on at a time, how many wait for that, and how many answers rest.

A slot is held while a query runs, and not while its answer waits for a client. Then the query rests between two rows,
with its read transaction open, and its slot goes to the request that has waited longest for one. RESTING answers may
rest at a time. When one more does, the one that has rested longest is cut, so clients that do not read hold neither
slots nor more files than that, however many they are.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tally.errors import QueryTimeout

SLOTS, WAITING, RESTING = 16, 64, 64


class Slots:
    """A number of slots, and who holds them, waits for one, or rests."""

    def __init__(self, count: int = SLOTS, *, waiting: int = WAITING, resting: int = RESTING) -> None:
        self.count = count
        self._free = anyio.CapacityLimiter(count)
        self._waiting_most = waiting
        self._waiting = 0
        self._resting_most = resting
        # In the order in which they came to rest.
        self._resting: dict[Slot, anyio.CancelScope] = {}

    async def take(self, timeout_s: float) -> "Slot | None":
        """Return a slot, which the caller releases, or None where none came free in time or too many wait for one."""
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

    def _rest(self, slot: "Slot", scope: anyio.CancelScope) -> None:
        self._resting[slot] = scope
        if len(self._resting) > self._resting_most:
            slowest = next(iter(self._resting))
            self._resting.pop(slowest).cancel()


class Slot:
    """One request's slot, which it holds, or has given away while it rests."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._is_held = False

    async def _take(self) -> None:
        await self._slots._free.acquire_on_behalf_of(self)
        self._is_held = True

    def release(self) -> None:
        """Give the slot away; where it is not held, do nothing."""
        if self._is_held:
            self._is_held = False
            self._slots._free.release_on_behalf_of(self)

    @asynccontextmanager
    async def resting(self, *, is_cut: bool = True) -> AsyncIterator[None]:
        """Give the slot away for as long as what is within takes, and take one again.

        Only one that `is_cut` counts as resting.

        :raises QueryTimeout: when more answers rest than may, and this one has rested longest.
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
