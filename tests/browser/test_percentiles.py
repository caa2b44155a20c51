"""Percentiles and the distribution over time, where an archive keeps them."""

import csv
import io
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site, Watched, recent, served

END = int(time.time()) // 600 * 600


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server with an archive that keeps percentiles, one that does not, and one that does since a while."""
    with served(tmp_path_factory.mktemp("spread")) as site:
        site.archives.create("fine", resolution=10, percentiles=1)
        samples = [("pages", 1.01 ** (n * 7 % 900), END - 3000 + n // 8) for n in range(24_000)]
        samples += [("queue", float(n % 40 - 5), END - 3000 + n) for n in range(3000)]
        site.archives.record([*samples, *recent(1)])
        late = site.archives.create("late", resolution=10)
        late.record([("before", 5.0, END - 600)])
        late.edit(percentiles=1)
        late.record([("high", 3.0, END - 300), ("low", 1.0, END - 300)])
        yield site


def seen(site: Site, slug: str, query: str) -> str:
    """Return the address of an archive over the samples' range."""
    return f"{site.url}archive/{slug}/?since={END - 3000}&until={END - 1}&{query}"


def read(page: Watched) -> tuple[str, list[float]]:
    """Return the time, and the ends of the values, the count and the share that a heatmap reads."""
    cells = page.find(".legend.reading data").evaluate_all("all => all.map(each => each.value)")
    return page.text(".panel .time"), [float(part) for cell in cells for part in cell.split()]


def asked(page: Watched, path: str) -> dict[str, list[str]]:
    """Return the fields of the last question under a path."""
    return parse_qs(urlsplit([url for url in page.asked if path in url][-1]).query)


def test_the_heatmap_reads_the_api(spread: Site, open_page: Open) -> None:
    """Each cell has the samples that the API counts in its range of values; the arrow keys reach all of a span."""
    page = open_page(seen(spread, "fine", "show=distribution&q=pages"))
    page.drawn()
    answer = spread.ask("histogram/fine/", **{name: fields[0] for name, fields in asked(page, "/histogram/").items()})
    page.find(".plot").focus()
    page.page.keyboard.press("Home")
    for _ in range(3):
        page.page.keyboard.press("ArrowRight")
    for _ in range(80):
        page.page.keyboard.press("ArrowDown")
    cells = [read(page)]
    while True:
        page.page.keyboard.press("ArrowUp")
        if (cell := read(page)) == cells[-1]:
            break
        cells.append(cell)
    moments = list(answer)
    assert {time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(moments[3])))} == {moment for moment, _ in cells}
    bins, total = answer[moments[3]], sum(count for _, _, count in answer[moments[3]])
    assert total == sum(count for _, (_, _, count, _) in cells)
    assert 20 < len(cells) <= 64
    for _, (lower, upper, count, share) in cells:
        within = [told for told in bins if lower * 0.999 <= told[0] and told[1] <= upper * 1.001]
        assert count == sum(each for _, _, each in within)
        assert share == pytest.approx(count / total)
    assert "samples" in page.text("#announcer")


def test_the_mouse_reads_a_cell(spread: Site, open_page: Open) -> None:
    """Where the mouse points the range of values, the number of samples and their share are told, and marked."""
    page = open_page(seen(spread, "fine", "show=avg,distribution&q=pages"), viewport={"width": 1280, "height": 1200})
    page.drawn(2)
    box = page.find(".u-over").nth(1).bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.find(".cell").wait_for()
    _, (lower, upper, count, share) = read(page)
    assert 1 <= lower < upper <= 1.01**900 * 1.03
    assert count > 0 < share < 1
    page.wait(lambda: page.find(".time.pointed").count() == 2, "both charts to read")
    mark = page.find(".cell").bounding_box()
    assert mark is not None
    assert mark["y"] - 1 <= box["y"] + box["height"] / 2 <= mark["y"] + mark["height"] + 1


