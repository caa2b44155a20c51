"""What the dashboard's charts cost: `python -m bench.dashboard [--names 1000] [--buckets 8640] [--runs 7]`.

A browser with nothing in its cache opens an archive's page; the time is from there until the first charts are drawn.
Beside it stands a bare fetch of the same answer, which the page waits for. Then the page zooms in, and the time is from
the key until the charts are drawn anew. All are the median of all runs, taken in turns, so that all see the same
machine.
"""

import argparse
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from bench.filling import RESOLUTION_S, empty, fill
from bench.server import machine, tally
from bench.table import head, middle, row

VIEWS = {"as it opens": "", "all that is kept": "?since=first", "the top 8 names": "?top=8"}
DRAWN = "performance.getEntriesByName('tally-drawn')[0]?.startTime"
WIDTH, HEIGHT = 1440, 900
LIMIT_S, PAUSE_MS = 60, 20


class Opened(NamedTuple):
    """The milliseconds until the first charts, and from a zoom until the next ones, and what the first asked for."""

    first_ms: float
    zoom_ms: float
    asked: list[str]


def opened(browser: Browser, url: str) -> Opened:
    """Open a page, and zoom in."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    try:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        first_ms = drawn(page, after_ms=0)
        asked = [each for each in asked if "/timedata/" in each or "/values/" in each]
        page.wait_for_load_state("networkidle")  # The table and what else comes later.
        page.locator(".plot").first.focus()
        pressed_ms = float(page.evaluate("performance.now()"))
        page.keyboard.press("+")
        return Opened(first_ms, drawn(page, after_ms=pressed_ms) - pressed_ms, asked)
    finally:
        context.close()


def drawn(page: Page, *, after_ms: float) -> float:
    """Wait until charts were drawn after a time, and return when, both in milliseconds since the page was opened."""
    deadline = time.monotonic() + LIMIT_S
    while (found := page.evaluate(DRAWN) or 0) <= after_ms:
        if time.monotonic() > deadline:
            raise SystemExit(f"{page.url} has drawn nothing in {LIMIT_S} s")
        page.wait_for_timeout(PAUSE_MS)
    return float(found)


def fetched(urls: list[str]) -> float:
    """Return the milliseconds that the same answers take without a page, one after the other."""
    began = time.perf_counter()
    for url in urls:
        with urllib.request.urlopen(url) as answer:
            answer.read()
    return (time.perf_counter() - began) * 1000


def lines(url: str, runs: int) -> Iterator[str]:
    """Yield a table, a row a view."""
    yield from head("view", "first chart, ms", "bare fetch, ms", "ratio", "zoom, ms")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-headless-shell"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        for view, query in VIEWS.items():
            pages, bare_ms = [], []
            for _ in range(runs):
                pages.append(opened(browser, f"{url}/archive/big/{query}"))
                bare_ms.append(fetched(pages[-1].asked))
            first, bare = middle([page.first_ms for page in pages]), middle(bare_ms)
            yield row(view, first, bare, first / bare, middle([page.zoom_ms for page in pages]))
        browser.close()


def main() -> None:
    """Fill an archive, and look at it."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description="Measure the first chart.")
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--buckets", type=int, default=8640)
    parser.add_argument("--resolution", type=int, default=RESOLUTION_S, help="seconds of a bucket")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    print(
        f"{machine()}; {options.names:,} names in {options.buckets:,} buckets of {options.resolution} s\n", flush=True
    )
    with tempfile.TemporaryDirectory() as place:
        fill(empty(Path(place), resolution=options.resolution), names=options.names, buckets=options.buckets)
        with tally(Path(place), "serve") as server:
            url = server.said(r"(?:answering|dashboard and API) on (http://\S+)/")
            server.said("(collecting on)")
            for line in lines(url, options.runs):
                print(line, flush=True)


if __name__ == "__main__":
    main()
