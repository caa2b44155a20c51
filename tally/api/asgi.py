"""The Starlette app: a route for each row of the table, and handlers for the statuses 404 and 405."""

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
from tally.api.message import BODY_S, METHODS_WITH_BODY, Reply, join_headers
from tally.api.problems import Problem
from tally.api.responses import CLOSED, Pool, ReplyResponse, WorkResponse
from tally.api.route import Route
from tally.api.routes import BY_PATH
from tally.api.service import Service, Work
from tally.api.slots import Slots
from tally.engine.files.status import Status
from tally.settings import Settings


def build(settings: Settings, *, own: Callable[[], Mapping[str, Status]] = dict) -> Starlette:
    """Return an app to serve or to mount. It needs no lifespan, and opens no file before the first request."""
    return create(Service(settings, own=own))


def create(service: Service, slots: Slots | None = None) -> Starlette:
    """Return the app of a service."""
    endpoints = Endpoints(service, slots or Slots())
    app = Starlette(
        routes=endpoints.routes(),
        exception_handlers={
            HTTPStatus.NOT_FOUND: endpoints.not_found,
            HTTPStatus.METHOD_NOT_ALLOWED: endpoints.not_allowed,
            ClientDisconnect: answer_disconnected,
        },
    )
    # Starlette redirects by 307, also to paths without a slash, and before the token is checked.
    app.router.redirect_slashes = False
    return app


async def answer_disconnected(_request: Request, _error: Exception) -> Response:
    """Return an empty response for a client that disconnected while it sent the body."""
    return Response()


class Endpoints:
    """The endpoints and exception handlers of the app."""

    def __init__(self, service: Service, slots: Slots) -> None:
        self._service = service
        self._pool = Pool(slots, timeout_s=service.settings.query_timeout)
        # All rows with the path of an endpoint.
        self._rows: dict[Any, tuple[Route, ...]] = {}

    def routes(self) -> list[StarletteRoute]:
        """Return a route for each path and method in the table."""
        routes = []
        for path, rows in BY_PATH.items():
            for row in rows:
                endpoint = partial(self.answer, row)
                self._rows[endpoint] = rows
                routes.append(StarletteRoute(path, endpoint, methods=[row.method], name=row.name))
        return routes

    async def answer(self, row: Route, request: Request) -> Response:
        """Answer a request that matches a row of the table."""
        if request.scope["path"].endswith("\n"):  # Starlette's templates ignore it.
            raise HTTPException(HTTPStatus.NOT_FOUND)
        path = request.path_params

        def respond(asked: message.Request) -> Response:
            if row.is_open:
                return self._response(self._service.answer(asked, row, path))
            work = Work(self._service, asked, row, path)
            return WorkResponse(self._pool, work, lambda error: self._service.refuse(asked, error, route=row))

        return await self._respond(request, row, respond)

    async def not_allowed(self, request: Request, _error: Exception) -> Response:
        """Answer a request whose path matches rows, but whose method does not: 405."""
        rows = self._rows[request.scope["endpoint"]]
        return await self._respond(
            request, rows[0], lambda asked: self._response(self._service.not_allowed(asked, rows))
        )

    async def not_found(self, request: Request, _error: Exception) -> Response:
        """Answer a request whose path matches no row: 308 or 404."""
        with_slash = {**request.scope, "path": f"{request.scope['path']}/"}
        is_found = any(route.matches(with_slash)[0] is not Match.NONE for route in request.app.routes)
        return await self._respond(
            request, None, lambda asked: self._response(self._service.not_found(asked, is_found_with_slash=is_found))
        )

    async def _respond(
        self, request: Request, row: Route | None, respond: Callable[[message.Request], Response]
    ) -> Response:
        """Read the body, then return the response; 408 if the body did not arrive.

        :raises ClientDisconnect: if the client disconnected.
        """
        asked = _convert(request)
        if asked.method in METHODS_WITH_BODY:
            try:
                asked = _convert(request, await _read_body(request, self._service.max_body_bytes(asked, row)))
            except TimeoutError:
                text = f"the body did not arrive within {BODY_S:g} seconds: send it again"
                late = Problem(HTTPStatus.REQUEST_TIMEOUT, text, headers=(CLOSED,))
                return self._response(self._service.refuse(asked, late, route=row))
        return respond(asked)

    def _response(self, reply: Reply) -> Response:
        return ReplyResponse(self._pool, reply)


async def _read_body(request: Request, max_bytes: int) -> bytes:
    """Return the body. Reading stops when it is longer than `max_bytes`.

    :raises TimeoutError: if it does not arrive within BODY_S seconds.
    """
    body = bytearray()
    with anyio.fail_after(BODY_S):
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > max_bytes:
                    break
    return bytes(body)


def _convert(request: Request, body: bytes = b"") -> message.Request:
    scope = request.scope
    scope["tally"] = True  # The timing middleware skips tally's own pages.
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    if path.startswith(f"{root}/"):
        path = path[len(root) :]
    query = scope["query_string"].decode("latin-1")
    return message.Request(request.method, path, query, join_headers(request.headers.items()), body, root=root)
