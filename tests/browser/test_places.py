"""The same page under other paths, behind tokens, and from Django."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.api.server import serving
from tests.browser.conftest import Open
from tests.browser.site import recent, served

MOUNTED = """
from starlette.applications import Starlette
from starlette.routing import Mount
from tally.api import create_app
app = Starlette(routes=[Mount("/deep/er", create_app())])
"""
DJANGO = """
from django.urls import include, path
SECRET_KEY, ROOT_URLCONF, INSTALLED_APPS, ALLOWED_HOSTS = "x", "site_with_tally", ["tally"], ["*"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.clickjacking.XFrameOptionsMiddleware"]
TALLY_DATA_DIR = {directory!r}
TALLY_WRITE_TOKEN = "w"
urlpatterns = [path("_tally/", include("tally.urls"))]
"""
WSGI = """
from wsgiref.simple_server import make_server
from django.core.wsgi import get_wsgi_application
server = make_server("127.0.0.1", 0, get_wsgi_application())
print(server.server_port, flush=True)
server.serve_forever()
"""
ASGI = """
from django.core.asgi import get_asgi_application
app = get_asgi_application()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a data directory with an archive that has data."""
    catalog = Catalog(tmp_path / "archives")
    catalog.create("daily", resolution=10)
    catalog.record(recent())
    return catalog.directory


@pytest.fixture
def django(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have processes find a Django site with tally in it."""
    pytest.importorskip("django")
    (tmp_path / "site_with_tally.py").write_text(DJANGO.format(directory=str(directory)))
    (tmp_path / "asgi_with_tally.py").write_text(ASGI)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "site_with_tally")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")


@contextmanager
def wsgi() -> Iterator[str]:
    """Serve the Django site by WSGI, and return where it is."""
    process = subprocess.Popen([sys.executable, "-c", WSGI], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def visit(url: str, open_page: Open) -> None:
    """Go from all archives to one, and from a name to itself alone."""
    page = open_page(url)
    page.drawn(2)
    page.page.get_by_role("link", name="daily").first.click()
    page.wait(lambda: page.page.url == f"{url}archive/daily/", "the archive's address")
    page.wait(lambda: len(page.table()) == 3, "the names")
    page.page.reload()
    page.drawn(2)
    page.page.get_by_role("link", name="requests.get.page1").click()
    page.wait(lambda: len(page.table()) == 1, "one name")
    assert {True} == {each.startswith(url) for each in page.asked}


def test_under_a_mount(directory: Path, tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounted deep in another ASGI app, everything the page needs is found beneath the mount."""
    (tmp_path / "mounted.py").write_text(MOUNTED)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    with serving(directory, app="mounted:app") as server:
        visit(f"{server.url}/deep/er/", open_page)


@pytest.mark.usefixtures("django")
def test_from_django_by_wsgi(open_page: Open) -> None:
    """Django serves the same page under its own prefix, with its own security headers beside."""
    with wsgi() as url:
        visit(f"{url}/_tally/", open_page)


@pytest.mark.usefixtures("django")
def test_from_django_by_asgi(directory: Path, open_page: Open) -> None:
    """So it does from an event loop."""
    with serving(directory, "--lifespan", "off", app="asgi_with_tally:app") as server:
        visit(f"{server.url}/_tally/", open_page)


def test_with_a_read_token(directory: Path, open_page: Open) -> None:
    """The token that the browser asked for is sent with everything that the page asks."""
    with served(directory, TALLY_READ_TOKEN="r") as site:
        page = open_page(f"{site.url}archive/daily/", http_credentials={"username": "any", "password": "r"})
        page.drawn(2)
        page.wait(lambda: len(page.table()) == 3, "the names")


def test_a_token_that_counts_no_longer(directory: Path, open_page: Open) -> None:
    """When reading is refused the page says so, shows nothing, and does not ask again and again."""
    with served(directory) as site:
        page = open_page(f"{site.url}archive/daily/")
        page.allow("401")
        page.drawn(2)
        page.page.route("**/archives/", lambda route: route.fulfill(status=401, json={"detail": "give a read token"}))
        page.wait(lambda: page.find("#state").is_visible(), "the state")
        assert "Access denied" == page.text("#state h2")
        assert "give a read token" in page.text("#state p")
        assert 0 == page.find("canvas").count()
        assert page.find("#controls").is_hidden()
        count = len(page.asked)
        page.page.wait_for_timeout(1000)
        assert count == len(page.asked)
        page.page.unroute("**/archives/")
        page.find("#state button").click()
        page.drawn(2)
