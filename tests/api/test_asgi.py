"""The ASGI app in this process, on every event loop: translation, slots, and ends of all kinds."""

import gzip
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message

from tally.api import connection
from tally.api.asgi import Adapter, build
from tally.api.message import MAX_BODY_BYTES, MAX_SAMPLES_BYTES, Reply, Request, empty
from tally.api.routes import ROUTES
from tally.api.samples import MAX_LINES
from tally.api.service import WHOLE_BYTES, Service
from tally.api.slots import Slots
from tally.engine import Catalog
from tally.errors import QueryTimeout
from tests.api.asking import Got, check, settings
from tests.api.cases import CASES, basic, bearer

pytestmark = pytest.mark.anyio

LIMIT_S = 30
LONG_S = 3600
# Of two such chunks an answer is too long to be sent as one body.
HALF = b"x" * (WHOLE_BYTES // 2)


def client(app: ASGIApp, *, root_path: str = "") -> httpx.AsyncClient:
    """Return a client that speaks to an app in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, root_path=root_path), base_url="http://localhost")


def mounted(app: ASGIApp) -> Starlette:
    """Return a larger app with tally two mounts deep, whose lifespan tally's never sees."""
    return Starlette(routes=[Mount("/monitor", Starlette(routes=[Mount("/{place}/tally", app)]))])


@pytest.mark.parametrize("prefix", ["", "/monitor/here/tally"])
async def test_each_case_is_answered_as_the_table_says(prefix: str, filled: Path) -> None:
    """The contract's examples, tables and errors hold at the root and under a mount."""
    app = build(settings(filled))
    async with client(mounted(app) if prefix else app) as http:
        for case in CASES:
            response = await http.request(case.method, prefix + case.target)
            check(case, Got(response.status_code, response.headers, response.content))


@pytest.mark.parametrize(("root_path", "prefix"), [("", "/monitor/here/tally"), ("/proxy", "")])
async def test_links_lead_back_through_the_prefix(root_path: str, prefix: str, filled: Path) -> None:
    """Under a mount or behind a proxy the redirect, the addresses and the document name the public path."""
    app = build(settings(filled))
    async with client(mounted(app) if prefix else app, root_path=root_path) as http:
        redirect = await http.get(f"{prefix}/values/daily?q=a%20b")
        assert (308, f"{root_path}{prefix}/values/daily/?q=a%20b") == (
            redirect.status_code,
            redirect.headers["location"],
        )
        [daily, _] = (await http.get(f"{prefix}/archives/")).json()
        assert f"{root_path}{prefix}/values/daily/" == daily["values_url"]
        document = (await http.get(f"{prefix}/openapi.json")).json()
        assert [{"url": root_path + prefix}] == document["servers"]


async def test_middleware_of_a_larger_app(filled: Path) -> None:
    """Middleware that wraps a request's ends, and one that compresses, leave the answers as they are."""

    async def hand_on(request: StarletteRequest, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    middleware = [Middleware(GZipMiddleware, minimum_size=1), Middleware(BaseHTTPMiddleware, dispatch=hand_on)]
    async with client(Starlette(routes=[Mount("/t", build(settings(filled)))], middleware=middleware)) as http:
        for case in CASES:
            response = await http.request(case.method, f"/t{case.target}")
            check(case, Got(response.status_code, response.headers, response.content))


async def test_an_archives_life(tmp_path: Path) -> None:
    """Bodies, tokens and headers reach the service, and its headers reach the client."""
    async with client(build(settings(tmp_path, read_token="r", write_token="wörter"))) as http:
        created = await http.post("/archives/", json={"slug": "a"}, headers=basic("wörter"))
        assert (201, "/archives/a/") == (created.status_code, created.headers["location"])
        changed = await http.patch("/archives/a/", json={"retention": 1}, headers=basic("wörter"))
        assert 1 == changed.json()["retention"]
        denied = await http.get("/archives/a/")
        assert 2 == len(denied.headers.get_list("www-authenticate"))
        assert 200 == (await http.head("/archives/a/", headers=bearer("r"))).status_code
        deleted = await http.delete("/archives/a/", headers=basic("wörter"))
        assert (204, b"", None) == (deleted.status_code, deleted.content, deleted.headers.get("content-length"))


class Scripted(Service):
    """A service that answers what a test tells it, and knows in which threads it was asked."""

    def __init__(self, directory: Path, answer: Callable[[Request], Reply], **chosen: Any) -> None:
        super().__init__(settings(directory, **chosen))
        self.threads: set[int] = set()
        self._answer_of_test = answer

    def handle(self, request: Request) -> Reply:
        """Answer as the test says."""
        self.threads.add(threading.get_ident())
        return self._answer_of_test(request)


class Query:
    """A query that never ends by itself, and whose chunk `stuck` takes until it is closed."""

    def __init__(self, *, stuck: int | None = None, error: Exception | None = None) -> None:
        self.made = 0
        self.threads: set[int] = set()
        self.closed = threading.Event()
        self.waiting = threading.Event()
        self.began = threading.Event()
        self._stuck = stuck
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.threads.add(threading.get_ident())
        self.began.set()
        if self.made == self._stuck:
            self.waiting.set()
            assert self.closed.wait(LIMIT_S)
            raise QueryTimeout("stopped")
        if self._error is not None and self.made == 3:
            raise self._error
        self.made += 1
        return HALF

    def close(self) -> None:
        """End it."""
        self.threads.add(threading.get_ident())
        self.closed.set()

    def reply(self, _: Request | None = None) -> Reply:
        """Return a reply with its chunks."""
        return Reply(200, (("Content-Type", "text/plain"),), self, self.close)


class Client:
    """The server's side of one connection, in the hands of a test."""

    def __init__(self, method: str = "GET", path: str = "/values/daily/", **scope: Any) -> None:
        self.scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [], **scope}
        self.sent: list[Message] = []
        self.received = 0
        self.gone = anyio.Event()
        self.goes_after = 2**62
        self.reads = True

    async def receive(self) -> Message:
        """Give the request, and then wait for the client's end."""
        self.received += 1
        if self.received == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message; a client that does not read keeps the server waiting."""
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)
        if len(self.sent) == self.goes_after:
            self.gone.set()
        if not self.reads:
            await anyio.sleep_forever()

    async def ask(self, app: ASGIApp) -> None:
        """Have the request answered."""
        with anyio.fail_after(LIMIT_S):
            await app(self.scope, self.receive, self.send)

    @property
    def ended(self) -> bool:
        """Whether the last message said that the answer is complete."""
        return self.sent[-1]["type"] == "http.response.body" and not self.sent[-1].get("more_body", False)


async def test_work_is_done_in_threads(tmp_path: Path) -> None:
    """Neither the answer nor a chunk of it is made in the event loop's thread, nor is the query closed there."""
    query = Query(error=QueryTimeout("slow"))
    scripted = Scripted(tmp_path, query.reply)
    with pytest.raises(QueryTimeout):
        await Client().ask(Adapter(scripted))
    assert threading.get_ident() not in scripted.threads | query.threads


async def test_threads_of_others_are_not_waited_for(filled: Path) -> None:
    """Where all of the process's common worker threads are taken, the API goes on with its own."""
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
    """When the client goes in the middle, the query is closed, nothing more is sent, and no error is raised."""
    query, gone = Query(), Client()
    gone.goes_after = 5
    await gone.ask(Adapter(Scripted(tmp_path, query.reply)))
    assert (True, False) == (query.closed.is_set(), gone.ended)
    assert query.made < 50


@pytest.mark.parametrize("stuck", [0, 1, 2, 5])
async def test_a_client_that_goes_away_stops_a_chunk_in_the_making(stuck: int, tmp_path: Path) -> None:
    """While a chunk takes its time, the first one too, a client that goes away has the query closed at once."""
    query, gone = Query(stuck=stuck), Client()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gone.ask, Adapter(Scripted(tmp_path, query.reply)))
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        assert not query.closed.is_set()
        gone.gone.set()
    assert query.closed.is_set()
    assert stuck < 2 or not gone.ended
    assert stuck >= 2 or [] == gone.sent


