"""Answers requests, independent of the web framework, which finds the route.

The order of the checks: length, host, read token, path, method, write token, parameters, archive.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from urllib.parse import quote

from tally import forks
from tally.api import access
from tally.api.compression import add_late_headers, encode_reply, negotiate
from tally.api.message import MAX_BODY_BYTES, MAX_URL_CHARACTERS, Reply, Request, content_length, empty
from tally.api.metrics import CountedChunks, Metrics, QueryCounters, QueryOutcome, query_outcome
from tally.api.parameters import read
from tally.api.problems import Problem, problem, public
from tally.api.problems import reply as problem_reply
from tally.api.route import Call, Route
from tally.api.routes import ROUTES
from tally.cluster.catalog import open_answers
from tally.engine.asking.question import parse_flag
from tally.engine.catalog import Catalog
from tally.engine.files.status import CollectorStatuses, Status
from tally.errors import ArchiveDamaged, TallyError
from tally.settings import Settings

logger = logging.getLogger("tally.api")

# Shorter answers are sent as one body. Sending chunks, each made in a worker thread, took 0.9 ms longer.
WHOLE_BYTES = 256 * 1024

_PATH_CHARACTERS = "/:@!$&'()*+,;=~"
_QUERY_CHARACTERS = _PATH_CHARACTERS + "?%[]"


class Service:
    """Answers requests about the archives in one data directory. It opens no file before the first request.

    Queries are answered from the archives, or from the cluster, as TALLY_ANSWER_FROM says.

    `own` returns the current status of the collectors in this process: see `CollectorStatuses`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        own: Callable[[], Mapping[str, Status]] = dict,
    ) -> None:
        self.settings = settings
        self._statuses = CollectorStatuses(settings.data_dir, own)
        self._catalog = Catalog(settings.data_dir, clock=clock)
        self._answers = open_answers(settings, self._catalog, clock=clock)
        self._clock = clock
        self._queries = QueryCounters()
        self._metrics = Metrics(self._queries)

    def max_body_bytes(self, request: Request, route: Route | None = None) -> int:
        """Return the maximum size of a request's body. Without a write token it is MAX_BODY_BYTES at most."""
        most = route.max_body_bytes if route else MAX_BODY_BYTES
        return most if most > MAX_BODY_BYTES and access.may_write(request, self.settings) else MAX_BODY_BYTES

    def answer(self, request: Request, route: Route, path: Mapping[str, str]) -> Reply:
        """Answer a request that matches a route. The caller closes the reply.

        It does not raise; errors become problems. The query runs while the chunks are read.
        """
        try:
            return self._counted(route, _without_body(request, negotiate(request, self._answer(request, route, path))))
        except Exception as error:
            return self.refuse(request, error, route=route)

    def begin(self, request: Request, route: Route, reply: Reply) -> Reply:
        """Run the query up to the first WHOLE_BYTES, so that an error until then can still set the status.

        A shorter answer becomes whole. A longer one is compressed while it is made.
        """
        if reply.is_whole:
            return reply
        chunks = iter(reply.chunks)
        try:
            first = list(_take(chunks, WHOLE_BYTES))
        except Exception as error:
            reply.close()
            return self._problem(request, error, route)
        reply = add_late_headers(request, reply)
        body = b"".join(first)
        if len(body) >= WHOLE_BYTES:
            return encode_reply(request, replace(reply, chunks=chain((body,), chunks)))
        reply.close()
        return encode_reply(request, replace(reply, headers=(*reply.headers, content_length(body)), chunks=(body,)))

    def not_allowed(self, request: Request, routes: Sequence[Route]) -> Reply:
        """Answer a request whose method none of the `routes` of its path has: 405."""
        allow = ", ".join(dict.fromkeys(method for route in routes for method in route.methods))
        text = f"{request.method:.100} has no meaning for {request.path:.200}: use {allow}"
        problem = Problem(HTTPStatus.METHOD_NOT_ALLOWED, text, headers=(("Allow", allow),))
        try:
            self._check(request, routes[0])
        except Problem as error:
            problem = error
        return self.refuse(request, problem, route=routes[0])

    def not_found(self, request: Request, *, is_found_with_slash: bool) -> Reply:
        """Answer a request for a path without a route: 308 if only the last slash is missing, else 404."""
        text = f"there is nothing at {request.path:.200}: see /openapi.json for what there is"
        try:
            self._check(request)
        except Problem as error:
            return self.refuse(request, error)
        if request.path.endswith("/") or not is_found_with_slash:
            return self.refuse(request, Problem(HTTPStatus.NOT_FOUND, text))
        # Exactly one leading slash: after two, a browser would read a host name.
        path = "/" + f"{request.root}{request.path}/".lstrip("/")
        query = "?" + quote(request.query.encode("latin-1"), safe=_QUERY_CHARACTERS) if request.query else ""
        return empty(308, (("Location", quote(path, safe=_PATH_CHARACTERS) + query),))

    def refuse(self, request: Request, error: Exception, *, route: Route | None = None) -> Reply:
        """Return the problem for `error`, and count it. Unexpected errors are logged."""
        if route is not None and route.is_question:
            self._queries.count(query_outcome(error))
        return _without_body(request, self._problem(request, error, route))

    def _answer(self, request: Request, route: Route, path: Mapping[str, str]) -> Reply:
        self._check(request, route)
        if route.needs_write_token:
            access.check_write(request, self.settings)
        now = self._clock()
        parameters = read(route, request, path, now)
        context = (self.settings, self._catalog, self._answers, self._metrics, now, self._statuses, ROUTES)
        return route.endpoint(Call(request, route, path, parameters, *context))

    def _check(self, request: Request, route: Route | None = None) -> None:
        if len(request.path) + len(request.query) > MAX_URL_CHARACTERS:
            text = f"the address is longer than {MAX_URL_CHARACTERS} characters: ask for less at once"
            raise Problem(HTTPStatus.REQUEST_URI_TOO_LONG, text)
        if route is None or not route.is_open:
            access.check_host(request, self.settings)
            access.check_read(request, self.settings)

    def _problem(self, request: Request, error: Exception, route: Route | None) -> Reply:
        if not isinstance(error, Problem | TallyError):
            logger.error("%s %r failed", request.method, request.path, exc_info=error)
        found = problem(error)
        text = public(str(found), self.settings.data_dir)
        if text != str(found) and not isinstance(error, ArchiveDamaged):  # Damage was logged before.
            logger.warning("%s %r: %s", request.method, request.path, error)
        with_message = route is not None and route.graphite is not None
        shown = Problem(found.status, text, headers=found.headers, members=found.members)
        return negotiate(request, problem_reply(shown, pretty=_is_pretty(request), with_message=with_message))

    def _counted(self, route: Route, reply: Reply) -> Reply:
        """Return the reply, which counts its outcome when it ends."""
        if not route.is_question:
            return reply
        if reply.is_whole:
            self._queries.count(QueryOutcome.ANSWERED)
            return reply
        chunks = CountedChunks(reply, self._queries.count)
        return replace(reply, chunks=chunks, close=chunks.close)


