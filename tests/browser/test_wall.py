"""A screen on the wall: charts alone, which a page shows for weeks. And a chart as a picture."""

import json
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site, recent, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

IS_FULL = os.environ.get("SURVIVE") == "full"
FLUSH_S = 5
REFRESHES = 24 * 3600 // FLUSH_S if IS_FULL else 60
HOURS = 24 if IS_FULL else 1
# By then the browser has compiled and cached what it will.
WARM = 60
# What scripts hold. The rest is the browser's: it compiles functions for hours, as they run more often.
HELD = ("array", "closure", "concatenated string", "number", "object", "regexp", "sliced string", "string", "symbol")
COLLECTIONS_MOST = 10
# A clock that goes as fast as the page refreshes, and answers whose times go with it.
DAY = """
    const [ask, clock, answers] = [fetch, Date.now, new Map()];
    let ahead = 0, told = () => undefined;
    Date.now = () => clock() + ahead * 1000;
    globalThis.fetch = async (url, options) => {
        const {pathname, searchParams} = new URL(url);
        if (!answers.has(pathname)) answers.set(pathname, [await (await ask(url, options)).text(), ahead]);
        const [text, then] = answers.get(pathname), step = Number(searchParams.get("step") ?? 1);
        const gone = Math.floor((ahead - then) / step) * step;
        const headers = {date: new Date(Date.now()).toUTCString()};
        if (pathname.endsWith("/status/")) setTimeout(() => told());
        return new Response(text.replace(/\\b1[0-9]{9}\\b/g, time => Number(time) + gone), {headers});
    };
    globalThis.refresh = async times => {
        for (; times > 0; times--) {
            ahead += 5;
            const done = new Promise(resolve => (told = resolve));
            document.dispatchEvent(new Event("visibilitychange"));
            await done;
        }
    };
"""


