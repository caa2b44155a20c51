"""tally under a path of another server: the configurations of docs/proxy.md, with a real nginx."""

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tally.engine import Catalog
from tests.browser.conftest import Open, missing
from tests.browser.site import recent, served
from tests.processes import LIMIT_S, environment, free_ports, launched, started, wait_for

PAGE = (Path(__file__).parents[2] / "docs" / "proxy.md").read_text(encoding="utf-8")
STRIPPED, KEPT = re.findall(r"^```nginx\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[MONITOR] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
CONFIGURATION = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
TOKENS = {"TALLY_READ_TOKEN": "reader", "TALLY_WRITE_TOKEN": "writer"}


@contextmanager
def proxied(directory: Path, location: str) -> Iterator[str]:
    """Start nginx with a location of the page, and return where it answers."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        missing("nginx is not installed: install the package nginx")
    directory.mkdir()
    [port] = free_ports(1)
    file = directory / "nginx.conf"
    file.write_text(CONFIGURATION.format(directory=directory, port=port, location=location), encoding="utf-8")
    command = [str(nginx), "-p", str(directory), "-c", str(file)]
    with launched(command, dict(os.environ)) as running:
        url = f"http://localhost:{port}"
        wait_for(lambda: answers(url) or running.process.poll() is not None, "nginx")
        assert running.process.poll() is None, running.lines
        yield url
        running.end(signal.SIGQUIT)


def answers(url: str) -> bool:
    """Return whether somebody answers at an address."""
    try:
        httpx.get(url, timeout=LIMIT_S)
    except httpx.TransportError:
        return False
    return True


@contextmanager
def without_path(directory: Path, **settings: Any) -> Iterator[str]:
    """Start `tally serve` behind a proxy that removes the path."""
    with served(directory / "archives", **settings) as site:
        site.archives.record(recent())
        with proxied(directory / "nginx", STRIPPED.replace("http://127.0.0.1:8900", site.url.rstrip("/"))) as url:
            yield url


@contextmanager
def with_path(directory: Path, **settings: Any) -> Iterator[str]:
    """Start a collector and the mounted application of the page, behind a proxy that keeps the path."""
    (directory / "monitor.py").write_text(MONITOR, encoding="utf-8")
    archives = directory / "archives"
    catalog = Catalog(archives)
    catalog.create("daily", resolution=10)
    catalog.record(recent())
    command = [sys.executable, "-m", "uvicorn", "monitor:app", "--port", "0"]
    with (
        started(archives, "collect", **settings),
        launched(command, environment(archives, **settings), cwd=directory) as running,
    ):
        port = running.said(r"Uvicorn running on http://127.0.0.1:(\d+)")[1]
        with proxied(directory / "nginx", KEPT.replace("127.0.0.1:8901", f"127.0.0.1:{port}")) as url:
            yield url


Behind = Callable[..., AbstractContextManager[str]]
BOTH = pytest.mark.parametrize("behind", [without_path, with_path])


@BOTH
def test_the_dashboard_draws_under_the_path(behind: Behind, tmp_path: Path, open_page: Open) -> None:
    """Its files, its questions and its links all stay under it."""
    with behind(tmp_path) as url:
        page = open_page(f"{url}/tally/")
        page.drawn(2)
        page.find("a[href$='archive/daily/']").first.click()
        page.wait(lambda: len(page.table()) == 3, "the names")
        assert all(asked.startswith(f"{url}/tally/") for asked in page.asked)


@BOTH
def test_redirects_stay_under_the_path(behind: Behind, tmp_path: Path) -> None:
    """A path without its last slash leads to the one with it, query included."""
    with behind(tmp_path) as url, httpx.Client(base_url=url, timeout=LIMIT_S) as http:
        found = http.get("/tally/archive/daily?show=avg")
        location = urlsplit(found.headers["location"])
        assert (308, "/tally/archive/daily/", "show=avg") == (found.status_code, location.path, location.query)
        assert 200 == http.get(found.headers["location"]).status_code
        assert http.get("/tally").headers["location"].endswith("/tally/")


@BOTH
def test_tokens_are_asked_for_through_the_proxy(behind: Behind, tmp_path: Path, open_page: Open) -> None:
    """A browser gets the question for a password, and with it the page; a write from the page is taken."""
    with behind(tmp_path, **TOKENS, TALLY_ALLOWED_HOSTS="localhost") as url:
        asked = httpx.get(f"{url}/tally/", timeout=LIMIT_S)
        assert 401 == asked.status_code
        assert "Basic" in asked.headers["www-authenticate"]
        page = open_page(f"{url}/tally/", http_credentials={"username": "me", "password": "writer"})
        page.drawn(2)
        script = """async () => (await fetch("archives/", {
            method: "POST", headers: {"Content-Type": "application/json"}, body: '{"slug": "hourly"}'})).status"""
        assert 201 == page.page.evaluate(script)


def test_a_public_name_has_to_be_allowed(tmp_path: Path) -> None:
    """The proxy sends it on, and an answer says what to set."""
    with without_path(tmp_path, TALLY_ALLOWED_HOSTS="example.org") as url, httpx.Client(timeout=LIMIT_S) as http:
        address = f"{url}/tally/names/daily/"
        assert 200 == http.get(address, headers={"Host": "example.org"}).status_code
        refused = http.get(address, headers={"Host": "elsewhere.example"})
        assert 421 == refused.status_code
        assert "TALLY_ALLOWED_HOSTS" in refused.json()["detail"]
