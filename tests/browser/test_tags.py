"""Names are selected by their tags, and grouped by tags and parts."""

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site, Watched, recent, served

NOW = int(time.time())
NAMES = (
    "requests.get.index;env=prod;host=web1",
    "requests.get.index;env=test;host=web1",
    "requests.post.c++(1)[x];env=prod;host=web2",
    "requests.get;env=prod",
    "jobs",
    "get.index.jobs",
    "jobs..late;env=prod",
)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server with an archive whose names have tags, each with another sum, and one without tags."""
    with served(tmp_path_factory.mktemp("tagged"), empty=True) as site:
        site.archives.create("tagged").record([(name, 2.0**n, NOW - 60) for n, name in enumerate(NAMES)])
        site.archives.create("plain").record(recent())
        yield site


def sums(page: Watched) -> dict[str, float]:
    """Return the sum of each row of the leaderboard."""
    return {name: values[1] for name, values in page.table()}


def test_names_are_selected_by_tags(tagged: Site, open_page: Open) -> None:
    """Tags are suggested; a chosen one stands in the address, and the charts and names are those that have it."""
    page = open_page(f"{tagged.url}archive/tagged/?since=-3h")
    page.find("#where").fill("prod")
    page.find("#where-options [role=option]").first.wait_for()
    assert ["env=prod"] == page.find("#where-options [role=option]").all_inner_texts()
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    page.wait(lambda: "where=env%3Dprod" in page.query(), "the address")
    page.wait(lambda: len(page.table()) == 4, "the names")
    assert {name for name in NAMES if "env=prod" in name} == set(sums(page))
    page.find("#where").fill("env=prod host!=we")
    page.find("#where-options [role=option]").first.wait_for()
    assert ["host!=web1", "host!=web2"] == page.find("#where-options [role=option]").all_inner_texts()
    page.find("#where-options [role=option]").first.click()
    page.wait(lambda: len(page.table()) == 3, "both expressions")
    [asked] = {url for url in page.asked if "/timedata/tagged/" in url and "host" in url}
    assert ["env=prod", "host!=web1"] == parse_qs(urlsplit(asked).query)["where"]
    page.find("#where").fill("env=none")
    page.page.keyboard.press("Enter")
    page.wait(lambda: "Nothing matches" in page.text("#state h2"), "the state")
    assert "with the tags env=none" in page.text("#state p")
    page.page.get_by_role("link", name="Show all names").click()
    page.wait(lambda: len(page.table()) == len(NAMES), "all names")


def test_an_archive_without_tags_has_no_field_for_them(tagged: Site, open_page: Open) -> None:
    """The field is there as soon as an archive has tags, or the address selects by them."""
    page = open_page(f"{tagged.url}archive/plain/")
    page.wait(lambda: any("/names/plain/" in url for url in page.asked), "the look for tags")
    page.drawn(2)
    assert page.find("#where").is_hidden()
    assert page.find("#group option[value='node:0']").count()
    page.page.get_by_role("link", name="tagged").first.click()
    page.find("#where").wait_for()


@pytest.mark.parametrize("group", ["tag:env", "tag:host,env", "node:0", "node:1", "node:2", "node:-1", "node:0,-2"])
def test_groups_are_the_apis_and_lead_to_their_names(group: str, tagged: Site, open_page: Open) -> None:
    """The table and the lines have a group each, and the link of each shows its names and no others."""
    page = open_page(f"{tagged.url}archive/tagged/?since=-3h&top=20&show=sum&group={group}")
    page.wait(page.table, "the groups")
    answer = tagged.ask("aggregate/tagged/sum/byname/", group=group)
    assert sorted(answer.values()) == sorted(sums(page).values())
    links = page.find("#leaders-body a").evaluate_all("all => all.map(each => each.href)")
    assert len(answer) == len(links)
    for name, link in zip(answer, links, strict=True):
        where = parse_qs(urlsplit(link).query, keep_blank_values=True)["where"]
        found = tagged.ask("aggregate/tagged/sum/byname/", where=where)
        assert answer[name] == sum(found.values()), (name, where)
    page.drawn()
    assert len(answer) == page.find(".legend .name").count()


def test_a_group_is_chosen_and_left(tagged: Site, open_page: Open) -> None:
    """The choice offers the archive's tags; a click on a group selects its names, and they stand alone again."""
    page = open_page(f"{tagged.url}archive/tagged/?since=-3h")
    page.find("#group option[value='tag:env']").wait_for(state="attached")
    page.find("#group").select_option("tag:env")
    page.wait(lambda: set(sums(page)) == {"prod", "test", "(none)"}, "the groups")
    assert "3 groups" == page.text("#leaders-caption")
    page.page.get_by_role("link", name="(none)").click()
    page.wait(lambda: set(sums(page)) == {"jobs", "get.index.jobs"}, "the names without the tag")
    assert "env=" == page.find("#where").input_value()
