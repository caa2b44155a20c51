"""A screen on the wall: charts alone, which a page shows for weeks. And a chart as a picture."""

import os
import struct
from collections.abc import Iterator

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site, recent, served

IS_FULL = os.environ.get("SURVIVE") == "full"
FLUSH_S = 5
REFRESHES = 24 * 3600 // FLUSH_S if IS_FULL else 60
# By then the browser has compiled and cached what it will.
WARM = 60


@pytest.fixture(scope="module")
def hung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server with samples of the last minutes."""
    with served(tmp_path_factory.mktemp("hung")) as site:
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


def test_the_wall_does_not_grow(hung: Site, open_page: Open) -> None:
    """After any number of refreshes a page has as many elements and listeners as before, and as much memory."""
    page = open_page(f"{hung.url}archive/?show=avg,max&wall")
    page.drawn(3)
    wire = page.page.context.new_cdp_session(page.page)
    wire.send("HeapProfiler.enable")

    def refresh(times: int) -> dict[str, float]:
        for _ in range(times):
            page.asked.clear()
            page.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            page.wait(lambda: any("/status/" in url for url in page.asked), "a refresh")
        wire.send("HeapProfiler.collectGarbage")
        counters: dict[str, float] = wire.send("Memory.getDOMCounters")
        return counters | {"used": wire.send("Runtime.getHeapUsage")["usedSize"]}

    before, after = refresh(WARM), refresh(REFRESHES)
    assert before["nodes"] == pytest.approx(after["nodes"], abs=5)
    assert before["jsEventListeners"] == after["jsEventListeners"]
    assert after["used"] < before["used"] * 1.1


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
