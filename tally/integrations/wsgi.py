"""The middleware for WSGI apps, such as those of Flask: sends how long each request took.

    app.wsgi_app = TimingMiddleware(app.wsgi_app)

A response that streams ends when the server closes it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tally.client.client import current
from tally.integrations.names import NOT_FOUND, by_path, by_route, check_way, is_ignored, not_found
from tally.integrations.sender import Sender
from tally.lines.plain import NAME_MAX_BYTES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger("tally.wsgi")


class Request:
    """A request as the server gave it: the app has `environ` too, and `script` is what came before its path.

    While Flask answers, its own request stands in `environ`; the rule that it matched is noted when the answer starts.
    """

    __slots__ = ("environ", "is_of_flask", "rule", "script", "status")

    def __init__(self, environ: "WSGIEnvironment") -> None:
        self.environ = environ
        self.script: str = environ.get("SCRIPT_NAME", "")
        self.is_of_flask = False
        self.rule: str | None = None
        self.status = ""

    def note(self, status: str) -> None:
        """Note the status line and the rule.

        An app that is mounted within has a script name of its own, and rules that begin after it.
        """
        self.status = status
        asked: Any = self.environ.get("werkzeug.request")
        self.is_of_flask = hasattr(asked, "url_rule")
        if self.is_of_flask and asked.url_rule is not None:
            self.rule = self.environ.get("SCRIPT_NAME", "")[len(self.script) :] + asked.url_rule.rule


class TimingMiddleware:
    """Times a WSGI app. A request is named by its `route` where the framework is Flask, or else by its `path`.

    :raises InvalidSetting: when `names` is neither of these, or a setting of tally's is malformed.
    """

    def __init__(self, app: "WSGIApplication", *, names: str = "route") -> None:
        self._app = app
        self._is_by_route = check_way(names) == "route"
        settings = current()
        self._limit = NAME_MAX_BYTES - len(settings.prefix.encode())
        self._ignored = settings.middleware_ignore
        self._sender = Sender(self._name, logger)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request; raises what the app raises."""
        began = perf_counter()
        request = Request(environ)

        def started(status: str, *arguments: Any) -> Callable[[bytes], object]:
            request.note(status)
            return start_response(status, *arguments)

        try:
            body = self._app(environ, started)
        except BaseException:
            self._sender.send(request, perf_counter() - began)
            raise

        def end() -> None:
            self._sender.send(request, perf_counter() - began)

        if isinstance(body, list | tuple):
            end()
            return body
        if _is_file(body, environ):
            body.close = closing(getattr(body, "close", None), end)  # type: ignore[attr-defined]
            return body
        return Body(body, end)

    def _name(self, request: Request) -> str | None:
        name = self._named(request)
        return None if is_ignored(name, self._ignored) else name

    def _named(self, request: Request) -> str:
        environ = request.environ
        method = environ["REQUEST_METHOD"]
        # Flask takes its request away in the end, also from an exception that it does not answer.
        is_of_flask = request.is_of_flask or environ.get("werkzeug.request", request) is None
        if request.rule is None and request.status.startswith(NOT_FOUND):
            return not_found(method, self._limit)
        if self._is_by_route and is_of_flask:
            return by_route(method, request.rule, self._limit)
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        return by_path(method, path.encode("latin-1").decode("utf-8", "replace"), self._limit)


class Body:
    """What an app answers, whose end is told when the server closes it."""

    def __init__(self, body: Iterable[bytes], end: Callable[[], None]) -> None:
        self._body = body
        self.close = closing(getattr(body, "close", None), end)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)


def closing(close: Callable[[], None] | None, end: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls `close`, and the first time `end` after it."""
    left = [end]

    def closed() -> None:
        try:
            if close is not None:
                close()
        finally:
            while left:
                left.pop()()

    return closed


def _is_file(body: object, environ: "WSGIEnvironment") -> bool:
    """Return whether the server may send a file by itself, which it does only with an object of its own class."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper) and hasattr(body, "__dict__")
