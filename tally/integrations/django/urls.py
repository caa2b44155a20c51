"""tally's URLs: the API and the dashboard under the namespace `tally` and, with TALLY_INSTALL_ADMIN, the admin.

The paths and their names are those of `tally.api.routes`. A path that tally does not have is answered by tally, too.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.urls import URLPattern, URLResolver, include, path, register_converter

from tally.api.routes import BY_PATH
from tally.errors import InvalidSetting
from tally.integrations.django import views
from tally.integrations.django.settings import current


class AnyPath:
    """A path converter: any text, line feeds included."""

    regex = r"[\s\S]*"

    def to_python(self, value: str) -> str:
        """Return the text as it is."""
        return value

    def to_url(self, value: str) -> str:
        """Return the text as it is."""
        return value


class UnderASGI:
    """A path converter that matches no text, and only in an event loop, where Django resolves requests under ASGI.

    One view would not serve both stacks well. After the client has gone, Django runs a plain view under ASGI to its
    end, and every other request waits for that. A coroutine function needs a thread and an event loop for each request
    under WSGI.
    """

    regex = ""

    def to_python(self, _value: str) -> None:
        """Match in an event loop.

        :raises ValueError: outside of one, which tells Django that the path does not match.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError as error:
            raise ValueError from error

    def to_url(self, _value: Any) -> str:
        """Return no text."""
        return ""


register_converter(AnyPath, "tally_path")
register_converter(UnderASGI, "tally_asgi")


def _paths(view: Callable[..., Any]) -> list[URLPattern]:
    """Return the paths of the table of routes; where a row has two, the first has its name."""
    return [
        path(
            re.sub(r"{(\w+)}", r"<str:\1>", template[1:]),
            view,
            {"template": template},
            name=rows[0].name if template == rows[0].template else None,
        )
        for template, rows in BY_PATH.items()
    ]


def _admin() -> list[URLPattern | URLResolver]:
    try:
        wanted = current().install_admin and apps.is_installed("django.contrib.admin")
    except InvalidSetting:  # The system checks tell.
        wanted = False
    if not wanted:
        return []
    from django.contrib import admin

    return [path("admin/", admin.site.urls)]


_api: list[URLPattern | URLResolver] = [
    path("<tally_asgi:_asgi>", include(_paths(views.answer_async))),
    *_paths(views.answer),
    path("<tally_path:path>", views.not_found, name="api"),
]
urlpatterns: list[URLPattern | URLResolver] = [*_admin(), path("", include((_api, "tally")))]