async def test_a_request_that_is_cancelled_stops_its_query(tmp_path: Path) -> None:
    """When the task around a request is cancelled, as at a server's end, its query is closed."""
    query = Query(stuck=3)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client().ask, Adapter(Scripted(tmp_path, query.reply)))
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        tasks.cancel_scope.cancel()
    assert query.closed.is_set()


@pytest.mark.parametrize("error", [QueryTimeout("slow"), ZeroDivisionError("bug")])
async def test_what_fails_in_the_middle_cuts_the_connection(error: Exception, tmp_path: Path) -> None:
    """An error after the first bytes is raised as it is, and the answer never said to be complete."""
    query, cut = Query(error=error), Client()
    with pytest.raises(type(error)) as caught:
        await cut.ask(Adapter(Scripted(tmp_path, query.reply)))
    assert error is caught.value
    assert (3 * len(HALF), False) == (sum(len(message.get("body", b"")) for message in cut.sent), cut.ended)
    assert query.closed.is_set()


async def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    """A client that takes longer to read an answer than a query may take does not keep its query open."""
    query, stalled = Query(), Client()
    stalled.reads = False
    with pytest.raises(QueryTimeout, match="read"):
        await stalled.ask(Adapter(Scripted(tmp_path, query.reply, query_timeout=0.05)))
    assert (True, 1) == (query.closed.is_set(), len(stalled.sent))


