"""A copy of `examples/django_site` in a directory of its own, and the processes that serve it.

Nothing in it is changed but what stands at the end of its settings: the test's, and a hook that notes every database
that Python's own sqlite3 opens.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

from tally.engine import Catalog
from tests.processes import LIMIT_S, Running, launched, wait_for

ORIGINAL = Path(__file__).parents[4] / "examples" / "django_site"
SERVERS: Mapping[str, tuple[str, ...]] = {
    "gunicorn": ("gunicorn", "shop.wsgi", "--bind", "127.0.0.1:0", "--workers", "2", "--threads", "4"),
    "uvicorn": ("uvicorn", "shop.asgi:application", "--host", "127.0.0.1", "--port", "0", "--workers", "2"),
}
STAFF, PASSWORD = "staff", "for tests"
HOOK = """
import sys

def _note(event, arguments):
    if event == "sqlite3.connect":
        with open(BASE_DIR / "opened", "a") as file:
            print(arguments[0], file=file)

sys.addaudithook(_note)
"""


class Shop:
    """One copy of the site; `archives` is the catalog of its data directory."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.directory = directory
        self.archives = Catalog(directory / "archives")
        shutil.copytree(ORIGINAL, directory, ignore=shutil.ignore_patterns("archives", "db.sqlite3", "__pycache__"))
        self.configure(TALLY_FLUSH_TIME=0.2, **settings)
        with (directory / "shop" / "settings.py").open("a", encoding="utf-8") as file:
            file.write(HOOK)

    def configure(self, **settings: object) -> None:
        """Add settings for the site's next processes."""
        with (self.directory / "shop" / "settings.py").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = {value!r}\n" for name, value in settings.items())

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes, with the installed programs on the PATH."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TALLY_", "DJANGO_"))}
        path = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", "")))
        password = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        return {**kept, **password, "PATH": path, "PYTHONPATH": str(ORIGINAL.parents[1]), "PYTHONUNBUFFERED": "1"}

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of `manage.py` to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip

    def migrate(self) -> None:
        """Create its database, with a superuser."""
        create = ["createsuperuser", "--no-input", "--username", STAFF, "--email", "staff@shop.example"]
        for arguments in (["migrate"], create):
            done = self.manage(*arguments)
            assert 0 == done.returncode, done.stderr

    @contextmanager
    def collecting(self, *arguments: str) -> Iterator[Running]:
        """Run `tallyserver`; processes that start later send to it."""
        command = [sys.executable, "manage.py", "tallyserver", "--port", "0", *arguments]
        with launched(command, self.environment, cwd=self.directory) as running:
            self.configure(TALLY_PORT=running.udp_port)
            yield running

    @contextmanager
    def served(self, server: str) -> Iterator[str]:
        """Serve it with two processes, and yield the address."""
        command = [sys.executable, "-m", *SERVERS[server]]
        with launched(command, self.environment, cwd=self.directory) as running:
            port = int(running.said(r"http://127\.0\.0\.1:(\d+)")[1])
            wait_for(lambda: is_listened_on(port), "somebody to take connections")  # uvicorn says so before it does.
            yield f"http://127.0.0.1:{port}"
            assert running.end(signal.SIGTERM) in (0, -signal.SIGTERM)

    def opened(self) -> set[str]:
        """Return the names of the databases that Python's own sqlite3 opened, but for those of a measured coverage."""
        notes = self.directory / "opened"
        names = {Path(line).name for line in notes.read_text("utf-8").splitlines()} if notes.exists() else set()
        return {name for name in names if not name.startswith(".coverage")}


def is_held(path: Path) -> bool:
    """Return whether any process has a file open, as a server has during a query (proc(5))."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if descriptor.readlink() == path:
                return True
        except OSError:
            continue  # The process has ended, or closed it.
    return False


def is_listened_on(port: int) -> bool:
    """Return whether a connection can be made."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Visitor:
    """A visitor whose browser keeps cookies and follows redirects."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def get(self, path: str) -> bytes:
        """Return the body of an existing page."""
        with self._open(path) as response:
            return response.read()

    def post(self, page: str, path: str, **values: str) -> bytes:
        """Fill in and submit the form of a page."""
        found = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', self.get(page))
        assert found
        body = urlencode({"csrfmiddlewaretoken": found[1].decode(), **values}).encode()
        with self._open(path, body) as response:
            return response.read()

    def _open(self, path: str, body: bytes | None = None) -> HTTPResponse:
        response: HTTPResponse = self._opener.open(self._url + path, body, LIMIT_S)
        return response
