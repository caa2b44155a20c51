"""tally's URLs: the API and the dashboard under the namespace `tally` and, with TALLY_INSTALL_ADMIN, the admin.

Every path is the service's, so that it alone says what there is; its last slash included.
"""

import asyncio

from django.apps import apps
from django.urls import ResolverMatch, URLPattern, URLResolver, include, path
from django.urls.resolvers import RegexPattern

from tally.errors import InvalidSetting
from tally.integrations.django import views
from tally.integrations.django.settings import current


class EitherView(URLPattern):
    """A pattern with two views: a coroutine function for ASGI, and a plain function for WSGI.

    Django resolves an ASGI request in the event loop and a WSGI request outside of one. One view could not serve both
    well: after the client has gone, Django would run a plain one to its end, and every other request of the process
    would wait for that; and a coroutine would need a thread and an event loop for each request under WSGI.
    """

    def resolve(self, path: str) -> ResolverMatch | None:
        """Return the match with the view for where the request came from."""
        match = super().resolve(path)
        if match is not None and _in_event_loop():
            match.func = views.answer_async
        return match


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _admin() -> list[URLPattern | URLResolver]:
    try:
        wanted = current().install_admin and apps.is_installed("django.contrib.admin")
    except InvalidSetting:  # The system checks tell.
        wanted = False
    if not wanted:
        return []
    from django.contrib import admin

    return [path("admin/", admin.site.urls)]


_api = EitherView(RegexPattern(r"^(?P<path>[\s\S]*)\Z", name="api", is_endpoint=True), views.answer, name="api")
urlpatterns: list[URLPattern | URLResolver] = [*_admin(), path("", include(([_api], "tally")))]
