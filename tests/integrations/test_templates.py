"""Templates of routes in apps of Starlette and FastAPI."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from tally.integrations.templates import HasRoutes, Templates


class Asking:
    """Sends requests to an app, and finds their templates."""

    def __init__(self, app: ASGIApp, routes: HasRoutes) -> None:
        self._app = app
        self._templates = Templates(routes)
        self.found: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        await self._app(scope, receive, send)
        self.found = self._templates.find(scope, root)

    def ask(self, path: str, method: str = "GET", *, root_path: str = "") -> str | None:
        """Return the template of a path."""

        async def ask() -> None:
            transport = httpx.ASGITransport(self, root_path=root_path)
            async with httpx.AsyncClient(transport=transport, base_url="http://tally.test") as http:
                await http.request(method, path)

        asyncio.run(ask())
        return self.found


def page(_: Request) -> Response:
    """Answer at once."""
    return PlainTextResponse("fine")


class Page(HTTPEndpoint):
    """Answers at once, as a class."""

    async def get(self, _: Request) -> Response:
        """Answer."""
        return PlainTextResponse("fine")


def other(_: Request) -> Response:
    """Answer at once, on two routes."""
    return PlainTextResponse("fine")


def starlette(*more: BaseRoute) -> Starlette:
    """Return an app with routes of all kinds."""
    shop = Starlette(routes=[Route("/", page), Route("/books/{pk:int}", page), Route("/{name}/{rest:path}", Page)])
    return Starlette(
        routes=[
            Route("/", page),
            Route("/articles/{pk:int}/", page, methods=["GET"]),
            Route("/old/{pk}", other),
            Route("/new/{pk}", other),
            Mount("/shop/{city}", shop),
            Mount("/deep", routes=[Mount("/er", routes=[Route("/{x:float}", Page)])]),
            Mount("/static", StaticFiles(directory="."), name="static"),
            Host("api.test", Starlette(routes=[Route("/api/{version}", Page)])),
            *more,
        ]
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/articles/7/", "/articles/<int:pk>/"),
        ("/articles/x/", None),
        ("/articles/7", None),
        ("/nowhere", None),
        ("/old/1", "/old/<pk>"),
        ("/new/1", "/new/<pk>"),
        ("/shop/paris/", "/shop/<city>/"),
        ("/shop/paris/books/9", "/shop/<city>/books/<int:pk>"),
        ("/shop/paris/a/b/c", "/shop/<city>/<name>/<path:rest>"),
        ("/shop/paris/nowhere", "/shop/<city>/<path:path>"),
        ("/deep/er/1.5", "/deep/er/<float:x>"),
        ("/static/setup.cfg", "/static/<path:path>"),
        ("http://api.test/api/2", "/api/<version>"),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/proxy"])
def test_routes_of_starlette(path: str, expected: str | None, root_path: str) -> None:
    """Templates are found for mounts, hosts, classes and shared endpoints, under any root path."""
    app = starlette()
    asked = root_path + path if root_path and path.startswith("/") else path
    if root_path and not path.startswith("/"):
        asked = path.replace(".test/", f".test{root_path}/")
    assert expected == Asking(app, app).ask(asked, root_path=root_path)


def test_a_method_that_is_not_allowed() -> None:
    """A request that is answered by 405 has the route of its path."""
    app = starlette()
    assert "/articles/<int:pk>/" == Asking(app, app).ask("/articles/7/", "DELETE")


def test_routes_that_are_added_later() -> None:
    """A route that is added while the app runs is found."""
    app = starlette()
    asking = Asking(app, app)
    assert "/" == asking.ask("/")
    app.router.routes.append(Route("/later/{x}", Page))
    assert "/later/<x>" == asking.ask("/later/1")


def fastapi() -> FastAPI:
    """Return an app with included routers, one of them included twice."""
    users = APIRouter(prefix="/users")

    @users.get("/{uid}")
    def user(uid: int) -> int:
        return uid

    @users.get("/files/{path:path}")
    def files(path: str) -> str:
        return path

    inner = APIRouter()
    inner.include_router(users, prefix="/inner")
    app, mounted = FastAPI(), FastAPI()

    @app.get("/items/{item}")
    async def item(item: str) -> str:
        return item

    for prefix in ("/v1", "/v2"):
        app.include_router(users, prefix=prefix)
    app.include_router(inner)
    mounted.include_router(users)
    app.mount("/mounted/{place}", mounted)
    return app


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/items/a", "/items/<item>"),
        ("/items/a/", None),
        ("/v1/users/7", "/v1/users/<uid>"),
        ("/v2/users/7", "/v2/users/<uid>"),
        ("/v2/users/x", "/v2/users/<uid>"),
        ("/v2/users/files/a/b", "/v2/users/files/<path:path>"),
        ("/inner/users/7", "/inner/users/<uid>"),
        ("/mounted/here/users/7", "/mounted/<place>/users/<uid>"),
        ("/openapi.json", "/openapi.json"),
        ("/nowhere", None),
    ],
)
def test_routes_of_fastapi(path: str, expected: str | None) -> None:
    """Templates are found for included routers, and for requests that fail validation."""
    app = fastapi()
    assert expected == Asking(app, app).ask(path)
