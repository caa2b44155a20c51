"""The ASGI middleware in apps of Starlette and FastAPI."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Scope
from starlette.websockets import WebSocket

import tally
from tally.api import create_app
from tally.engine import Catalog
from tally.errors import InvalidSetting
from tally.integrations import asgi, sender
from tally.integrations.asgi import TimingMiddleware
from tests.api.asking import settings
from tests.integrations.doubles import Clock, Unexpected
from tests.receiving import Receiver

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the middleware's clock by one that the test controls."""
    clock = Clock()
    monkeypatch.setattr(asgi, "perf_counter", clock)
    return clock


async def page(_: Request) -> Response:
    """Answer at once."""
    return PlainTextResponse("fine")


async def broken(_: Request) -> Response:
    """Raise."""
    raise Unexpected


async def parts() -> AsyncIterator[bytes]:
    """Yield three parts."""
    for part in (b"a", b"b", b"c"):
        yield part


async def stream(_: Request) -> Response:
    """Answer in parts."""
    return StreamingResponse(parts())


async def file(_: Request) -> Response:
    """Answer a file."""
    return FileResponse(__file__)


async def echo(websocket: WebSocket) -> None:
    """Accept and close."""
    await websocket.accept()
    await websocket.close()


ROUTES = [
    Route("/", page),
    Route("/articles/{pk:int}/", page, methods=["GET", "POST"]),
    Route("/broken", broken),
    Route("/stream", stream),
    Route("/file", file),
    WebSocketRoute("/ws", echo),
]


async def hand_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Do nothing in between."""
    return await call_next(request)


def starlette(**options: Any) -> ASGIApp:
    """Return a Starlette app that has other middleware too."""
    others = [Middleware(GZipMiddleware), Middleware(BaseHTTPMiddleware, dispatch=hand_on)]
    return Starlette(routes=ROUTES, middleware=[Middleware(TimingMiddleware, **options), *others])


def fastapi(**options: Any) -> ASGIApp:
    """Return a FastAPI app with the same routes."""
    app = FastAPI()
    app.add_middleware(TimingMiddleware, **options)
    for path, endpoint in {"/": page, "/broken": broken, "/stream": stream, "/file": file}.items():
        app.add_route(path, endpoint)

    @app.api_route("/articles/{pk:int}/", methods=["GET", "POST"])
    async def article(pk: int) -> int:
        return pk

    app.add_api_websocket_route("/ws", echo)
    return app


def around(**options: Any) -> ASGIApp:
    """Return a Starlette app that is wrapped by the middleware."""
    return TimingMiddleware(Starlette(routes=ROUTES), **options)


def further_around(**options: Any) -> ASGIApp:
    """Return an app that is wrapped by another middleware and by ours."""
    return TimingMiddleware(GZipMiddleware(Starlette(routes=ROUTES)), **options)


Make = Callable[..., ASGIApp]
ALL = pytest.mark.parametrize("make", [starlette, fastapi, around, further_around])


async def ask(app: ASGIApp, target: str, method: str = "GET") -> httpx.Response:
    """Return the answer of an app, which may be a 500."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tally.test") as http:
        return await http.request(method, target)


def names(collector: Receiver, count: int = 1) -> list[str]:
    """Return the names of the next samples."""
    return [line.split()[0].decode() for line in collector.lines(count)]


