"""The URLs: which view is found, what else is included, and what a site needs for them."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from django.urls import URLResolver, resolve, reverse

from tally.api.route import Route
from tally.api.routes import ROUTES
from tally.integrations.django import urls, views
from tests.integrations.django.conftest import Site

VALUES = {"slug": "daily", "aggregate": "avg", "file": "main.js", "tag": "env"}


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.method} {row.template}")
def test_every_row_of_the_table_is_a_path(row: Route) -> None:
    """Each is reversed by its name, and resolved to the view, with the values of its placeholders."""
    values = {name: VALUES[name] for name in row.placeholders}
    address, name = f"/_tally{row.template.format(**values)}", f"tally:{row.name}"
    assert address == reverse(name, args=[*values.values()])
    assert address == reverse(name, kwargs=values)
    match = resolve(address)
    assert (views.answer, {"template": row.template, **values}) == (match.func, match.kwargs)
    assert name == match.view_name


@pytest.mark.parametrize("path", ["no such page", "a\nb", "values/daily", "healthz\n", "dashboard/"])
def test_every_other_path_is_answered_by_tally(path: str) -> None:
    """Below the prefix there is no page of the site."""
    match = resolve(f"/_tally/{path}")
    assert (views.not_found, {"path": path}) == (match.func, match.kwargs)


def test_in_an_event_loop_the_view_is_a_coroutine_function() -> None:
    """Under ASGI, where Django resolves in the event loop, the view for ASGI is found."""

    async def look() -> object:
        return resolve("/_tally/values/daily/").func

    assert views.answer_async is asyncio.run(look())


def test_any_address_can_be_reversed() -> None:
    """The name that there was before the paths had their own goes on."""
    assert "/_tally/archive/daily/" == reverse("tally:api", kwargs={"path": "archive/daily/"})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"TALLY_INSTALL_ADMIN": "yes"}, ["admin"]),
        ({"TALLY_INSTALL_ADMIN": False}, []),
        ({"TALLY_INSTALL_ADMIN": True, "INSTALLED_APPS": ["tally"]}, []),
        ({"TALLY_INSTALL_ADMIN": True, "TALLY_PORT": "http"}, []),
    ],
)
def test_the_admin_is_included_on_demand(settings: dict[str, object], expected: list[str], site: Site) -> None:
    """With TALLY_INSTALL_ADMIN, and if it is there; what else is wrong with the settings is told by the checks."""
    site.set(**settings)
    included = [each for each in urls._admin() if isinstance(each, URLResolver)]
    assert expected == [each.app_name for each in included]


def test_a_site_may_have_nothing_but_tally(tmp_path: Path) -> None:
    """Neither the admin nor a database is needed to answer."""
    (tmp_path / "bare.py").write_text(
        "from django.urls import include, path\n"
        "SECRET_KEY, ROOT_URLCONF, INSTALLED_APPS = 'x', 'bare', ['tally']\n"
        "ALLOWED_HOSTS = ['localhost']\n"
        f"TALLY_DATA_DIR = {str(tmp_path / 'archives')!r}\n"
        "urlpatterns = [path('', include('tally.urls'))]\n"
        "if __name__ == '__main__':\n"
        "    import django; django.setup()\n"
        "    from django.test import Client; print(Client().get('/archives/', headers={'host': 'localhost'}).content)\n"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "bare", "PYTHONPATH": f"{Path.cwd()}:{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bare"], env=environment, capture_output=True, text=True
    )
    assert ("b'[]'\n", "") == (done.stdout, done.stderr)
