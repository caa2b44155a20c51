"""Django's timing middleware: sends the duration of each request, named by its path, its URL pattern, or by tags.

The duration of a streaming response ends when it is closed. Errors are logged and never affect a request.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import Any

from anyio import to_thread
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib.admindocs import utils
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve

from tally.errors import InvalidSetting
from tally.integrations.django.settings import current
from tally.integrations.names import by_path, by_route, by_tags, is_ignored, not_found
from tally.integrations.sender import Sender
from tally.lines.plain import NAME_MAX_BYTES
from tally.settings import Settings

logger = logging.getLogger("tally.django")

ROUTES = 1024
# The status of a request whose exception no middleware has turned into a response.
RAISED = HTTPStatus.INTERNAL_SERVER_ERROR.value
_REGEX = re.compile(r"[\^$\\(]")

Handler = Callable[[HttpRequest], Any]


class PageTimingMiddleware:
    """Times the view and all middleware after it in MIDDLEWARE, so put it first. It supports sync and async.

    tally's own pages are not timed: its URLs and, with TALLY_INSTALL_ADMIN, the admin.

    :raises ImproperlyConfigured: when a setting of tally is malformed.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        try:
            current()
        except InvalidSetting as error:
            raise ImproperlyConfigured(str(error)) from None
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        self._sender = Sender(_name, logger)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        return self._answer_async(request) if self._is_async else self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        began = perf_counter()
        try:
            response: HttpResponseBase = self._get_response(request)
        except BaseException:
            self._sender.send((request, RAISED), perf_counter() - began)
            raise
        if response.streaming:
            self._send_at_close(response, request, began)
        else:
            self._sender.send((request, response.status_code), perf_counter() - began)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        began = perf_counter()
        try:
            response: HttpResponseBase = await self._get_response(request)
        except BaseException:
            self._sender.send((request, RAISED), perf_counter() - began)
            raise
        if response.streaming:
            self._send_at_close(response, request, began)
        elif current().host:
            self._sender.send((request, response.status_code), perf_counter() - began)
        else:  # Without a host, samples are written to the archives, which may block.
            await to_thread.run_sync(self._sender.send, (request, response.status_code), perf_counter() - began)
        return response

    def _send_at_close(self, response: HttpResponseBase, request: HttpRequest, began: float) -> None:
        close = response.close

        def close_and_send() -> None:
            vars(response).pop("close", None)
            try:
                close()
            finally:
                self._sender.send((request, response.status_code), perf_counter() - began)

        response.close = close_and_send  # type: ignore[method-assign]


def _name(answered: tuple[HttpRequest, int]) -> str | None:
    """Return the name of a request with a status, None if it is for one of tally's own pages or ignored."""
    request, status = answered
    settings = current()
    match = request.resolver_match or _resolve(request)
    if match is not None and match.app_names and _is_own(match.app_names, settings):
        return None
    limit = NAME_MAX_BYTES - len(settings.prefix.encode())
    if settings.middleware_names == "tags":
        name = by_tags(request.method, _find_route(match), status, limit)
    elif match is None:
        name = not_found(request.method, limit)
    elif settings.middleware_names == "route":
        name = by_route(request.method, simplify(match.route), limit)
    else:
        name = by_path(request.method, request.path, limit)
    return None if is_ignored(name, settings.middleware_ignore) else name


def _find_route(match: ResolverMatch | None) -> str | None:
    """Return the name of a URL pattern with its namespaces, or the pattern if it has none; None if none matches."""
    if match is None:
        return None
    return match.view_name if match.url_name else simplify(match.route)


def _is_own(app_names: list[str], settings: Settings) -> bool:
    return "tally" in app_names or (settings.install_admin and "admin" in app_names)


def _resolve(request: HttpRequest) -> ResolverMatch | None:
    """Return the match of a request that another middleware answered, None if no URL pattern matches."""
    try:
        return resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return None


@lru_cache(ROUTES)
def simplify(route: str) -> str:
    """Return a route in readable form: `^articles/(?P<pk>[0-9]+)/$` becomes `articles/<pk>/`."""
    if not _REGEX.search(route):
        return route
    named = utils.replace_named_groups(utils.remove_non_capturing_groups(route))
    return utils.replace_metacharacters(utils.replace_unnamed_groups(named)).replace("\\", "")
