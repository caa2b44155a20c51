"""The API without a web framework: a request goes in, a reply comes out, and an adapter only translates.

The order of checks: length, host, token to read, path, method, token to write, parameters, archive.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from urllib.parse import quote

from tally import forks
from tally.api import access
from tally.api.compression import encoded, negotiated
from tally.api.message import MAX_BODY_BYTES, MAX_URL_CHARACTERS, Reply, Request, content_length, empty
from tally.api.metrics import Metrics
from tally.api.outcomes import Outcome, Outcomes, Watched, outcome
from tally.api.problems import Problem, problem
from tally.api.problems import reply as problem_reply
from tally.api.redaction import public
from tally.api.route import Call, Route
from tally.api.routes import ROUTES, find
from tally.engine.asking.question import parse_flag
from tally.engine.catalog import Catalog
from tally.engine.files.status import CollectorStatuses, Status
from tally.errors import ArchiveDamaged, TallyError
from tally.settings import Settings

__all__ = ["Reply", "Request", "Service", "Work"]

logger = logging.getLogger("tally.api")

# An answer of less is sent as one body: to send it in parts, each made in a visit to a thread, took 0.9 ms more.
WHOLE_BYTES = 256 * 1024

_PATH_CHARACTERS = "/:@!$&'()*+,;=~"
_QUERY_CHARACTERS = _PATH_CHARACTERS + "?%[]"


class Service:
    """Answers requests about the archives of one data directory, which is not touched before the first of them.

    `own` gives the present status of the collectors in this process, as `CollectorStatuses` wants it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        own: Callable[[], Mapping[str, Status]] = dict,
    ) -> None:
        self.settings = settings
        self._books = CollectorStatuses(settings.data_dir, own)
        self._catalog = Catalog(settings.data_dir, clock=clock)
        self._clock = clock
        self._outcomes = Outcomes()
        self._metrics = Metrics(self._outcomes)

    def is_open(self, request: Request) -> bool:
        """Return whether the request is answered to everyone and without reading a file, and so at once."""
        return any(route.is_open for route, _ in find(request.path))

    def max_body_bytes(self, request: Request) -> int:
        """Return how many bytes of a request's body are worth reading; one more shows that there are too many.

        Who may not write is not listened to for longer where a route takes more than others.
        """
        most = max((route.max_body_bytes for route, _ in find(request.path)), default=MAX_BODY_BYTES)
        return most if most > MAX_BODY_BYTES and access.may_write(request, self.settings) else MAX_BODY_BYTES

    def handle(self, request: Request) -> Reply:
        """Answer a request; the caller closes the reply, whether or not it reads it.

        Never raises: every error is a problem. The query behind a data answer runs as its chunks are read.
        """
        try:
            return self._watched(request, _without_body(request, negotiated(request, self._answer(request))))
        except Exception as error:
            return _without_body(request, self.failed(request, error))

    def begin(self, request: Request, reply: Reply) -> Reply:
        """Run a reply's query up to its first chunks, so that what goes wrong until then is still told by the status.

        An answer of less than WHOLE_BYTES becomes whole by that. A longer one is compressed as it is made, if that is
        accepted. Closing either reply ends the query.
        """
        if reply.is_whole:
            return reply
        chunks = iter(reply.chunks)
        try:
            begun = list(_first(chunks, WHOLE_BYTES))
        except Exception as error:
            reply.close()
            return self._told(request, error)
        body = b"".join(begun)
        if len(body) >= WHOLE_BYTES:
            return encoded(request, replace(reply, chunks=chain((body,), chunks)))
        reply.close()
        return encoded(request, replace(reply, headers=(*reply.headers, content_length(body)), chunks=(body,)))

    def failed(self, request: Request, error: Exception) -> Reply:
        """Return the problem that answers `request` because of `error`, and count it; one that is a bug is logged."""
        if _is_question(request):
            self._outcomes.count(outcome(error))
        return self._told(request, error)

    def _told(self, request: Request, error: Exception) -> Reply:
        if not isinstance(error, Problem | TallyError):
            logger.error("%s %r failed", request.method, request.path, exc_info=error)
        told = problem(error)
        text = public(str(told), self.settings.data_dir)
        if text != str(told) and not isinstance(error, ArchiveDamaged):  # Of damage the log has told.
            logger.warning("%s %r: %s", request.method, request.path, error)
        with_message = any(route.speaks is not None for route, _ in find(request.path))
        shown = Problem(told.status, text, headers=told.headers, members=told.members)
        return negotiated(request, problem_reply(shown, pretty=_pretty(request), with_message=with_message))

    def _watched(self, request: Request, reply: Reply) -> Reply:
        """Return `reply` so that its end is counted."""
        if not _is_question(request):
            return reply
        if reply.is_whole:
            self._outcomes.count(Outcome.ANSWERED)
            return reply
        watched = Watched(reply, self._outcomes.count)
        return replace(reply, chunks=watched, close=watched.close)

    def _answer(self, request: Request) -> Reply:
        if len(request.path) + len(request.query) > MAX_URL_CHARACTERS:
            text = f"the address is longer than {MAX_URL_CHARACTERS} characters: ask for less at once"
            raise Problem(HTTPStatus.REQUEST_URI_TOO_LONG, text)
        found = find(request.path)
        if not any(route.is_open for route, _ in found):
            access.check_host(request, self.settings)
            access.check_read(request, self.settings)
        if not found:
            return _elsewhere(request)
        route, path = _choose(request, found)
        if route.needs_write_token:
            access.check_write(request, self.settings)
        now = self._clock()
        books, routes = self._books, ROUTES
        call = Call(request, route, path, self.settings, self._catalog, self._metrics, now, books, routes)
        return route.endpoint(call)


