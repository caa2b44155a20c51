"""The span before: its lines, and what changed most since. And the sparklines of names."""

import csv
import io
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site, Watched, served

SPAN_S = 600
END = int(time.time()) // SPAN_S * SPAN_S
# The value of each sample in the span before and in the last one, of which there is one in ten seconds.
VALUES = {"steady": (4, 4), "grows": (1, 3), "falls": (9, 4), "new": (None, 2), "gone": (7, None)}


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server whose names differ between two spans."""
    with served(tmp_path_factory.mktemp("spans"), empty=True) as site:
        starts = (END - 2 * SPAN_S, END - SPAN_S)
        site.archives.create("daily", resolution=10, percentiles=1).record(
            (name, float(value + offset % 20 / 10), start + offset)
            for name, values in VALUES.items()
            for start, value in zip(starts, values, strict=True)
            if value is not None
            for offset in range(0, SPAN_S, 10)
        )
        yield site


def seen(site: Site, query: str) -> str:
    """Return the address of the last span beside the one before."""
    return f"{site.url}archive/daily/?since={END - SPAN_S}&until={END - 1}&compare=span&{query}"


def changes(page: Watched) -> list[tuple[str, float | None]]:
    """Return each row's name and change."""
    script = """rows => rows.map(row =>
        [row.querySelector("th").innerText, row.lastElementChild.querySelector("data")?.value])"""
    found = page.find("#leaders-body tr").evaluate_all(script)
    return [(name, None if value is None else float(value)) for name, value in found]


def test_the_table_has_what_changed_most(spans: Site, open_page: Open) -> None:
    """A column has the difference; sorted by it, names that came and went stand where they belong."""
    page = open_page(seen(spans, "show=avg,p50"))
    page.wait(lambda: page.find("[data-key='change.sum']").count(), "the column")
    bounds = {"since": END - SPAN_S, "until": END - 1}
    now = spans.ask("aggregate/daily/sum/byname/", **bounds)
    before = spans.ask("aggregate/daily/sum/byname/", **{name: value - SPAN_S for name, value in bounds.items()})
    expected = {name: now.get(name, 0) - before.get(name, 0) for name in VALUES}
    assert {name: expected[name] for name in now} == pytest.approx(dict(changes(page)))
    page.find("[data-key='change.sum'] a").click()
    page.wait(lambda: len(changes(page)) == len(VALUES), "names that are gone too")
    ranked = sorted(expected, key=lambda name: (-abs(expected[name]), name))
    assert ranked == [name for name, _ in changes(page)]
    assert expected == pytest.approx(dict(changes(page)))
    page.page.goto(seen(spans, "show=avg,p50&sort=change.p50"))
    page.wait(lambda: page.find("th[aria-sort][data-key='change.p50']").count(), "the order by a percentile")
    assert ["falls", "grows", "steady"] == [name for name, _ in changes(page)][:3]
    assert [None, None] == [value for _, value in changes(page)][3:]


@pytest.mark.parametrize("view", ["show=avg,max", "show=avg&top=3"])
def test_the_lines_stand_beside_those_before(view: str, spans: Site, open_page: Open) -> None:
    """Each value has that of the span before beside it: in the file, at the cursor, and read aloud."""
    page = open_page(seen(spans, view))
    page.drawn()
    assert any(f"since={END - 2 * SPAN_S}&" in url for url in page.asked)
    with page.page.expect_download() as download:
        page.page.get_by_label("as CSV").first.click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    index = f"{END - SPAN_S}"
    former = spans.ask("values/daily/", since=END - 2 * SPAN_S, until=END - 2 * SPAN_S)
    if "top" in view:
        first = {row["name"]: row["avg_before"] for row in rows if row["time"] == index}
        assert {"steady": "4", "falls": "9", "grows": "1"} == first
    else:
        [row] = [row for row in rows if row["time"] == index]
        assert max(cell["max"] for name in former.values() for cell in name.values()) == float(row["max_before"])
    page.find(".plot").focus()
    page.page.keyboard.press("Home")
    page.wait(lambda: "before" in page.text("#announcer"), "the value before")
    assert "before 9" in " ".join(page.find(".legend small").all_inner_texts())


def test_names_have_sparklines(spans: Site, open_page: Open) -> None:
    """Each row has a line from the least to the greatest value of its name, of what the table is sorted by."""
    page = open_page(seen(spans, "show=avg&sort=max"))
    page.wait(lambda: page.find(".spark").count() == 4, "a line a name")
    [asked] = {url for url in page.asked if "/values/daily/max/" in url}
    fields = parse_qs(urlsplit(asked).query)
    answer = spans.ask("values/daily/max/", **fields)
    for (name, _), spark in zip(page.table(), page.find(".spark").all(), strict=True):
        values = answer[name].values()
        assert f"from {min(values):g} to {max(values):g}" == spark.get_attribute("aria-label")
        path = spark.locator("path").get_attribute("d") or ""
        assert len(values) == path.count("M") + path.count("L")


def test_what_is_not_kept_is_not_compared(spans: Site, open_page: Open) -> None:
    """Where nothing is kept of the week before, no change is claimed."""
    page = open_page(seen(spans, "show=avg").replace("compare=span", "compare=week"))
    page.wait(lambda: page.find(".spark").count() == 4, "the table")
    assert 0 == page.find("[data-key^='change']").count()
    assert "Week before" == page.find("#compare option:checked").inner_text()
