"""The bucket that is still open is drawn apart: its values may still grow, and must not look like a cliff."""

import time
from typing import Any

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site

RESOLUTION_S = 3600
HOURS = 5


@pytest.fixture
def filled(site: Site) -> int:
    """Fill an archive of hours with whole ones and with the hour that is open, and return that."""
    archive = site.archives.create("hourly", resolution=RESOLUTION_S, retention=0)
    now = int(time.time()) // RESOLUTION_S * RESOLUTION_S
    samples = [("a", 1.0, now - hour * RESOLUTION_S) for hour in range(1, HOURS) for _ in range(100)]
    archive.record([*samples, ("a", 1.0, now), ("a", 1.0, now)])
    return now


SHAPES = ("line", "smooth", "step", "bars")
DRAWN = """
async ([shape, index]) => {
    const { options, data } = await import("/dashboard/plot.js");
    const values = [100, 100, 2];
    const inks = [{ colour: 0, dash: [] }];
    const drawing = { inks, keys: ["count"], shape, isLog: false, step: () => 60, ends: () => [0, 180],
                      open: () => index, bounds: () => [], selected() {}, pointed() {} };
    const columns = { times: [0, 60, 120], lines: [{ key: "count", values }] };
    const only = { ...columns, lines: [{ key: "count", values: [null, null, 50] }] };
    const { series, scales } = options(drawing, { width: 100, height: 100 });
    const [, whole, open] = series;
    return { data: data(columns, drawing, index), auto: [whole.auto, open.auto], dash: [whole.dash, open.dash],
             points: shape === "bars" ? null : open.points.filter(),
             top: scales.y.range({ data: data(columns, drawing, index) }, 100, 100)[1],
             alone: scales.y.range({ data: data(only, drawing, index) }, null, null)[1] };
}
"""


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_drawn_apart(shape: str, site: Site, open_page: Open) -> None:
    """The line of whole buckets ends before it; its own is dashed, has a point, and no say on the axis."""
    page = open_page(site.url)
    drawn: dict[str, Any] = page.page.evaluate(DRAWN, [shape, 2])
    before = None if shape == "bars" else 100
    assert [[0, 60, 120], [100, 100, None], [None, before, 2]] == drawn["data"]
    assert [None, False] == drawn["auto"]
    assert ([], True) == (drawn["dash"][0], len(drawn["dash"][1]) > 0)
    assert drawn["points"] in (None, [2])


def test_the_axis_goes_by_it_only_where_there_is_nothing_else(site: Site, open_page: Open) -> None:
    """The buckets that are over decide; a chart of the open one alone still shows its value."""
    drawn = open_page(site.url).page.evaluate(DRAWN, ["line", 2])
    assert (125, 62.5) == (drawn["top"], drawn["alone"])


def test_a_range_that_is_over_has_none(site: Site, open_page: Open) -> None:
    """All buckets of the past are drawn alike."""
    page = open_page(site.url)
    drawn = page.page.evaluate(DRAWN, ["line", -1])
    assert [[0, 60, 120], [100, 100, 2], [None, None, None]] == drawn["data"]


def test_the_last_value_is_that_of_a_whole_bucket(site: Site, filled: int, open_page: Open) -> None:
    """`last` is never the open bucket; who points at that reads its value with "so far"."""
    page = open_page(f"{site.url}archive/hourly/?since=-4h&show=count")
    page.drawn()
    last = time.strftime("%Y-%m-%d %H:%M", time.gmtime(filled - RESOLUTION_S))
    page.wait(lambda: page.text(".time").startswith(f"last: {last}"), "the last whole hour")
    assert "so far" not in page.text(".time")
    assert "100" == page.find(".legend data").get_attribute("value")
    page.find(".plot").focus()
    page.page.keyboard.press("End")
    assert page.text(".time").endswith(", so far")
    assert "2" == page.find(".legend data").get_attribute("value")
