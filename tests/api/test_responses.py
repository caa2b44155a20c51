"""Responses of the Starlette app, on every event loop: threads, slots, and ends of all kinds."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from tally.api.asgi import build, create
from tally.api.message import Reply, Request, empty
from tally.api.routes import ROUTES
from tally.api.slots import Slots
from tally.errors import QueryTimeout
from tests.api.asking import settings
from tests.api.served import HALF, LIMIT_S, Client, Query, Scripted, client

pytestmark = pytest.mark.anyio

LONG_S = 3600


async def test_work_is_done_in_threads(tmp_path: Path) -> None:
    """Answers and their chunks are made, and queries closed, outside the thread of the event loop."""
    query = Query(error=QueryTimeout("slow"))
    scripted = Scripted(tmp_path, query.reply)
    with pytest.raises(QueryTimeout):
        await Client().ask(create(scripted))
    assert threading.get_ident() not in scripted.threads | query.threads


async def test_threads_of_others_are_not_waited_for(filled: Path) -> None:
    """The API has worker threads of its own, and works while all other worker threads of the process are busy."""
    limiter = to_thread.current_default_thread_limiter()
    holders = [object() for _ in range(int(limiter.total_tokens))]
    for holder in holders:
        limiter.acquire_on_behalf_of_nowait(holder)
    try:
        with anyio.fail_after(LIMIT_S):
            async with client(build(settings(filled))) as http:
                assert 200 == (await http.get("/values/daily/")).status_code
    finally:
        for holder in holders:
            limiter.release_on_behalf_of(holder)


async def test_a_client_that_goes_away_stops_its_query(tmp_path: Path) -> None:
    """If the client disconnects during an answer, the query is closed, nothing more is sent, and no error is raised."""
    query, gone = Query(), Client()
    gone.goes_after = 5
    await gone.ask(create(Scripted(tmp_path, query.reply)))
    assert (True, False) == (query.closed.is_set(), gone.ended)
    assert query.made < 50


@pytest.mark.parametrize("stuck", [0, 1, 2, 5])
async def test_a_client_that_goes_away_stops_a_chunk_in_the_making(stuck: int, tmp_path: Path) -> None:
    """A query is closed as soon as the client disconnects, even while a chunk is being made."""
    query, gone = Query(stuck=stuck), Client()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gone.ask, create(Scripted(tmp_path, query.reply)))
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        assert not query.closed.is_set()
        gone.gone.set()
    assert query.closed.is_set()
    assert stuck < 2 or not gone.ended
    assert stuck >= 2 or [] == gone.sent


async def test_a_request_that_is_cancelled_stops_its_query(tmp_path: Path) -> None:
    """If the task of a request is cancelled, for example when the server ends, the query is closed."""
    query = Query(stuck=3)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client().ask, create(Scripted(tmp_path, query.reply)))
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        tasks.cancel_scope.cancel()
    assert query.closed.is_set()


@pytest.mark.parametrize("error", [QueryTimeout("slow"), ZeroDivisionError("bug")])
async def test_what_fails_in_the_middle_cuts_the_connection(error: Exception, tmp_path: Path) -> None:
    """An error after the first bytes is raised unchanged, and the answer is not marked as complete."""
    query, cut = Query(error=error), Client()
    with pytest.raises(type(error)) as caught:
        await cut.ask(create(Scripted(tmp_path, query.reply)))
    assert error is caught.value
    assert (3 * len(HALF), False) == (sum(len(message.get("body", b"")) for message in cut.sent), cut.ended)
    assert query.closed.is_set()


async def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    """The query of a client that reads for longer than the time limit is closed."""
    query, stalled = Query(), Client()
    stalled.reads = False
    with pytest.raises(QueryTimeout, match="read"):
        await stalled.ask(create(Scripted(tmp_path, query.reply, query_timeout=0.05)))
    assert (True, 1) == (query.closed.is_set(), len(stalled.sent))


async def test_a_client_that_does_not_read_keeps_no_slot(tmp_path: Path) -> None:
    """While an answer waits for its client, other requests use its slot."""
    dump = Query()
    stalled, asked = Client(), Client(path="/archives/")
    stalled.reads = False
    small = Reply(200, (), (b"small",))
    scripted = Scripted(tmp_path, lambda request: small if request.path == "/archives/" else dump.reply())
    app = create(scripted, Slots(1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stalled.ask, app)
        await anyio.wait_all_tasks_blocked()
        await asked.ask(app)
        assert (b"small", False) == (asked.sent[1]["body"], dump.closed.is_set())
        tasks.cancel_scope.cancel()
    assert dump.closed.is_set()


async def test_the_slowest_client_is_cut_where_too_many_do_not_read(tmp_path: Path) -> None:
    """If too many answers wait for their clients, only the one that has waited longest is closed."""
    dumps = [Query() for _ in range(3)]
    replies = iter([dump.reply() for dump in dumps])
    app = create(Scripted(tmp_path, lambda _: next(replies), query_timeout=LONG_S), Slots(1, resting=2))
    ended = []

    async def ask(number: int) -> None:
        client = Client()
        client.reads = False
        with suppress(QueryTimeout):
            await client.ask(app)
        ended.append(number)

    async with anyio.create_task_group() as tasks:
        for number, dump in enumerate(dumps):
            tasks.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
            assert await to_thread.run_sync(dump.began.wait, LIMIT_S)
        assert await to_thread.run_sync(dumps[0].closed.wait, LIMIT_S)
        await anyio.wait_all_tasks_blocked()
        assert ([0], [True, False, False]) == (ended, [dump.closed.is_set() for dump in dumps])
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("is_long", [True, False])
async def test_a_long_answer_may_take_its_time(is_long: bool, tmp_path: Path) -> None:
    """A long answer, such as a backup, is only cut if its client reads nothing for the time limit."""

    def slow() -> Iterator[bytes]:
        for _ in range(8):
            time.sleep(0.4)
            yield HALF

    def answer(_request: Request) -> Reply:
        return Reply(200, (), slow(), is_long=is_long)

    taking = Client()
    app = create(Scripted(tmp_path, answer, query_timeout=2))
    if is_long:
        await taking.ask(app)
        assert 8 * len(HALF) == sum(len(message.get("body", b"")) for message in taking.sent)
    else:
        with pytest.raises(QueryTimeout, match="read"):
            await taking.ask(app)


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.is_open], ids=lambda route: route.template)
async def test_too_many_at_once(route: Any, tmp_path: Path) -> None:
    """A request that finds no free slot within the time limit is answered by 503. `/healthz` is still answered."""
    query = Query(stuck=0)
    app = create(Scripted(tmp_path, query.reply, query_timeout=0.2), Slots(1))
    refused = Client(route.method, route.template.format(slug="daily", aggregate="avg", file="main.js", tag="env"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client().ask, app)
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        await refused.ask(app)
        query.close()
    assert 503 == refused.sent[0]["status"]
    assert b"1 requests are being answered" in refused.sent[1]["body"]


@pytest.mark.parametrize(("waiting", "refused"), [(1, 1), (2, 0)])
async def test_few_may_wait(waiting: int, refused: int, tmp_path: Path) -> None:
    """If too many requests wait for a slot, the next one is answered by 503 with Retry-After."""
    query = Query(stuck=0)
    scripted = Scripted(tmp_path, query.reply, query_timeout=LONG_S)
    app, asked = create(scripted, Slots(1, waiting=waiting)), [Client() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asked[0].ask, app)
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        for client in asked[1:]:
            tasks.start_soon(client.ask, app)
        await anyio.wait_all_tasks_blocked()
        sent = [message for client in asked for message in client.sent if "status" in message]
        assert [503] * refused == [message["status"] for message in sent]
        assert [(b"retry-after", b"1")] * refused == [h for m in sent for h in m["headers"] if h[0] == b"retry-after"]
        tasks.cancel_scope.cancel()


async def test_every_query_can_be_stopped(tmp_path: Path) -> None:
    """Endless queries in all slots can still be stopped."""
    queries = [Query(stuck=0), Query(stuck=0)]
    replies = iter([query.reply() for query in queries])
    app = create(Scripted(tmp_path, lambda _: next(replies), query_timeout=LONG_S), Slots(2))
    async with anyio.create_task_group() as tasks:
        for query in queries:
            tasks.start_soon(Client().ask, app)
            assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        tasks.cancel_scope.cancel()
        began = time.monotonic()
    assert time.monotonic() - began < LIMIT_S / 2
    assert [True, True] == [query.closed.is_set() for query in queries]


async def test_the_health_waits_for_nobody(filled: Path) -> None:
    """`/healthz` is answered while every slot is taken."""
    query = Query(stuck=0)

    def answer(request: Request) -> Reply:
        return query.reply() if request.path != "/healthz" else empty(200)

    app = create(Scripted(filled, answer, query_timeout=LONG_S), Slots(1))
    asked = Client(path="/healthz")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client().ask, app)
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        await asked.ask(app)
        assert 200 == asked.sent[0]["status"]
        query.close()


async def test_slots_come_back(tmp_path: Path) -> None:
    """A slot is released after an error, and after the client disconnected."""
    queries = [Query(error=QueryTimeout("slow")), Query(), Query(error=QueryTimeout("slow"))]
    scripted = Scripted(tmp_path, lambda _: queries.pop().reply(), query_timeout=LONG_S)
    app = create(scripted, Slots(1))
    while queries:
        asked = Client()
        asked.goes_after = 9
        with suppress(QueryTimeout):
            await asked.ask(app)
        assert 200 == asked.sent[0]["status"]
