"""The ASGI app in this process, on every event loop: translation, slots, and ends of all kinds."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message

from tally.api import asgi
from tally.api.asgi import build, create
from tally.api.message import MAX_BODY_BYTES, MAX_SAMPLES_BYTES, Reply, Request, empty
from tally.api.samples import MAX_LINES
from tally.api.service import Service
from tally.engine import Catalog
from tests.api.asking import Got, check, settings
from tests.api.cases import CASES, basic, bearer
from tests.api.served import LIMIT_S, Client, Scripted, client

pytestmark = pytest.mark.anyio


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
    """Middlewares that wrap `receive` and `send`, or compress, do not change the answers."""

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


async def test_a_body_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends only a part of its body is answered by 408, and the connection is closed."""
    monkeypatch.setattr(asgi, "BODY_S", 0.05)
    slow = Client("POST", "/archives/")

    async def receive() -> Message:
        if slow.received:
            await anyio.sleep_forever()
        slow.received += 1
        return {"type": "http.request", "body": b"{", "more_body": True}

    with anyio.fail_after(LIMIT_S):
        await create(Service(settings(tmp_path, write_token="w")))(slow.scope, receive, slow.send)
    assert (408, True) == (slow.sent[0]["status"], (b"connection", b"close") in slow.sent[0]["headers"])


async def test_a_body_is_not_kept_beyond_its_bound(tmp_path: Path) -> None:
    """An endless body is read only until it exceeds the limit."""
    endless = Client("POST", "/archives/")
    bodies: list[bytes] = []

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        return {"type": "http.request", "body": b" " * 16_384, "more_body": True}

    def answer(request: Request) -> Reply:
        bodies.append(request.body)
        return empty(413)

    with anyio.fail_after(LIMIT_S):
        await create(Scripted(tmp_path, answer))(endless.scope, receive, endless.send)
    assert 413 == endless.sent[0]["status"]
    assert [MAX_BODY_BYTES + 16_384] == [len(body) for body in bodies]


@pytest.mark.parametrize(("token", "expected"), [("w", MAX_SAMPLES_BYTES), ("wrong", MAX_BODY_BYTES)])
async def test_samples_are_read_for_longer_from_those_who_may_write(token: str, expected: int, tmp_path: Path) -> None:
    """Without a write token, long bodies are not read on any route."""
    bodies: list[bytes] = []

    def answer(request: Request) -> Reply:
        bodies.append(request.body)
        return empty(413)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MAX_SAMPLES_BYTES // 16_384 + 2):
            yield b" " * 16_384

    async with client(create(Scripted(tmp_path, answer, write_token="w"))) as http:
        for target in ("/samples/", "/archives/"):
            await http.post(target, content=pieces(), headers=bearer(token))
    assert [expected + 16_384, MAX_BODY_BYTES + 16_384] == [len(body) for body in bodies]


async def test_samples_in_a_long_body(tmp_path: Path) -> None:
    """One request can store the maximum number of lines, compressed or not."""
    Catalog(tmp_path).create("daily", resolution=10, retention=0)
    body = b"".join(b"name%d 1 %d\n" % (number % 100, 1_700_000_000 + number) for number in range(MAX_LINES))
    async with client(build(settings(tmp_path, write_token="w"))) as http:
        plain = await http.post("/samples/", content=body, headers=bearer("w"))
        gzipped = {**bearer("w"), "Content-Encoding": "gzip"}
        again = await http.post("/samples/", content=gzip.compress(body), headers=gzipped)
    assert [MAX_LINES, MAX_LINES] == [each.json()["archives"]["daily"]["stored"] for each in (plain, again)]
    assert 2 * MAX_LINES == sum(Catalog(tmp_path)["daily"].aggregate("count").values())


async def test_a_client_that_goes_while_it_sends_is_not_answered(tmp_path: Path) -> None:
    """An incomplete body has no effect."""
    gone = Client("POST", "/archives/", headers=[(b"authorization", b"Bearer w")])
    begun: Message = {"type": "http.request", "body": b'{"slug": "a"}', "more_body": True}
    messages = iter([begun, {"type": "http.disconnect"}])

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        return next(messages)

    with anyio.fail_after(LIMIT_S):
        await create(Service(settings(tmp_path, write_token="w")))(gone.scope, receive, gone.send)
    assert [] == Catalog(tmp_path).slugs()


@pytest.mark.parametrize(
    ("root_path", "path", "expected"),
    [
        ("", "/archives", "/archives/"),
        ("/p", "/p/archives", "/p/archives/"),
        ("/p", "/archives", "/p/archives/"),
        ("/archives", "/archives/archives", "/archives/archives/"),
    ],
)
async def test_both_ways_to_give_a_prefix(root_path: str, path: str, expected: str, tmp_path: Path) -> None:
    """The path may or may not include the root path."""
    asked = Client(path=path, root_path=root_path)
    await asked.ask(create(Service(settings(tmp_path))))
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
    """A request with two `Host` headers is refused."""
    asked = Client(path="/names/daily/", headers=headers)
    await asked.ask(build(settings(filled)))
    assert status == asked.sent[0]["status"]


async def test_a_websocket_is_refused(filled: Path) -> None:
    """WebSockets are refused."""
    asked = Client()
    asked.scope["type"] = "websocket"
    await asked.ask(build(settings(filled)))
    assert ["websocket.close"] == [message["type"] for message in asked.sent]


async def test_every_path_is_answered_by_the_service(filled: Path) -> None:
    """A path that no pattern matches is answered by the same kind of problem."""
    async with client(build(settings(filled))) as http:
        response = await http.get("/values/a%0Ab/")
    assert (404, "application/problem+json") == (response.status_code, response.headers["content-type"])
