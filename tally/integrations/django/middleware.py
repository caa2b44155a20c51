"""The middleware: sends how long each request took, under the name that `names` gives it.

A response that streams ends when it is closed. What goes wrong with a sample is logged and never reaches a request.
"""

import logging
from collections.abc import Awaitable, Callable
from time import monotonic, perf_counter
from typing import Any

from anyio import to_thread
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve

from tally.client import tally
from tally.errors import InvalidSetting, TallyError
from tally.integrations.django import names
from tally.integrations.django.settings import current
from tally.settings import Settings
from tally.wire import NAME_MAX_BYTES

logger = logging.getLogger("tally.django")

COMPLAIN_EVERY_S = 60.0

Handler = Callable[[HttpRequest], Any]


class PageTimingMiddleware:
    """Times what stands after it in MIDDLEWARE, so it belongs to the beginning; for sync and async stacks.

    tally's own pages are left out: its URLs and, with TALLY_INSTALL_ADMIN, the admin.

    :raises ImproperlyConfigured: when a setting of tally's is malformed.
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
        self._quiet_until = 0.0
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        return self._answer_async(request) if self._is_async else self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        began = perf_counter()
        try:
            response: HttpResponseBase = self._get_response(request)
        except BaseException:
            self._send(request, perf_counter() - began)
            raise
        if response.streaming:
            self._send_at_close(response, request, began)
        else:
            self._send(request, perf_counter() - began)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        began = perf_counter()
        try:
            response: HttpResponseBase = await self._get_response(request)
        except BaseException:
            self._send(request, perf_counter() - began)
            raise
        if response.streaming:
            self._send_at_close(response, request, began)
        elif current().host:
            self._send(request, perf_counter() - began)
        else:  # Writing into the archives waits for the disk.
            await to_thread.run_sync(self._send, request, perf_counter() - began)
        return response

    def _send_at_close(self, response: HttpResponseBase, request: HttpRequest, began: float) -> None:
        close = response.close

        def closing() -> None:
            vars(response).pop("close", None)
            try:
                close()
            finally:
                self._send(request, perf_counter() - began)

        response.close = closing  # type: ignore[method-assign]

    def _send(self, request: HttpRequest, seconds: float) -> None:
        try:
            name = _name(request, current())
            if name is not None:
                tally(name, seconds)
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        now = monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + COMPLAIN_EVERY_S
            logger.error("page timings are lost: %s", error, exc_info=not isinstance(error, TallyError))


def _name(request: HttpRequest, settings: Settings) -> str | None:
    """Return what the request is called, None where it is for a page of tally's own."""
    match = request.resolver_match or _resolved(request)
    if match is not None and match.app_names and _is_own(match.app_names, settings):
        return None
    limit = NAME_MAX_BYTES - len(settings.prefix.encode())
    if settings.middleware_names == "route":
        return names.by_route(request.method, match, limit)
    return names.by_path(request.method, request.path, limit)


def _is_own(app_names: list[str], settings: Settings) -> bool:
    return "tally" in app_names or (settings.install_admin and "admin" in app_names)


def _resolved(request: HttpRequest) -> ResolverMatch | None:
    """Return the match of a request that another middleware answered, None where there is none."""
    try:
        return resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return None
