"""What the dashboard's first chart costs: `python -m bench.dashboard [--names 1000] [--buckets 8640] [--runs 7]`.

A browser with nothing in its cache opens an archive's page; the time is from there until the first charts are drawn.
Beside it stands a bare fetch of the same answer, which the page waits for. Both are the median of all runs, taken in
turns, so that all see the same machine.
"""

import argparse
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bench.filling import empty, fill
from bench.server import machine, tally
from bench.table import head, middle, row

VIEWS = {"as it opens": "", "all that is kept": "?since=first", "the top 8 names": "?top=8"}
DRAWN = "performance.getEntriesByName('tally-drawn')[0]?.startTime"
WIDTH, HEIGHT = 1440, 900
LIMIT_S, PAUSE_MS = 60, 20


def opened(browser: Browser, url: str) -> tuple[float, list[str]]:
    """Open a page; return the milliseconds until its charts were drawn, and what they asked for."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    try:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        deadline = time.monotonic() + LIMIT_S
        while (drawn := page.evaluate(DRAWN)) is None:
            if time.monotonic() > deadline:
                raise SystemExit(f"{url} has drawn nothing in {LIMIT_S} s")
            page.wait_for_timeout(PAUSE_MS)
        return float(drawn), [each for each in asked if "/timedata/" in each or "/values/" in each]
    finally:
        context.close()


def fetched(urls: list[str]) -> float:
    """Return the milliseconds that the same answers take without a page, one after the other."""
    began = time.perf_counter()
    for url in urls:
        with urllib.request.urlopen(url) as answer:
            answer.read()
    return (time.perf_counter() - began) * 1000


def lines(url: str, runs: int) -> Iterator[str]:
    """Yield a table, a row a view."""
    yield from head("view", "first chart, ms", "bare fetch, ms", "ratio", "beside the fetch, ms")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for view, query in VIEWS.items():
            page_ms, bare_ms = [], []
            for _ in range(runs):
                taken, asked = opened(browser, f"{url}/archive/big/{query}")
                page_ms.append(taken)
                bare_ms.append(fetched(asked))
            page, bare = middle(page_ms), middle(bare_ms)
            yield row(view, page, bare, page / bare, page - bare)
        browser.close()


def main() -> None:
    """Fill an archive, and look at it."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description="Measure the first chart.")
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--buckets", type=int, default=8640)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    print(f"{machine()}; {options.names:,} names in {options.buckets:,} buckets\n", flush=True)
    with tempfile.TemporaryDirectory() as place:
        fill(empty(Path(place)), names=options.names, buckets=options.buckets)
        with tally(Path(place), "serve") as server:
            url = server.said(r"(?:answering|dashboard and API) on (http://\S+)/")
            server.said("(collecting on)")
            for line in lines(url, options.runs):
                print(line, flush=True)


if __name__ == "__main__":
    main()
