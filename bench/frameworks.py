"""What the middleware for ASGI and WSGI costs a request, in front of apps that answer at once.

They leave behind what Starlette and Flask leave, and nothing stands before them on the other side; `bench.middleware`
takes the turns and prints the rows.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from werkzeug.routing import Rule

from tally.integrations import asgi, wsgi

TARGET = "/articles/7/"

# Makes some requests, and then runs them and returns the seconds that they took.
Turn = Callable[[int], float]


async def page(_: Request) -> PlainTextResponse:
    """Answer; it is never asked."""
    raise AssertionError


class Starlette:
    """Answers as an app of Starlette's does that has one route."""

    routes = (Route("/articles/{pk:int}/", page),)

    async def __call__(self, scope: Any, _: Any, send: Any) -> None:
        scope["endpoint"] = page
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})


class Flask:
    """Answers as an app of Flask's does: its request stands in the environment until it has answered."""

    url_rule = Rule("/articles/<int:pk>/")

    def __call__(self, environ: Any, start_response: Any) -> "Flask":
        environ["werkzeug.request"] = self
        start_response("200 OK", [])
        environ["werkzeug.request"] = None
        return self

    def __iter__(self) -> Iterator[bytes]:
        return iter((b"fine",))

    def close(self) -> None:
        """Close nothing."""


def turn_asgi(app: Any) -> Turn:
    """Return the turns of an ASGI app."""
    scope = {
        "type": "http", "method": "GET", "path": TARGET, "root_path": "", "query_string": b"", "headers": [],
    }  # fmt: skip

    async def receive() -> Any:
        raise AssertionError

    async def send(_: Any) -> None:
        """Take an answer."""

    async def run(scopes: list[dict[str, Any]]) -> float:
        start = time.perf_counter()
        for each in scopes:
            await app(each, receive, send)
        return time.perf_counter() - start

    return lambda count: asyncio.run(run([dict(scope) for _ in range(count)]))


def turn_wsgi(app: Any) -> Turn:
    """Return the turns of a WSGI app."""
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": TARGET}

    def run(count: int) -> float:
        environs = [dict(environ) for _ in range(count)]
        start = time.perf_counter()
        for each in environs:
            body = app(each, lambda *_: None)
            for _ in body:
                pass
            body.close()
        return time.perf_counter() - start

    return run


def stacks(names: str) -> dict[str, tuple[Turn, Turn]]:
    """Return by kind the turns of an app with the middleware, and of the same without it."""
    starlette, flask = Starlette(), Flask()
    return {
        "ASGI": (turn_asgi(asgi.TimingMiddleware(starlette, names=names)), turn_asgi(starlette)),
        "WSGI": (turn_wsgi(wsgi.TimingMiddleware(flask, names=names)), turn_wsgi(flask)),
    }
