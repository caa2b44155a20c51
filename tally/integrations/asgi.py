"""Timing middleware for ASGI applications such as Starlette and FastAPI: sends the duration of each request.

    app.add_middleware(TimingMiddleware)

The duration ends with the last chunk of the response. Background tasks are not included.
"""

import logging
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter

from anyio import to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tally.client.client import current
from tally.integrations.names import by_path, by_route, by_tags, check_way, is_ignored, not_found
from tally.integrations.sender import Sender
from tally.integrations.templates import Templates
from tally.lines.plain import NAME_MAX_BYTES

logger = logging.getLogger("tally.asgi")


@dataclass(slots=True)
class Request:
    """A request: its scope, the app and root path that the scope had at first, and the status of the response.

    `status` is 0 until the response starts. Starlette adds the endpoint to the scope.
    """

    scope: Scope
    app: object
    root: str
    status: int = 0


class TimingMiddleware:
    """Times the requests of an ASGI app, and names them by `route`, by `path` or by `tags`.

    Apps other than Starlette's and FastAPI's are always named by path. WebSockets are not timed, nor are the pages of a
    mounted tally app.

    :raises InvalidSetting: when `names` is not `route`, `path` or `tags`, or a setting of tally is malformed.
    """

    def __init__(self, app: ASGIApp, *, names: str = "route") -> None:
        settings = current()
        self._app = app
        self._way = check_way(names)
        self._limit = NAME_MAX_BYTES - len(settings.prefix.encode())
        self._ignored = settings.middleware_ignore
        self._sender = Sender(self._name, logger)
        # Without a host, samples are written to the archives, which may block.
        self._blocks = not settings.host
        self._templates: dict[int, Templates] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app and send the duration of the request; raises what the app raises."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        request = Request(scope, scope.get("app"), scope.get("root_path", ""))
        is_over = False

        async def send_and_watch(message: Message) -> None:
            nonlocal is_over
            if message["type"] == "http.response.start":
                request.status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body") and not is_over:
                is_over = True
                await self._finish(request, perf_counter() - began)

        try:
            await self._app(scope, receive, send_and_watch)
        except BaseException:
            if not is_over:
                self._sender.send(request, perf_counter() - began)
            raise
        if not is_over:
            await self._finish(request, perf_counter() - began)

    async def _finish(self, request: Request, seconds: float) -> None:
        if self._blocks:
            await to_thread.run_sync(self._sender.send, request, seconds)
        else:
            self._sender.send(request, seconds)

    def _name(self, request: Request) -> str | None:
        scope = request.scope
        if "tally" in scope:
            return None
        name = self._full_name(request, self._find_templates(request))
        return None if is_ignored(name, self._ignored) else name

    def _full_name(self, request: Request, templates: Templates | None) -> str:
        scope = request.scope
        route = templates.find(scope, request.root) if templates else None
        if self._way == "tags":
            is_known = templates is not None or request.status == HTTPStatus.NOT_FOUND
            status = request.status or HTTPStatus.INTERNAL_SERVER_ERROR.value
            return by_tags(scope["method"], route if is_known else scope["path"], status, self._limit)
        if route is None and request.status == HTTPStatus.NOT_FOUND:
            return not_found(scope["method"], self._limit)
        if self._way == "route" and templates:
            return by_route(scope["method"], route, self._limit)
        return by_path(scope["method"], scope["path"], self._limit)

    def _find_templates(self, request: Request) -> Templates | None:
        """Return the templates of the app that is timed, None if it is not an app of Starlette or FastAPI."""
        app = request.app or (self._app if hasattr(self._app, "routes") else request.scope.get("app"))
        if id(app) not in self._templates and hasattr(app, "routes"):
            self._templates[id(app)] = Templates(app)
        return self._templates.get(id(app))
