"""Files are what is shown: the same rows and columns, and the same numbers."""

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site, Watched, served

NOW = int(time.time()) // 10 * 10 - 600
RANGE = f"since={NOW}&until={NOW + 99}"
NAMES = ("time", 'quoted"name,with.comma', "ünï.códe")
# Some buckets have no sample of a name, and some none at all.
SAMPLES = [
    (name, (number + 1) / 3 + moment % 7, NOW + moment)
    for number, name in enumerate(NAMES)
    for moment in (0, 3, 10, 40, 70)
    if moment // 10 != number
]
# Go through a chart with the keyboard; return each time with what the lines read there.
READ = """async panel => {
    const rows = [];
    const plot = panel.querySelector(".plot");
    const press = key => plot.dispatchEvent(new KeyboardEvent("keydown", { key }));
    for (press("Home"); ; press("ArrowRight")) {
        const time = Date.parse(`${panel.querySelector(".time").innerText.slice(0, 19).replace(" ", "T")}Z`) / 1000;
        if (rows.at(-1)?.[0] === time) return rows;
        const items = [...panel.querySelectorAll(".legend li")];
        rows.push([time, items.map(li => [li.querySelector(".name").innerText, li.querySelector("data").value])]);
    }
}"""
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server whose daily archive has gaps, and names that CSV has to quote."""
    with served(tmp_path_factory.mktemp("gaps")) as site:
        site.archives.record(SAMPLES)
        yield site


def saved(page: Watched, label: str) -> tuple[str, str]:
    """Press a button that saves a file; return the file's name and text."""
    with page.page.expect_download() as download:
        page.pressed(label)
    return download.value.suggested_filename, download.value.path().read_bytes().decode()


def both(page: Watched, what: str, name: str) -> Rows:
    """Return the rows of what is saved as JSON, which are those of what is saved as CSV."""
    csv_name, csv_text = saved(page, f"{what} as CSV")
    json_name, json_text = saved(page, f"{what} as JSON")
    assert (f"{name}.csv", f"{name}.json") == (csv_name, json_name)
    rows: Rows = json.loads(json_text)
    records = csv.DictReader(io.StringIO(csv_text, newline=""))
    assert rows == [{field: told(field, value) for field, value in record.items()} for record in records]
    assert list(records.fieldnames or ()) == list(rows[0])
    return rows


def told(field: str, text: str) -> object:
    """Return what stands in a record of CSV as JSON has it."""
    return text if field == "name" else float(text) if text else None


def read(page: Watched, label: str) -> list[tuple[int, dict[str, float | None]]]:
    """Return what a chart shows: each time with the value of each line."""
    rows = page.find(f'.panel[aria-label$=": {label}"]').evaluate(READ)
    return [(moment, {key: float(value) if value else None for key, value in values}) for moment, values in rows]


@pytest.mark.parametrize(
    ("query", "label", "name", "suffix"),
    [
        ("show=avg,min,sum", "avg, min", "daily-avg-min", ""),
        ("show=sum,count,max", "count", "daily-count", ""),
        ("show=sum,count&rate=1", "sum per second", "daily-sum_per_second", "_per_second"),
        ("show=avg,max&rate=1", "avg, max", "daily-avg-max", ""),
    ],
)
def test_a_charts_files(query: str, label: str, name: str, suffix: str, gaps: Site, open_page: Open) -> None:
    """Each bucket is a row with the chart's aggregates and no other, per second where it is so, null in a gap."""
    page = open_page(f"{gaps.url}archive/daily/?{RANGE}&{query}")
    page.wait(lambda: page.find(".plot canvas").count(), "the charts")
    shown = read(page, label)
    expected = [{"time": moment, **{key + suffix: value for key, value in cells.items()}} for moment, cells in shown]
    assert expected == both(page, label, name)
    values = [value for _, cells in shown for value in cells.values()]
    assert None in values
    assert {float} == {type(value) for value in values if value is not None}


@pytest.mark.parametrize(
    ("query", "label", "name", "field"),
    [
        ("top=3&show=max", "max", "daily-max", "max"),
        ("top=3&show=count,avg&rate=1", "count per second", "daily-count_per_second", "count_per_second"),
    ],
)
def test_the_files_of_a_line_a_name(query: str, label: str, name: str, field: str, gaps: Site, open_page: Open) -> None:
    """Each name and bucket is a row, in the order of the lines, whatever stands in the name."""
    page = open_page(f"{gaps.url}archive/daily/?{RANGE}&{query}")
    page.wait(lambda: page.find(".plot canvas").count(), "the charts")
    shown = read(page, label)
    assert set(NAMES) == set(shown[0][1])
    expected = [{"time": moment, "name": key, field: cells[key]} for key in shown[0][1] for moment, cells in shown]
    assert expected == both(page, label, name)


def leaders(page: Watched) -> Rows:
    """Return what the table shows."""
    return [
        {"name": name, **dict(zip(("count", "sum", "avg", "min", "max"), values, strict=True))}
        for name, values in page.table()
    ]


def test_the_tables_files(gaps: Site, open_page: Open) -> None:
    """Names are in the order in which they stand."""
    page = open_page(f"{gaps.url}archive/daily/?{RANGE}&sort=-avg")
    page.find("#leaders-body tr").first.wait_for()
    shown = leaders(page)
    assert 3 == len(shown)
    assert shown == both(page, "The 3 names shown", "daily-names")


def test_the_files_of_a_table_of_some_names(site: Site, open_page: Open) -> None:
    """Of more names than the table shows its files have those that it does, also when it shows more of them."""
    site.archives.create("daily", resolution=10)
    site.archives.record([(f"page{number}", number % 907, NOW) for number in range(1100)])
    page = open_page(f"{site.url}archive/daily/?{RANGE}&sort=max")
    page.find("#leaders-body tr").first.wait_for()
    for count in (25, 50):
        shown = leaders(page)
        assert count == len(shown)
        assert ("page906", 906.0) == (shown[0]["name"], shown[0]["max"])
        assert shown == both(page, f"The {count} names shown", "daily-names")
        if count == 25:
            page.find("#leaders-more").click()


def test_a_refresh_leaves_the_buttons(gaps: Site, open_page: Open) -> None:
    """A button that is focused stays so while the page follows what comes."""
    page = open_page(f"{gaps.url}archive/daily/?since=-1h")
    page.find("#leaders-body tr").first.wait_for()
    page.page.get_by_label("avg as CSV", exact=True).focus()
    count = len(page.asked)
    page.wait(lambda: sum("byname" in url for url in page.asked[count:]) > 1, "a refresh")
    assert "avg as CSV" == page.page.evaluate("document.activeElement.getAttribute('aria-label')")