def test_values_of_zero_and_below_have_rows(spread: Site, open_page: Open) -> None:
    """The axis of a distribution reaches over zero, and zero has a row."""
    page = open_page(seen(spread, "fine", "show=distribution&q=queue"))
    page.drawn()
    page.find(".plot").focus()
    page.page.keyboard.press("Home")
    for _ in range(64):
        page.page.keyboard.press("ArrowDown")
    rows = [read(page)[1][:2]]
    for _ in range(64):
        page.page.keyboard.press("ArrowUp")
        rows.append(read(page)[1][:2])
    assert [0.0, 0.0] in rows
    assert rows[0][1] < 0 < rows[-1][0]


def test_the_cells_are_saved(spread: Site, open_page: Open) -> None:
    """The file has a row a cell, with all samples."""
    page = open_page(seen(spread, "fine", "show=distribution&q=queue"))
    page.drawn()
    with page.page.expect_download() as download:
        page.page.get_by_label("distribution as CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert "fine-distribution.csv" == download.value.suggested_filename
    assert ["time", "lower", "upper", "count"] == list(rows[0])
    assert 3000 == sum(int(row["count"]) for row in rows)


def test_the_heatmap_follows_the_scheme(spread: Site, open_page: Open) -> None:
    """In the dark and back in the light it is the same picture again, with its axes."""
    page = open_page(seen(spread, "fine", "show=distribution&q=queue"), color_scheme="light")
    page.drawn()
    picture = "document.querySelector('.plot canvas').toDataURL()"
    light = page.page.evaluate(picture)
    page.page.emulate_media(color_scheme="dark")
    page.wait(lambda: page.page.evaluate(picture) != light, "the dark")
    page.page.emulate_media(color_scheme="light")
    page.wait(lambda: page.page.evaluate(picture) == light, "the light")


def test_percentiles_are_offered_where_they_are_kept(spread: Site, open_page: Open) -> None:
    """Their chips and the distribution's are there only with an archive that keeps them, and stay in the address."""
    page = open_page(f"{spread.url}archive/plain/")
    page.allow("404")
    page.page.goto(seen(spread, "daily", "show=avg,p95,distribution"))
    page.drawn(1)
    assert page.page.get_by_label("p95", exact=True).is_hidden()
    page.pressed("max")
    page.wait(lambda: "show=avg,max,p95,distribution" in page.query(), "the hidden choices")
    page.page.get_by_role("link", name="All archives").first.click()
    page.wait(lambda: page.page.url.startswith(f"{spread.url}archive/?"), "the overview")
    page.wait(lambda: page.page.get_by_label("p95", exact=True).is_checked(), "the percentile")
    page.pressed("min")
    page.wait(lambda: "show=avg,min,max,p95,distribution" in page.query(), "the percentile in the address")
    page.page.get_by_role("link", name="fine").first.click()
    page.drawn(2)
    assert "avg, min, max, p95" == page.text(".panel h2")


def test_a_percentile_of_the_address_has_a_chip(spread: Site, open_page: Open) -> None:
    """Any percentile can be asked for, drawn and sorted by."""
    page = open_page(seen(spread, "fine", "show=p99.9,p5&sort=p99.9&q=queue"))
    page.drawn(1)
    assert "p5, p99.9" == page.text(".panel h2")
    assert page.page.get_by_label("p99.9", exact=True).is_checked()
    [(_, values)] = page.table()
    assert [-4.0, 34.0] == [pytest.approx(value, rel=0.01) for value in values[5:]]


@pytest.mark.parametrize("sort", ["p95", "-p95"])
def test_what_has_no_percentile_stands_last(sort: str, spread: Site, open_page: Open) -> None:
    """A name from before percentiles were turned on is below the others, whichever way they are sorted."""
    page = open_page(seen(spread, "late", f"show=avg,p95&sort={sort}"))
    page.drawn(1)
    names = [name for name, _ in page.table()]
    assert ["before"] == names[2:]
    assert {"high", "low"} == set(names[:2])


def test_auto_answers_from_an_archive_that_keeps_them(spread: Site, open_page: Open) -> None:
    """With a percentile chosen, Auto shows an archive that keeps percentiles."""
    page = open_page(f"{spread.url}?q=pages&since=-2h")
    page.drawn(2)
    assert page.text("#facts").startswith("daily · ")
    page.pressed("p95")
    page.wait(lambda: page.text("#facts").startswith("fine · "), "the archive with percentiles")
    page.wait(lambda: "avg, p95" == page.text(".panel h2"), "the chart")
