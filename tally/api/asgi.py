"""The Starlette app: a route for each row of the table, and what answers where no route does."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.routing import Route as StarletteRoute

from tally.api import message
from tally.api.message import BODY_S, METHODS_WITH_BODY, Reply
from tally.api.problems import Problem
from tally.api.responses import CLOSED, Pool, ReplyResponse, WorkResponse
from tally.api.route import Route
from tally.api.routes import BY_PATH
from tally.api.service import Service, Work
from tally.api.slots import Slots
from tally.engine.files.status import Status
from tally.settings import Settings


def build(settings: Settings, *, own: Callable[[], Mapping[str, Status]] = dict) -> Starlette:
    """Return an app to serve or to mount; it needs no lifespan, and touches no file before the first request."""
    return create(Service(settings, own=own))


def create(service: Service, slots: Slots | None = None) -> Starlette:
    """Return the app of a service."""
    endpoints = Endpoints(service, slots or Slots())
    app = Starlette(
        routes=endpoints.routes(),
        exception_handlers={
            HTTPStatus.NOT_FOUND: endpoints.not_found,
            HTTPStatus.METHOD_NOT_ALLOWED: endpoints.not_allowed,
            ClientDisconnect: gone,
        },
    )
    # Starlette would redirect by 307, also to a path with a slash less, and before it is known who asks.
    app.router.redirect_slashes = False
    return app


async def gone(_request: Request, _error: Exception) -> Response:
    """Answer a client that went away while it sent the body; nobody reads this."""
    return Response()


class Endpoints:
    """Starlette's endpoints and exception handlers: each reads the request's body, and responds by the service."""

    def __init__(self, service: Service, slots: Slots) -> None:
        self._service = service
        self._pool = Pool(slots, timeout_s=service.settings.query_timeout)
        # The rows for the path of an endpoint.
        self._rows: dict[Any, tuple[Route, ...]] = {}

    def routes(self) -> list[StarletteRoute]:
        """Return a route for each path and method of the table."""
        routes = []
        for path, rows in BY_PATH.items():
            for row in rows:
                endpoint = partial(self.answer, row)
                self._rows[endpoint] = rows
                routes.append(StarletteRoute(path, endpoint, methods=[row.method], name=row.name))
        return routes

    async def answer(self, row: Route, request: Request) -> Response:
        """Answer a request for a row of the table."""
        if request.scope["path"].endswith("\n"):  # Starlette's templates match it as if it were not there.
            raise HTTPException(HTTPStatus.NOT_FOUND)
        path = request.path_params

        def respond(asked: message.Request) -> Response:
            if row.is_open:
                return self._response(self._service.answer(asked, row, path))
            return WorkResponse(self._pool, Work(self._service, asked, row, path), self._busy(asked, row))

        return await self._respond(request, row, respond)

    async def not_allowed(self, request: Request, _error: Exception) -> Response:
        """Answer where rows match the path and none of them the method."""
        rows = self._rows[request.scope["endpoint"]]
        return await self._respond(
            request, rows[0], lambda asked: self._response(self._service.not_allowed(asked, rows))
        )

    async def not_found(self, request: Request, _error: Exception) -> Response:
        """Answer where no row matches the path."""
        with_slash = {**request.scope, "path": f"{request.scope['path']}/"}
        is_found = any(route.matches(with_slash)[0] is not Match.NONE for route in request.app.routes)
        return await self._respond(
            request, None, lambda asked: self._response(self._service.not_found(asked, is_found_with_slash=is_found))
        )

    async def _respond(
        self, request: Request, row: Route | None, respond: Callable[[message.Request], Response]
    ) -> Response:
        """Return the response to a request with its body, or to one whose body did not come.

        :raises ClientDisconnect: when the client went away.
        """
        asked = _asked(request)
        if asked.method in METHODS_WITH_BODY:
            try:
                asked = _asked(request, await _body(request, self._service.max_body_bytes(asked, row)))
            except TimeoutError:
                text = f"the body did not come within {BODY_S:g} seconds: send it again as a whole"
                late = Problem(HTTPStatus.REQUEST_TIMEOUT, text, headers=(CLOSED,))
                return self._response(self._service.refuse(asked, late, route=row))
        return respond(asked)

    def _busy(self, asked: message.Request, row: Route) -> Callable[[Problem], Reply]:
        return lambda error: self._service.refuse(asked, error, route=row)

    def _response(self, reply: Reply) -> Response:
        return ReplyResponse(self._pool, reply)


async def _body(request: Request, max_bytes: int) -> bytes:
    """Return the body, as far as is needed to see that it is too long.

    :raises TimeoutError: when it has not come within BODY_S seconds.
    """
    body = bytearray()
    with anyio.fail_after(BODY_S):
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > max_bytes:
                    break
    return bytes(body)


def _asked(request: Request, body: bytes = b"") -> message.Request:
    scope = request.scope
    scope["tally"] = True  # For middleware that has to know whose page it is.
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    if path.startswith(f"{root}/"):
        path = path[len(root) :]
    query = scope["query_string"].decode("latin-1")
    return message.Request(request.method, path, query, _headers(request), body, root=root)


def _headers(request: Request) -> dict[str, str]:
    """Return the headers by name, those of one name joined, as a WSGI server does it."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