@ALL
@pytest.mark.parametrize(
    ("method", "target", "by_path", "by_route"),
    [
        ("GET", "/", "requests.get", "requests.get"),
        ("POST", "/articles/7/", "requests.post.articles.7", "requests.post.articles.<int:pk>"),
        ("GET", "/articles/7/?page=2", "requests.get.articles.7", "requests.get.articles.<int:pk>"),
        ("GET", "/stream", "requests.get.stream", "requests.get.stream"),
        ("GET", "/file", "requests.get.file", "requests.get.file"),
        ("GET", "/broken", "requests.get.broken", "requests.get.broken"),
        ("POST", "/a%20b/%C3%A9", "requests.post.404", "requests.post.404"),
    ],
)
async def test_each_request_is_sent_once(
    method: str, target: str, by_path: str, by_route: str, make: Make, collector: Receiver
) -> None:
    """Pages, streams, files, errors and 404s are sent once under their names, wherever the middleware is."""
    for options, expected in (({}, by_route), ({"names": "route"}, by_route), ({"names": "path"}, by_path)):
        await ask(make(**options), target, method)
        assert [expected] == names(collector)
        assert collector.nothing()


@ALL
@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/", "requests;method=get;route=/;status=200"),
        ("POST", "/articles/7/", "requests;method=post;route=articles/<int:pk>;status=200"),
        ("GET", "/broken", "requests;method=get;route=broken;status=500"),
        ("GET", "/nowhere", "requests;method=get;route=<unmatched>;status=404"),
    ],
)
async def test_requests_are_sent_with_tags(
    method: str, target: str, expected: str, make: Make, collector: Receiver
) -> None:
    """With names="tags", method, route and status are tags."""
    await ask(make(names="tags"), target, method)
    assert [expected] == names(collector)


async def test_other_apps_are_named_by_path(collector: Receiver) -> None:
    """The requests of an app without known routes are named by path."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("fine")(scope, receive, send)

    await ask(TimingMiddleware(app), "/articles/7/")
    await ask(TimingMiddleware(app, names="tags"), "/articles/7/")
    assert ["requests.get.articles.7", "requests;method=get;route=articles/7;status=200"] == names(collector, 2)


@pytest.mark.parametrize("way", ["path", "route"])
async def test_tallys_own_pages_are_not_timed(way: str, collector: Receiver, tmp_path: Path) -> None:
    """No request to a mounted tally app is sent; requests to other pages are."""
    own = Starlette(routes=[Mount("/{place}/tally", create_app(settings(tmp_path)))])
    app = Starlette(routes=[*ROUTES, Mount("/monitor", own)], middleware=[Middleware(TimingMiddleware, names=way)])
    for target in ("/monitor/here/tally/", "/monitor/here/tally/healthz", "/monitor/here/tally/nowhere/"):
        await ask(app, target)
    assert collector.nothing()
    await ask(app, "/")
    assert ["requests.get"] == names(collector)


async def test_seconds_are_sent(clock: Clock, collector: Receiver) -> None:
    """The value is the time until the response was sent."""

    async def slow(_: Request) -> Response:
        clock.seconds += 0.25
        return PlainTextResponse("fine")

    await ask(TimingMiddleware(Starlette(routes=[Route("/a", slow)])), "/a")
    assert b"requests.get.a 0.25" == collector.datagram()


async def test_a_stream_is_timed_to_its_last_chunk(clock: Clock, collector: Receiver) -> None:
    """The sample is sent after the last chunk, and does not include what the app does afterwards."""
    app = FastAPI()

    async def slow() -> AsyncIterator[bytes]:
        for part in (b"a", b"b"):
            clock.seconds += 2
            yield part
        assert collector.nothing()

    def later() -> None:
        assert b"requests.get.a 4.0" == collector.datagram()
        clock.seconds += 100

    @app.get("/a")
    async def answer(tasks: BackgroundTasks) -> Response:
        tasks.add_task(later)
        return StreamingResponse(slow(), background=tasks)

    app.add_middleware(TimingMiddleware)
    assert b"ab" == (await ask(app, "/a")).content
    assert collector.nothing()
    assert 204.0 == clock.seconds


@pytest.mark.parametrize("error", [Unexpected, asyncio.CancelledError, SystemExit])
async def test_a_request_that_raised_is_counted(error: type[BaseException], collector: Receiver) -> None:
    """An exception passes through the middleware, and its request is sent."""

    async def app(*_: Any) -> None:
        raise error

    with pytest.raises(error):
        await TimingMiddleware(app)({"type": "http", "method": "GET", "path": "/a"}, None, None)  # type: ignore[arg-type]
    assert ["requests.get.a"] == names(collector)


async def test_an_error_after_the_response_is_not_counted_again(collector: Receiver) -> None:
    """A request whose app fails after the response is sent once."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("fine")(scope, receive, send)
        raise Unexpected

    with pytest.raises(Unexpected):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(TimingMiddleware(app))) as http:
            await http.get("http://tally.test/a")
    assert ["requests.get.a"] == names(collector)
    assert collector.nothing()