async def test_a_client_that_does_not_read_keeps_no_slot(tmp_path: Path) -> None:
    """While an answer waits for its client, the one slot that there is goes to others."""
    dump = Query()
    stalled, asked = Client(), Client(path="/archives/")
    stalled.reads = False
    small = Reply(200, (), (b"small",))
    scripted = Scripted(tmp_path, lambda request: small if request.path == "/archives/" else dump.reply())
    adapter = Adapter(scripted, Slots(1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stalled.ask, adapter)
        await anyio.wait_all_tasks_blocked()
        await asked.ask(adapter)
        assert (b"small", False) == (asked.sent[1]["body"], dump.closed.is_set())
        tasks.cancel_scope.cancel()
    assert dump.closed.is_set()


async def test_the_slowest_client_is_cut_where_too_many_do_not_read(tmp_path: Path) -> None:
    """Beyond the bound on answers that rest, the query of the one that has rested longest ends, and no other."""
    dumps = [Query() for _ in range(3)]
    replies = iter([dump.reply() for dump in dumps])
    adapter = Adapter(Scripted(tmp_path, lambda _: next(replies), query_timeout=LONG_S), Slots(1, resting=2))
    ended = []

    async def ask(number: int) -> None:
        client = Client()
        client.reads = False
        with suppress(QueryTimeout):
            await client.ask(adapter)
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
    """One that is long, such as a backup, is cut off only when its client takes none of it for that time."""

    def slow() -> Iterator[bytes]:
        for _ in range(8):
            time.sleep(0.1)
            yield HALF

    def answer(_request: Request) -> Reply:
        return Reply(200, (), slow(), is_long=is_long)

    taking = Client()
    adapter = Adapter(Scripted(tmp_path, answer, query_timeout=0.4))
    if is_long:
        await taking.ask(adapter)
        assert 8 * len(HALF) == sum(len(message.get("body", b"")) for message in taking.sent)
    else:
        with pytest.raises(QueryTimeout, match="read"):
            await taking.ask(adapter)


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.is_open], ids=lambda route: route.template)
async def test_too_many_at_once(route: Any, tmp_path: Path) -> None:
    """When no slot comes free in the time that a query may take, the answer is 503; the health is told all the same."""
    query = Query(stuck=0)
    adapter = Adapter(Scripted(tmp_path, query.reply, query_timeout=0.05), Slots(1))
    refused = Client(route.method, route.template.format(slug="daily", aggregate="avg", file="main.js"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client().ask, adapter)
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        await refused.ask(adapter)
        query.close()
    assert 503 == refused.sent[0]["status"]
    assert b"1 requests are being answered" in refused.sent[1]["body"]


@pytest.mark.parametrize(("waiting", "refused"), [(1, 1), (2, 0)])
async def test_few_may_wait(waiting: int, refused: int, tmp_path: Path) -> None:
    """Who finds too many waiting for a slot is not added to them, and is told when to come again."""
    query = Query(stuck=0)
    scripted = Scripted(tmp_path, query.reply, query_timeout=LONG_S)
    adapter, asked = Adapter(scripted, Slots(1, waiting=waiting)), [Client() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asked[0].ask, adapter)
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        for client in asked[1:]:
            tasks.start_soon(client.ask, adapter)
        await anyio.wait_all_tasks_blocked()
        sent = [message for client in asked for message in client.sent if "status" in message]
        assert [503] * refused == [message["status"] for message in sent]
        assert [(b"retry-after", b"1")] * refused == [h for m in sent for h in m["headers"] if h[0] == b"retry-after"]
        tasks.cancel_scope.cancel()


async def test_every_query_can_be_stopped(tmp_path: Path) -> None:
    """Where all slots are taken by queries that do not end, there is a thread left to stop each of them."""
    queries = [Query(stuck=0), Query(stuck=0)]
    replies = iter([query.reply() for query in queries])
    adapter = Adapter(Scripted(tmp_path, lambda _: next(replies), query_timeout=LONG_S), Slots(2))
    async with anyio.create_task_group() as tasks:
        for query in queries:
            tasks.start_soon(Client().ask, adapter)
            assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        tasks.cancel_scope.cancel()
        began = time.monotonic()
    assert time.monotonic() - began < LIMIT_S / 2
    assert [True, True] == [query.closed.is_set() for query in queries]


async def test_a_body_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends a part of a body and no more is told so, and does not keep the connection."""
    monkeypatch.setattr(connection, "BODY_S", 0.05)
    slow = Client("POST", "/archives/")

    async def receive() -> Message:
        if slow.received:
            await anyio.sleep_forever()
        slow.received += 1
        return {"type": "http.request", "body": b"{", "more_body": True}

    with anyio.fail_after(LIMIT_S):
        await Adapter(Service(settings(tmp_path, write_token="w")))(slow.scope, receive, slow.send)
    assert (408, True) == (slow.sent[0]["status"], (b"connection", b"close") in slow.sent[0]["headers"])


async def test_the_health_waits_for_nobody(filled: Path) -> None:
    """While every slot is taken the health is told."""
    query = Query(stuck=0)

    def answer(request: Request) -> Reply:
        return query.reply() if request.path != "/healthz" else Service(settings(filled)).handle(request)

    adapter = Adapter(Scripted(filled, answer, query_timeout=LONG_S), Slots(1))
    asked = Client(path="/healthz")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client().ask, adapter)
        assert await to_thread.run_sync(query.waiting.wait, LIMIT_S)
        await asked.ask(adapter)
        assert (200, b'{"status":"ok"}') == (asked.sent[0]["status"], asked.sent[1]["body"])
        query.close()


async def test_slots_come_back(tmp_path: Path) -> None:
    """A slot is free again however a request ended: failed, or left by its client."""
    queries = [Query(error=QueryTimeout("slow")), Query(), Query(error=QueryTimeout("slow"))]
    scripted = Scripted(tmp_path, lambda _: queries.pop().reply(), query_timeout=LONG_S)
    adapter = Adapter(scripted, Slots(1))
    while queries:
        asked = Client()
        asked.goes_after = 9
        with suppress(QueryTimeout):
            await asked.ask(adapter)
        assert 200 == asked.sent[0]["status"]


async def test_a_body_is_not_kept_beyond_its_bound(tmp_path: Path) -> None:
    """Of a body without end only as much is kept as shows that it is too long."""
    endless = Client("POST", "/archives/")
    bodies: list[bytes] = []

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        return {"type": "http.request", "body": b" " * 16_384, "more_body": True}

    def answer(request: Request) -> Reply:
        bodies.append(request.body)
        return empty(413)

    with anyio.fail_after(LIMIT_S):
        await Adapter(Scripted(tmp_path, answer))(endless.scope, receive, endless.send)
    assert 413 == endless.sent[0]["status"]
    assert [MAX_BODY_BYTES + 16_384] == [len(body) for body in bodies]


@pytest.mark.parametrize(("token", "expected"), [("w", MAX_SAMPLES_BYTES), ("wrong", MAX_BODY_BYTES)])
async def test_samples_are_read_for_longer_from_those_who_may_write(token: str, expected: int, tmp_path: Path) -> None:
    """A stranger does not get more memory by asking for what takes long bodies."""
    bodies: list[bytes] = []

    def answer(request: Request) -> Reply:
        bodies.append(request.body)
        return empty(413)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MAX_SAMPLES_BYTES // 16_384 + 2):
            yield b" " * 16_384

    async with client(Adapter(Scripted(tmp_path, answer, write_token="w"))) as http:
        for target in ("/samples/", "/archives/"):
            await http.post(target, content=pieces(), headers=bearer(token))
    assert [expected + 16_384, MAX_BODY_BYTES + 16_384] == [len(body) for body in bodies]


async def test_samples_in_a_long_body(tmp_path: Path) -> None:
    """As many lines as there may be are stored by one request, compressed or not."""
    Catalog(tmp_path).create("daily", resolution=10, retention=0)
    body = b"".join(b"name%d 1 %d\n" % (number % 100, 1_700_000_000 + number) for number in range(MAX_LINES))
    async with client(build(settings(tmp_path, write_token="w"))) as http:
        plain = await http.post("/samples/", content=body, headers=bearer("w"))
        gzipped = {**bearer("w"), "Content-Encoding": "gzip"}
        again = await http.post("/samples/", content=gzip.compress(body), headers=gzipped)
    assert [MAX_LINES, MAX_LINES] == [each.json()["archives"]["daily"]["stored"] for each in (plain, again)]
    assert 2 * MAX_LINES == sum(Catalog(tmp_path)["daily"].aggregate("count").values())


async def test_a_client_that_goes_while_it_sends_is_not_answered(tmp_path: Path) -> None:
    """A body that breaks off is not acted upon."""
    gone = Client("POST", "/archives/")
    gone.received = 1
    gone.gone.set()
    await gone.ask(Adapter(Service(settings(tmp_path, write_token="w"))))
    assert [] == gone.sent


@pytest.mark.parametrize(
    ("root_path", "path", "expected"),
    [
        ("", "/archives", "/archives/"),
        ("/p", "/p/archives", "/p/archives/"),
        ("/p", "/archives", "/p/archives/"),
        ("/p/", "/p/archives", "/p/archives/"),
        ("/archives", "/archives/archives", "/archives/archives/"),
    ],
)
async def test_both_ways_to_give_a_prefix(root_path: str, path: str, expected: str, tmp_path: Path) -> None:
    """A server may put the prefix before the path or leave it out."""
    asked = Client(path=path, root_path=root_path)
    await asked.ask(Adapter(Service(settings(tmp_path))))
    assert (308, expected) == (asked.sent[0]["status"], dict(asked.sent[0]["headers"])[b"location"].decode())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"host", b"localhost")], 200),
        ([(b"host", b"localhost"), (b"host", b"evil.test")], 421),
        ([(b"host", b"evil.test"), (b"host", b"localhost")], 421),
        ([(b"host", b"localhost"), (b"host", b"localhost")], 421),
        ([], 200),
    ],
)
async def test_several_host_headers_are_no_host(headers: list[Any], status: int, filled: Path) -> None:
    """Of two `Host` headers, neither is believed."""
    asked = Client(path="/names/daily/", headers=headers)
    await asked.ask(build(settings(filled)))
    assert status == asked.sent[0]["status"]


async def test_a_websocket_is_refused(filled: Path) -> None:
    """Whoever asks for a WebSocket is told that there is none."""
    asked = Client()
    asked.scope["type"] = "websocket"
    await asked.ask(build(settings(filled)))
    assert ["websocket.close"] == [message["type"] for message in asked.sent]


async def test_every_path_is_answered_by_the_service(filled: Path) -> None:
    """A path that no router's pattern would match gets the same kind of answer."""
    async with client(build(settings(filled))) as http:
        response = await http.get("/values/a%0Ab/")
    assert (404, "application/problem+json") == (response.status_code, response.headers["content-type"])
