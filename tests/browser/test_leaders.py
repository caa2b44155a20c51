"""The leaderboard of more names than it shows: whichever way they are sorted, they are the right ones."""

import time
from collections.abc import Iterator

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site, Watched, served

NAMES = 1_200
SHOWN = 50
SPAN_S = 600
END = int(time.time()) // SPAN_S * SPAN_S
SPAN = f"since={END - SPAN_S}&until={END - 1}"

ORDERS = {
    "sum": "the 50 with the highest sum, of more than 1,000 names",
    "-sum": "the 50 with the lowest sum, of 1,200 names",
    "avg": "the 50 with the highest avg, of more than 1,000 names",
    "-avg": "the 50 with the lowest avg, of 1,200 names",
    "name": "the first 50 in the order of names, of 1,200 names",
    "-name": "the last 50 in the order of names, of 1,200 names",
}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server with very many names in two spans. The order of their averages is not that of their sums."""
    with served(tmp_path_factory.mktemp("many"), empty=True) as site:
        site.archives.create("many", resolution=60).record(
            (f"host{number:04}.load", float(number * factor), when)
            for number in range(1, NAMES + 1)
            for when, factor in ((END - SPAN_S, number % 7 + 1), (END - 2 * SPAN_S, number % 5 + 1))
            for _ in range(number % 3 + 1)
        )
        yield site


def table(site: Site, *, earlier_s: int = 0) -> dict[str, dict[str, float]]:
    """Return all names with their aggregates, of the last span or of one before."""
    bounds = {"since": END - SPAN_S - earlier_s, "until": END - 1 - earlier_s}
    answer: dict[str, dict[str, float]] = site.ask("aggregate/many/byname/", **bounds)
    assert NAMES == len(answer)
    return answer


def shown(page: Watched) -> list[str]:
    """Return the names of all rows, once they are there."""
    page.wait(page.table, "the table")
    if page.find("#leaders-more").is_visible():
        page.find("#leaders-more").click()
    return [name for name, _ in page.table()]


def highest(values: dict[str, float], *, is_reversed: bool) -> list[str]:
    """Return the first names in the order of their values; reversed, names of the same value are reversed too."""
    return sorted(values, key=lambda name: (-values[name], name), reverse=is_reversed)[:SHOWN]


def test_an_order_is_one_of_all_names(many: Site, open_page: Open) -> None:
    """The rows are those at the top of the order of all names, and the caption says so."""
    page = open_page(many.url)
    cells = table(many)
    for sort, caption in ORDERS.items():
        page.page.goto(f"{many.url}archive/many/?{SPAN}&sort={sort}")
        key = sort.lstrip("-")
        values = {name: -float(name[4:8]) if key == "name" else cell[key] for name, cell in cells.items()}
        assert highest(values, is_reversed=sort.startswith("-")) == shown(page)
        assert caption == page.text("#leaders-caption")


def test_an_order_is_one_of_all_groups(many: Site, open_page: Open) -> None:
    """The lowest groups are found among all of them."""
    page = open_page(f"{many.url}archive/many/?{SPAN}&sort=-sum&group=node:0")
    sums = {name.partition(".")[0]: cell["sum"] for name, cell in table(many).items()}
    assert highest(sums, is_reversed=True) == shown(page)
    assert "the 50 with the lowest sum, of 1,200 groups" == page.text("#leaders-caption")


def test_what_changed_is_found_among_all_names(many: Site, open_page: Open) -> None:
    """Names are sorted by their change, whatever their sums are."""
    page = open_page(many.url)
    now, before = table(many), table(many, earlier_s=SPAN_S)
    sizes = {name: abs(now[name]["sum"] - before[name]["sum"]) for name in now}
    for sort, most in (("change.sum", "most"), ("-change.sum", "least")):
        page.page.goto(f"{many.url}archive/many/?{SPAN}&compare=span&sort={sort}")
        assert highest(sizes, is_reversed=sort.startswith("-")) == shown(page)
        assert f"the 50 whose sum changed {most}, of 1,200 names" == page.text("#leaders-caption")