@pytest.fixture(scope="module")
def hung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server with samples of the last minutes, whose pages refresh only when a test makes them."""
    with served(tmp_path_factory.mktemp("hung"), TALLY_FLUSH_TIME=60) as site:
        site.archives.record(recent())
        yield site


def test_the_wall_has_charts_alone(hung: Site, open_page: Open) -> None:
    """A button makes the page a wall, its address too; the charts fill the screen, and Escape ends it."""
    page = open_page(f"{hung.url}archive/daily/?show=avg,sum,count")
    page.drawn(3)
    page.page.get_by_role("button", name="Wall").click()
    page.wait(lambda: page.query() == "show=avg,sum,count&wall", "the address")
    page.wait(lambda: page.find("#controls").is_hidden(), "the wall")
    for gone in (".side", "#leaderboard", ".files >> nth=0"):
        assert page.find(gone).is_hidden()
    size = page.page.evaluate("[document.documentElement.scrollHeight, innerHeight, scrollY]")
    assert size[0] <= size[1]
    page.page.reload()
    page.drawn(3)
    assert page.find("#controls").is_hidden()
    page.page.keyboard.press("Escape")
    page.wait(lambda: page.query() == "show=avg,sum,count", "the end of it")
    page.wait(lambda: page.find("#controls").is_visible(), "the controls")


@pytest.mark.parametrize("width", [1280, 2560, 390])
def test_the_wall_has_no_empty_place(width: int, hung: Site, open_page: Open) -> None:
    """Whatever the number of charts, each row of them is full, and each chart can be read."""
    page = open_page(f"{hung.url}archive/daily/?show=avg&wall", viewport={"width": width, "height": 900})
    page.drawn()
    script = """count => {
        const place = document.querySelector("#panels"), panel = place.firstElementChild;
        place.replaceChildren(...Array.from({length: count}, () => panel.cloneNode(true)));
        const boxes = [...place.children].map(each => each.getBoundingClientRect());
        const rows = Map.groupBy(boxes, box => Math.round(box.top));
        const filled = row => row.reduce((sum, box) => sum + box.width + 12, -12);
        const gaps = [...rows.values()].map(row => place.clientWidth - filled(row));
        return [Math.max(...gaps.map(Math.abs)), Math.min(...boxes.map(box => box.height))];
    }"""
    for count in range(1, 8):
        gap, height = page.page.evaluate(script, count)
        assert (gap < 2, height >= 220) == (True, True), (count, gap, height)


def measure(page: "Page") -> dict[str, float]:
    """Return the counts of elements and listeners, and the bytes of the heap and of what scripts hold.

    Garbage is collected until the counts stay the same, as some of what a refresh replaces is released after its frame.
    """
    wire = page.context.new_cdp_session(page)
    wire.send("HeapProfiler.enable")
    counts: list[dict[str, float]] = []
    while len(counts) < 2 or counts[-1] != counts[-2]:
        assert len(counts) < COLLECTIONS_MOST, counts
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        wire.send("HeapProfiler.collectGarbage")
        counts.append(wire.send("Memory.getDOMCounters"))
    used = wire.send("Runtime.getHeapUsage")["usedSize"]
    parts: list[str] = []
    wire.on("HeapProfiler.addHeapSnapshotChunk", lambda event: parts.append(event["chunk"]))
    wire.send("HeapProfiler.takeHeapSnapshot")
    wire.detach()
    return {**counts[-1], "used": used, "held": held("".join(parts))}


def held(snapshot: str) -> int:
    """Return how many bytes of a snapshot of the heap scripts hold."""
    heap = json.loads(snapshot)
    meta = heap["snapshot"]["meta"]
    fields, kinds = meta["node_fields"], meta["node_types"][0]
    assert set(HELD) <= set(kinds), kinds
    columns = [heap["nodes"][fields.index(field) :: len(fields)] for field in ("type", "self_size")]
    return sum(size for kind, size in zip(*columns, strict=True) if kinds[kind] in HELD)


def test_the_wall_does_not_grow(hung: Site, open_page: Open) -> None:
    """After any number of refreshes a page has as many elements and listeners as before, and as much memory.

    By default it refreshes for some minutes from the server. With SURVIVE=full it does so for a day, from the server's
    first answers, whose times go on.
    """
    page = open_page("about:blank")
    if IS_FULL:
        page.page.add_init_script(DAY)
    page.page.goto(f"{hung.url}archive/?show=avg,max&wall")
    page.host = urlsplit(hung.url).netloc
    page.drawn(3)

    def refresh(times: int) -> dict[str, float]:
        if IS_FULL:
            page.page.evaluate("times => globalThis.refresh(times)", times)
        for _ in range(0 if IS_FULL else times):
            page.asked.clear()
            page.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            page.wait(lambda: any("/status/" in url for url in page.asked), "a refresh")
        measured = measure(page.page)
        print(measured, flush=True)  # noqa: T201
        return measured

    hours = [refresh(WARM), *(refresh(REFRESHES // HOURS) for _ in range(HOURS))]
    before, after = hours[1] if IS_FULL else hours[0], hours[-1]
    assert before["nodes"] == pytest.approx(after["nodes"], abs=5)
    assert before["jsEventListeners"] == after["jsEventListeners"]
    assert after["used"] < before["used"] * 1.1
    assert after["held"] < before["held"] * 1.01


def test_a_chart_is_saved_as_a_picture(hung: Site, open_page: Open) -> None:
    """The picture is a PNG that is as wide as the chart, and higher, as its title and lines are in it."""
    page = open_page(f"{hung.url}archive/daily/?show=avg&top=3")
    page.drawn()
    with page.page.expect_download() as download:
        page.page.get_by_label("avg as PNG").click()
    assert "daily-avg.png" == download.value.suggested_filename
    content = download.value.path().read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    drawn = page.find("canvas").evaluate("canvas => [canvas.width, canvas.height]")
    assert width == drawn[0] + 32
    assert height > drawn[1] + 60
