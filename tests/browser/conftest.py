"""One browser for all tests, a page for each that is watched, and servers with what is in their archives."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tally.api.pages import VENDOR
from tests.browser.site import Site, Watched, served

IS_CI = os.environ.get("CI") == "true"
if TYPE_CHECKING or IS_CI or find_spec("playwright"):
    from playwright.sync_api import Browser, Error, sync_playwright
else:
    collect_ignore_glob = ["test_*.py"]

# The first one opens a page in a quarter of the time.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
SIZE = {"width": 1280, "height": 900}


def missing(what: str) -> None:
    """Skip a test for which something is missing; where CI is true, fail it."""
    if IS_CI:
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Return a browser; without one, or without uPlot, tests are skipped, and fail where CI is true."""
    if CHROMIUM is None:
        missing("there is no Chromium: install the package chromium-headless-shell")
    if not (VENDOR / "uPlot.iife.min.js").is_file():
        missing("uPlot is not in its place: install tally where npm is")
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        except Error as error:
            missing(str(error))
        yield started
        started.close()


Open = Callable[..., Watched]


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[Open]:
    """Return what opens a page of a browser of its own; at the end none may have complained or asked another host."""
    pages: list[Watched] = []
    with ExitStack() as contexts:

        def opened(url: str, **options: Any) -> Watched:
            context = browser.new_context(**{"viewport": SIZE, "timezone_id": "UTC", "locale": "en-GB", **options})
            contexts.callback(context.close)
            pages.append(Watched(context.new_page(), url))
            return pages[-1]

        yield opened
        for page in pages:
            page.check()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return a `tally serve` with an empty data directory of its own."""
    with served(tmp_path / "archives", empty=True) as each:
        yield each
