"""Timing middleware for WSGI applications such as Flask: sends the duration of each request.

    app.wsgi_app = TimingMiddleware(app.wsgi_app)

The duration of a streaming response ends when the server closes it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tally.client.client import current
from tally.integrations.names import NOT_FOUND, by_path, by_route, by_tags, check_way, is_ignored, not_found
from tally.integrations.sender import Sender
from tally.lines.plain import NAME_MAX_BYTES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger("tally.wsgi")

# The status of a request that raised before its response began.
RAISED = 500


class Request:
    """A request: its `environ`, which the app shares, and the script name that this had at first.

    While Flask answers a request, `environ` contains Flask's own request. `note` reads the matching rule from it.
    """

    __slots__ = ("environ", "is_of_flask", "rule", "script", "status")

    def __init__(self, environ: "WSGIEnvironment") -> None:
        self.environ = environ
        self.script: str = environ.get("SCRIPT_NAME", "")
        self.is_of_flask = False
        self.rule: str | None = None
        self.status = ""

    def note(self, status: str) -> None:
        """Store the status line and Flask's rule.

        The rules of a mounted app do not include its script name, which is therefore added.
        """
        self.status = status
        flask_request: Any = self.environ.get("werkzeug.request")
        self.is_of_flask = hasattr(flask_request, "url_rule")
        if self.is_of_flask and flask_request.url_rule is not None:
            self.rule = self.environ.get("SCRIPT_NAME", "")[len(self.script) :] + flask_request.url_rule.rule


class TimingMiddleware:
    """Times the requests of a WSGI app, and names them by `route`, by `path` or by `tags`.

    Apps other than Flask's are always named by path.

    :raises InvalidSetting: when `names` is not `route`, `path` or `tags`, or a setting of tally is malformed.
    """

    def __init__(self, app: "WSGIApplication", *, names: str = "route") -> None:
        self._app = app
        self._way = check_way(names)
        settings = current()
        self._limit = NAME_MAX_BYTES - len(settings.prefix.encode())
        self._ignored = settings.middleware_ignore
        self._sender = Sender(self._name, logger)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Run the app and send the duration of the request; raises what the app raises."""
        began = perf_counter()
        request = Request(environ)

        def start_and_note(status: str, *arguments: Any) -> Callable[[bytes], object]:
            request.note(status)
            return start_response(status, *arguments)

        try:
            body = self._app(environ, start_and_note)
        except BaseException:
            self._sender.send(request, perf_counter() - began)
            raise

        def end() -> None:
            self._sender.send(request, perf_counter() - began)

        if isinstance(body, list | tuple):
            end()
            return body
        if _is_file(body, environ):
            body.close = call_after(getattr(body, "close", None), end)  # type: ignore[attr-defined]
            return body
        return Body(body, end)

    def _name(self, request: Request) -> str | None:
        name = self._full_name(request)
        return None if is_ignored(name, self._ignored) else name

    def _full_name(self, request: Request) -> str:
        environ = request.environ
        method = environ["REQUEST_METHOD"]
        # Flask removes its request from `environ` at the end, also after an unhandled exception.
        is_of_flask = request.is_of_flask or environ.get("werkzeug.request", request) is None
        is_not_found = request.rule is None and request.status.startswith(NOT_FOUND)
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path = path.encode("latin-1").decode("utf-8", "replace")
        if self._way == "tags":
            route = request.rule if is_of_flask or is_not_found else path
            return by_tags(method, route, int(request.status.partition(" ")[0] or RAISED), self._limit)
        if is_not_found:
            return not_found(method, self._limit)
        if self._way == "route" and is_of_flask:
            return by_route(method, request.rule, self._limit)
        return by_path(method, path, self._limit)


class Body:
    """The body of a response; calls `end` when the server closes it."""

    def __init__(self, body: Iterable[bytes], end: Callable[[], None]) -> None:
        self._body = body
        self.close = call_after(getattr(body, "close", None), end)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)


def call_after(close: Callable[[], None] | None, end: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls `close`; the first call also calls `end` after it."""
    pending = [end]

    def close_and_end() -> None:
        try:
            if close is not None:
                close()
        finally:
            while pending:
                pending.pop()()

    return close_and_end


def _is_file(body: object, environ: "WSGIEnvironment") -> bool:
    """Return whether a body is of the server's file wrapper, which the server may send in its own way."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper) and hasattr(body, "__dict__")
