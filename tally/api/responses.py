"""Starlette responses: one sends a reply, the other first runs the work of a request.

Work runs in worker threads and needs a slot. So the number of threads and open files is bounded, and a collector in the
same process is not starved. When the client disconnects, the task is cancelled, and closing the work stops its query.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tally.api.connection import Connection, read_timeout
from tally.api.message import RETRY_AFTER, Reply
from tally.api.problems import Problem
from tally.api.service import Work
from tally.api.slots import Slot, Slots

CLOSED = ("Connection", "close")

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Pool:
    """The slots and threads that run the work of requests. Clients must read what they are sent within `timeout_s`."""

    def __init__(self, slots: Slots, *, timeout_s: float) -> None:
        self.slots = slots
        self.timeout_s = timeout_s
        # Two threads a slot, one to run the query and one to stop it, so that the holder of a slot never waits.
        self.threads = anyio.CapacityLimiter(2 * slots.count)

    async def run(self, work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run a part of a query in a thread. On cancellation the thread is abandoned; closing the work ends it."""
        return await to_thread.run_sync(work, *arguments, abandon_on_cancel=True, limiter=self.threads)


class ReplyResponse(Response):
    """Sends a reply whose body is complete."""

    def __init__(self, pool: Pool, reply: Reply) -> None:
        super().__init__(status_code=reply.status)
        self._pool = pool
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply; raises as `Connection.cut`."""
        connection = Connection(scope, receive, send, timeout_s=self._pool.timeout_s)
        try:
            await connection.send_whole(self._reply)
        except Exception as error:
            await connection.cut(error)


class WorkResponse(Response):
    """Runs the work of a request in a slot, and sends the reply. If no slot is free, `refuse` makes it."""

    def __init__(self, pool: Pool, work: Work, refuse: Callable[[Problem], Reply]) -> None:
        super().__init__()
        self._pool = pool
        self._work = work
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the work and send the reply; raises as `Connection.cut`."""
        connection = Connection(scope, receive, send, timeout_s=self._pool.timeout_s)
        try:
            async with connection.cancelled_on_disconnect():
                await self._answer(connection)
        except Exception as error:
            await connection.cut(error)

    async def _answer(self, connection: Connection) -> None:
        slots = self._pool.slots
        slot = await slots.take(self._pool.timeout_s)
        if slot is None:
            text = f"{slots.count} requests are being answered, as many as may be at once: try again later"
            busy = Problem(HTTPStatus.SERVICE_UNAVAILABLE, text, headers=(RETRY_AFTER, CLOSED))
            await connection.send_whole(self._refuse(busy))
            return
        try:
            reply = await self._run(connection, slot)
        finally:
            slot.release()
        if reply.is_whole:
            await connection.send_whole(reply)

    async def _run(self, connection: Connection, slot: Slot) -> Reply:
        """Return the reply. Unless it is whole, it was sent already."""
        reply = None
        try:
            reply = await self._pool.run(self._work.run)
            if not reply.is_whole:
                await self._stream(reply, connection, slot)
            return reply
        finally:
            if reply is None or not reply.is_whole:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(self._work.close, limiter=self._pool.threads)

    async def _stream(self, reply: Reply, connection: Connection, slot: Slot) -> None:
        """Send chunks as they are made. A long reply is a backup: it needs a token, and slow clients are not cut."""
        timeout_s = self._pool.timeout_s
        with read_timeout(timeout_s) as limit:
            async with slot.resting(is_cut=not reply.is_long):
                await connection.start(reply)
            chunks = iter(reply.chunks)
            while (chunk := await self._pool.run(next, chunks, None)) is not None:
                async with slot.resting(is_cut=not reply.is_long):
                    await connection.send(chunk)
                if reply.is_long:
                    limit.deadline = anyio.current_time() + timeout_s
            slot.release()
            await connection.end()
