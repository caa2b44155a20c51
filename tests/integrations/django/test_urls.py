"""The URLs: which view is found, what else is included, and what a site needs for them."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from django.urls import URLResolver, resolve, reverse

from tally.integrations.django import urls, views
from tests.integrations.django.conftest import Site


@pytest.mark.parametrize("path", ["", "values/daily/", "healthz", "no such page", "a\nb", "values/daily"])
def test_every_path_is_the_services(path: str) -> None:
    """Whatever stands after the prefix goes to the view, as it is."""
    match = resolve(f"/_tally/{path}")
    assert (views.answer, {"path": path}, "tally:api") == (match.func, match.kwargs, match.view_name)


def test_in_an_event_loop_the_view_is_a_coroutine_function() -> None:
    """Under ASGI, where Django resolves in the event loop, the view for ASGI is found."""

    async def look() -> object:
        return resolve("/_tally/healthz").func

    assert views.answer_async is asyncio.run(look())


def test_paths_can_be_reversed() -> None:
    """Templates and code find tally's pages by its namespace."""
    assert "/_tally/archive/daily/" == reverse("tally:api", kwargs={"path": "archive/daily/"})
    assert "/_tally/" == reverse("tally:api", kwargs={"path": ""})


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