async def test_a_response_by_pathsend_ends_with_the_app(collector: Receiver) -> None:
    """If the server sends the file itself, the duration ends when the app returns."""
    sent = []

    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.pathsend", "path": __file__})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await TimingMiddleware(app)({"type": "http", "method": "GET", "path": "/a"}, None, send)  # type: ignore[arg-type]
    assert ["http.response.start", "http.response.pathsend"] == sent
    assert ["requests.get.a"] == names(collector)


@ALL
async def test_a_websocket_is_not_timed(make: Make, collector: Receiver) -> None:
    """WebSockets and the lifespan are passed on without timing."""
    expected = ["websocket.accept", "websocket.close"]
    scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b""}
    assert expected == await exchanged(make(), scope, "websocket.connect")
    expected = ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert expected == await exchanged(make(), {"type": "lifespan"}, "lifespan.startup", "lifespan.shutdown")
    assert collector.nothing()


async def exchanged(app: ASGIApp, scope: Scope, *received: str) -> list[str]:
    """Return the types of the messages that an app sends after receiving these."""
    messages, sent = iter(received), []

    async def receive() -> Message:
        return {"type": next(messages)}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await app(scope, receive, send)
    return sent


async def test_a_prefix_shortens_names(monkeypatch: pytest.MonkeyPatch, collector: Receiver) -> None:
    """With TALLY_PREFIX, a long name is truncated so that both fit into the limit."""
    monkeypatch.setenv("TALLY_PREFIX", "p" * 200)
    tally.configure(None)
    await ask(around(names="path"), "/articles/" + "7" * 300 + "/")
    assert ["p" * 200 + "requests.get.articles." + "7" * 33] == names(collector)


async def test_errors_do_not_affect_requests(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An error with the sample is logged, and the response is sent."""

    def fail(*_: Any) -> None:
        raise OSError("no way out")

    monkeypatch.setattr(sender, "tally", fail)
    assert "fine" == (await ask(around(), "/")).text
    assert [("tally.asgi", "page timings are lost: no way out")] == [(r.name, r.getMessage()) for r in caplog.records]


@pytest.mark.parametrize(("variable", "options"), [("http", {}), ("8900", {"names": "view"})])
async def test_malformed_settings_stop_the_start(
    variable: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A malformed setting raises InvalidSetting when the app is created."""
    monkeypatch.setenv("TALLY_PORT", variable)
    tally.configure(None)
    with pytest.raises(InvalidSetting):
        await exchanged(starlette(**options), {"type": "lifespan"}, "lifespan.startup", "lifespan.shutdown")


async def test_without_a_server_requests_go_into_the_archives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With an empty TALLY_HOST, another thread writes each request to the archives before it ends."""
    threads = set()

    def noted(name: str, seconds: float) -> None:
        threads.add(threading.get_ident())
        tally.tally(name, seconds)

    monkeypatch.setattr(sender, "tally", noted)
    monkeypatch.setenv("TALLY_HOST", "")
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path))
    tally.configure(None)
    daily = Catalog(tmp_path).create("daily")
    await ask(starlette(), "/articles/7/")
    assert ["requests.get.articles.<int:pk>"] == daily.names()
    assert threading.get_ident() not in threads
    tally.configure(None)
