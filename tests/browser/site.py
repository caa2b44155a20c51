"""A `tally serve` for tests, the samples that are sent to it, and a page that is watched."""

import json
import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from tally.engine import Catalog
from tests.processes import LIMIT_S, Running, free_ports, started, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request

LIMIT_MS = 30_000


class Site:
    """A server, its data directory, and where it is."""

    def __init__(self, running: Running, directory: Path, udp_port: int) -> None:
        self.running = running
        self.archives = Catalog(directory)
        self.udp_port = udp_port
        running.said("collecting on")
        self.url = f"{running.url}/"

    def send(self, *lines: str) -> None:
        """Send lines to the collector."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(lines).encode(), ("127.0.0.1", self.udp_port))

    def ask(self, path: str, **fields: Any) -> Any:
        """Return the API's answer to the same question that the page asks."""
        with urllib.request.urlopen(f"{self.url}{path}?{urlencode(fields, doseq=True)}") as answer:
            return json.load(answer)

    def stored(self, slug: str, count: int) -> None:
        """Wait until an archive holds so many samples."""
        wait_for(lambda: sum(self.archives[slug].aggregate("count").values()) >= count, f"{count} samples in {slug}")


@contextmanager
def served(directory: Path, *, empty: bool = False, **settings: object) -> Iterator[Site]:
    """Start `tally serve`, which creates its archives unless it shall be `empty`."""
    [port] = free_ports(1)
    with started(directory, "serve", TALLY_PORT=port, **settings) as running:
        site = Site(running, directory, port)
        for slug in site.archives.slugs() if empty else ():
            site.archives.delete(slug)
        yield site


def recent(names: int = 3, *, seconds: int = 3000, step: int = 10) -> list[tuple[str, float, int]]:
    """Return samples of the last seconds: one of each name in each step, of values that tell both."""
    now = int(time.time()) // step * step
    times = range(now - seconds, now, step)
    return [
        (f"requests.get.page{n}", n + 1 + index % 10 / 10, moment)
        for index, moment in enumerate(times)
        for n in range(names)
    ]


class Watched:
    """A page that notes what went wrong; `allow` takes what a test brings about on purpose."""

    def __init__(self, page: "Page", url: str) -> None:
        self.page = page
        self._allowed: list[str] = []
        self._said: list[str] = []
        self._hosts: set[str] = set()
        self.asked: list[str] = []
        page.set_default_timeout(LIMIT_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._said.append(f"error: {error}"))
        page.on("request", self._request)
        self.host = urlsplit(url).netloc
        page.goto(url)

    def _console(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            self._said.append(f"{message.type}: {message.text}")

    def _request(self, request: "Request") -> None:
        self.asked.append(request.url)
        self._hosts.add(urlsplit(request.url).netloc)

    def allow(self, pattern: str) -> None:
        """Let pass what matches; Chromium itself reports every request that fails."""
        self._allowed.append(pattern)

    def check(self) -> None:
        """Fail if anything was said that is not allowed, or another host was asked."""
        said = [text for text in self._said if not any(re.search(each, text) for each in self._allowed)]
        assert [] == said, said
        assert {self.host} == self._hosts, self._hosts

    def find(self, selector: str) -> "Locator":
        """Return what matches."""
        return self.page.locator(selector)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition of the page is true."""
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited {LIMIT_S} s for {what}"
            self.page.wait_for_timeout(20)

    def drawn(self, count: int = 1) -> None:
        """Wait until so many charts are drawn."""
        self.wait(lambda: self.find(".plot canvas").count() == count, f"{count} charts")

    def text(self, selector: str) -> str:
        """Return the text of what matches, once it is there."""
        return self.find(selector).first.inner_text()

    def table(self) -> list[tuple[str, list[float]]]:
        """Return the leaderboard's rows: the name, and count, sum, avg, min and max."""
        script = """rows => rows.map(row =>
            [row.querySelector("th").innerText, [...row.querySelectorAll("data")].map(each => Number(each.value))])"""
        return [(name, values) for name, values in self.find("#leaders-body tr").evaluate_all(script)]

    def query(self) -> str:
        """Return what stands in the address behind the path."""
        return urlsplit(self.page.url).query

    def pressed(self, text: str) -> None:
        """Press a control by its name, as a screen reader tells it."""
        self.page.get_by_label(text, exact=True).click()