class Work:
    """The part of an answer before its first byte, done in one thread at once; another one may stop it.

    One visit to a worker thread, and not one to find the archive and another to begin its query, takes 0.13 ms less.
    """

    def __init__(self, service: Service, request: Request) -> None:
        self._service = service
        self._request = request
        self._reply: Reply | None = None
        self._is_stopped = False
        self._running = forks.lock()

    def run(self) -> Reply:
        """Return the reply, its query begun; the caller closes it. Never raises, as `Service.handle`."""
        with self._running:
            self._reply = self._service.handle(self._request)
            if self._is_stopped:
                self._reply.close()
            return self._service.begin(self._request, self._reply)

    def close(self) -> None:
        """Stop the query, also one that is not there yet, and return when nothing of it runs any more."""
        self._is_stopped = True
        if self._reply is not None:
            self._reply.close()
        with self._running:
            pass


def _first(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield chunks until they have `size` bytes, or there are no more."""
    while size > 0 and (chunk := next(chunks, None)) is not None:
        yield chunk
        size -= len(chunk)


def _without_body(request: Request, reply: Reply) -> Reply:
    """Return what answers HEAD where `reply` answers GET."""
    if request.method != "HEAD":
        return reply
    reply.close()
    return replace(reply, chunks=())


def _is_question(request: Request) -> bool:
    return any(route.is_question for route, _ in find(request.path))


def _choose(request: Request, found: list[tuple[Route, dict[str, str]]]) -> tuple[Route, dict[str, str]]:
    for route, path in found:
        if request.method in route.methods:
            return route, path
    allow = ", ".join(dict.fromkeys(method for route, _ in found for method in route.methods))
    text = f"{request.method:.100} has no meaning for {request.path:.200}: use {allow}"
    raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, text, headers=(("Allow", allow),))


def _elsewhere(request: Request) -> Reply:
    if request.path.endswith("/") or not find(request.path + "/"):
        text = f"there is nothing at {request.path:.200}: see /openapi.json for what there is"
        raise Problem(HTTPStatus.NOT_FOUND, text)
    # One slash at the start: two would make the next word a host.
    path = "/" + f"{request.root}{request.path}/".lstrip("/")
    query = "?" + quote(request.query.encode("latin-1"), safe=_QUERY_CHARACTERS) if request.query else ""
    return empty(308, (("Location", quote(path, safe=_PATH_CHARACTERS) + query),))


def _pretty(request: Request) -> bool:
    try:
        return any(parse_flag(name, text) for name, text in request.fields() if name == "pretty")
    except TallyError:
        return False
