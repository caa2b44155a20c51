"""The middleware for ASGI apps of Starlette and FastAPI: sends how long each request took.

    app.add_middleware(TimingMiddleware)

A response ends with its last chunk; what an app does after that is not timed.
"""

import logging
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter

from anyio import to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tally.client.client import current
from tally.integrations.names import by_path, by_route, check_way, is_ignored, not_found
from tally.integrations.sender import Sender
from tally.integrations.templates import Templates
from tally.lines.plain import NAME_MAX_BYTES

logger = logging.getLogger("tally.asgi")


@dataclass(slots=True)
class Request:
    """A request: its scope, in which the app leaves who answered, the app and root path that stood there before.

    `status` is that of the response, and 0 until it starts.
    """

    scope: Scope
    app: object
    root: str
    status: int = 0


class TimingMiddleware:
    """Times an ASGI app. A request is named by its `route` where the app is Starlette's, or else by its `path`.

    WebSockets are not timed, and pages of tally's own app, wherever it is mounted, are left out.

    :raises InvalidSetting: when `names` is neither of these, or a setting of tally's is malformed.
    """

    def __init__(self, app: ASGIApp, *, names: str = "route") -> None:
        settings = current()
        self._app = app
        self._is_by_route = check_way(names) == "route"
        self._limit = NAME_MAX_BYTES - len(settings.prefix.encode())
        self._ignored = settings.middleware_ignore
        self._sender = Sender(self._name, logger)
        # Writing into the archives waits for the disk.
        self._waits = not settings.host
        self._templates: dict[int, Templates] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; raises what the app raises."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        request = Request(scope, scope.get("app"), scope.get("root_path", ""))
        is_over = False

        async def watched(message: Message) -> None:
            nonlocal is_over
            if message["type"] == "http.response.start":
                request.status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body") and not is_over:
                is_over = True
                await self._end(request, perf_counter() - began)

        try:
            await self._app(scope, receive, watched)
        except BaseException:
            if not is_over:
                self._sender.send(request, perf_counter() - began)
            raise
        if not is_over:
            await self._end(request, perf_counter() - began)

    async def _end(self, request: Request, seconds: float) -> None:
        if self._waits:
            await to_thread.run_sync(self._sender.send, request, seconds)
        else:
            self._sender.send(request, seconds)

    def _name(self, request: Request) -> str | None:
        scope = request.scope
        if "tally" in scope:
            return None
        name = self._named(request, self._templates_of(request))
        return None if is_ignored(name, self._ignored) else name

    def _named(self, request: Request, templates: Templates | None) -> str:
        scope = request.scope
        route = templates.of(scope, request.root) if templates else None
        if route is None and request.status == HTTPStatus.NOT_FOUND:
            return not_found(scope["method"], self._limit)
        if self._is_by_route and templates:
            return by_route(scope["method"], route, self._limit)
        return by_path(scope["method"], scope["path"], self._limit)

    def _templates_of(self, request: Request) -> Templates | None:
        """Return those of the app that the middleware belongs to or stands before, None where it is not Starlette's."""
        app = request.app or (self._app if hasattr(self._app, "routes") else request.scope.get("app"))
        if id(app) not in self._templates and hasattr(app, "routes"):
            self._templates[id(app)] = Templates(app)
        return self._templates.get(id(app))