class Work:
    """Answers a request up to its first byte, in one visit to a worker thread. Another thread can stop it."""

    def __init__(self, service: Service, request: Request, route: Route, path: Mapping[str, str]) -> None:
        self._service = service
        self._asked = (request, route, path)
        self._reply: Reply | None = None
        self._is_stopped = False
        self._running = forks.lock()

    def run(self) -> Reply:
        """Return the reply, whose query has started. The caller closes it. It does not raise."""
        request, route, path = self._asked
        with self._running:
            self._reply = self._service.answer(request, route, path)
            if self._is_stopped:
                self._reply.close()
            return self._service.begin(request, route, self._reply)

    def close(self) -> None:
        """Stop the query, even before it starts, and wait until `run` has returned."""
        self._is_stopped = True
        if self._reply is not None:
            self._reply.close()
        with self._running:
            pass


def _take(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield chunks until they have at least `size` bytes."""
    while size > 0 and (chunk := next(chunks, None)) is not None:
        yield chunk
        size -= len(chunk)


def _without_body(request: Request, reply: Reply) -> Reply:
    """Return the reply without its body if the method is HEAD."""
    if request.method != "HEAD":
        return reply
    reply.close()
    return replace(add_late_headers(request, reply), chunks=())


def _is_pretty(request: Request) -> bool:
    try:
        return any(parse_flag(name, text) for name, text in request.fields() if name == "pretty")
    except TallyError:
        return False
