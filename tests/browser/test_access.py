"""The page without a mouse, with a screen reader, on a phone, and in the dark: axe-core finds nothing."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tally.alerts.memory import Memory
from tally.engine.events import Event
from tests.browser.conftest import Open, missing
from tests.browser.site import Site, Watched, recent, served

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 360, "height": 740}
WIDE = {"width": 1920, "height": 1080}

# Over charts of two names, so that both are drawn with their lines at the bounds.
RULES = "".join(
    f"""[{name}]
archive = "daily"
q = "requests.*"
ask = "max"
over = "1h"
above = 1
"""
    for name in ("slow", "moved")
)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server with all that a page can show: data, losses, events, alerts, a silence and an empty archive."""
    directory = tmp_path_factory.mktemp("busy")
    (directory / "alerts.toml").write_text(RULES)
    with served(directory, TALLY_WRITE_TOKEN="w") as site:
        site.archives["daily"].edit(percentiles=1)
        samples = recent()
        site.archives.record(
            [*samples, *((f"jobs;host=a{n}", 2.0, moment) for n, (_, _, moment) in enumerate(samples[-3:]))]
        )
        site.archives.create("empty", pattern="nothing.*")
        now = time.time()
        for fields in ({"since": now - 600, "until": now - 300}, {"since": now - 900, "tags": ["deploy"]}):
            site.archives.events.add(Event.create({"title": "deployed", **fields}, now=now), now=now)
        Memory(directory).silence("moved", "being moved", since=now, until=now + 3600)
        site.send("bad one")
        yield site


def violations(page: Watched, *rules: str) -> list[str]:
    """Return what axe-core finds by some rules, or by all, each with the first element where it is."""
    if not AXE.is_file():
        missing("axe-core is not installed: run npm ci")
    # A colour that is still on its way to another one has neither's contrast.
    page.page.emulate_media(reduced_motion="reduce")
    if not page.page.evaluate("'axe' in window"):
        page.page.evaluate(AXE.read_text(encoding="utf-8"))
    script = "rules => axe.run(rules.length ? { runOnly: rules } : {}).then(result => result.violations)"
    found: list[dict[str, Any]] = page.page.evaluate(script, list(rules))
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]


def check_both_schemes(page: Watched) -> None:
    """Check a page as it is now, light and dark; only the contrast of its colours differs between the two."""
    page.page.emulate_media(color_scheme="light")
    assert [] == violations(page), page.page.url
    page.page.emulate_media(color_scheme="dark")
    assert [] == violations(page, "color-contrast"), page.page.url
    script = "[document.documentElement, document.querySelector('.side')].every(each => each.scrollWidth <= innerWidth)"
    assert page.page.evaluate(script)


# Each with as much as can be seen at once.
VIEWS = (
    "",
    "archive/",
    "archive/daily/?show=avg,min,max,count&q=requests.*&compare=span&since=-15min",
    "archive/daily/?top=3&show=max,p95,distribution&q=requests.*&events=deploy",
    "archive/daily/?where=host!%3D&group=tag:host",
    "archive/empty/",
    "archive/daily/?show=avg,max&q=requests.*&wall",
)


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_axe_finds_nothing(size: dict[str, int], busy: Site, open_page: Open) -> None:
    """Every kind of page, and what is on it, on any screen, light and dark."""
    page = open_page(busy.url, viewport=size, bypass_csp=True)
    for view in VIEWS:
        page.page.goto(f"{busy.url}{view}")
        page.wait(lambda: page.find("canvas, #state h2").count(), "the page")
        for notice in ("#losses", "#firing"):
            page.find(notice).wait_for()
        page.find("#silenced").wait_for(state="hidden" if "wall" in view else "visible")
        check_both_schemes(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_opens(scheme: str, busy: Site, open_page: Open) -> None:
    """The forms, the range's ends and the list of patterns, while they are open."""
    page = open_page(f"{busy.url}archive/daily/", color_scheme=scheme, bypass_csp=True)
    page.drawn(2)
    page.find("#pattern").fill("requests")
    page.find("[role=option]").first.wait_for()
    assert [] == violations(page)
    page.page.keyboard.press("Escape")
    page.find("#custom-label").click()
    assert [] == violations(page)
    page.page.keyboard.press("Escape")
    for button, dialog in (("Edit", "#editor"), ("Delete", "#deletion")):
        page.page.get_by_role("button", name=button, exact=True).first.click()
        page.find(dialog).wait_for()
        assert [] == violations(page)
        page.page.keyboard.press("Escape")


def test_a_pattern_is_completed_by_keyboard(busy: Site, open_page: Open) -> None:
    """Globs and names that hold what was typed are offered; arrows choose, Enter takes, Escape closes."""
    page = open_page(f"{busy.url}archive/daily/")
    page.drawn(2)
    page.find("#pattern").focus()
    page.page.keyboard.type("page")
    page.wait(
        lambda: page.find("[role=option]").all_inner_texts() == [f"requests.get.page{n}" for n in range(3)], "names"
    )
    page.page.keyboard.press("Escape")
    assert page.find("#pattern-options").is_hidden()
    page.page.keyboard.press("ArrowDown")
    page.find("[role=option]").first.wait_for()
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("ArrowDown")
    active = page.find("#pattern").get_attribute("aria-activedescendant")
    assert "requests.get.page1" == page.text(f"#{active}")
    page.page.keyboard.press("Enter")
    page.wait(lambda: "q=requests.get.page1" == page.query(), "the pattern")
    page.find("#pattern").fill("requests.get.page[02] nothing")
    page.page.keyboard.press("Enter")
    page.wait(lambda: [name for name, _ in page.table()] == ["requests.get.page2", "requests.get.page0"], "two names")


def test_globs_are_offered(busy: Site, open_page: Open) -> None:
    """Before anything is typed the archive's own globs are offered."""
    page = open_page(f"{busy.url}archive/daily/")
    page.drawn(2)
    page.find("#pattern").focus()
    page.find("[role=option]").first.wait_for()
    assert busy.ask("patterns/daily/") == page.find("[role=option]").all_inner_texts()


def test_everything_is_reached_by_keyboard(busy: Site, open_page: Open) -> None:
    """The first stop leads past the archives to the charts, and each chart is a stop that reads its values aloud."""
    page = open_page(f"{busy.url}archive/daily/")
    page.drawn(2)
    page.page.keyboard.press("Tab")
    assert "Skip to the charts" == page.page.evaluate("document.activeElement.textContent")
    page.page.keyboard.press("Enter")
    assert "main" == page.page.evaluate("document.activeElement.id")
    for _ in range(40):
        page.page.keyboard.press("Tab")
        if page.page.evaluate("document.activeElement.classList.contains('plot')"):
            break
    page.page.keyboard.press("ArrowLeft")
    page.wait(lambda: "avg" in page.text("#announcer"), "the values")
    assert page.page.evaluate("document.activeElement.classList.contains('plot')")


def test_a_refresh_leaves_the_focus(busy: Site, open_page: Open) -> None:
    """What is focused stays so while the page follows what comes."""
    page = open_page(f"{busy.url}archive/daily/")
    page.drawn(2)
    link = page.page.get_by_role("link", name="requests.get.page1")
    link.focus()
    count = len(page.asked)
    page.wait(lambda: sum("byname" in url for url in page.asked[count:]) > 2, "two refreshes")
    assert "requests.get.page1" == page.page.evaluate("document.activeElement.textContent")


def test_motion_is_reduced(busy: Site, open_page: Open) -> None:
    """Who asked for less motion gets none."""
    page = open_page(busy.url, reduced_motion="reduce")
    page.find("#archives a").first.wait_for()
    script = "all => all.map(each => getComputedStyle(each).transitionDuration)"
    assert {"0s"} == set(page.find("a, button, .segments span").evaluate_all(script))
    moving = open_page(busy.url, reduced_motion="no-preference")
    moving.find("#archives a").first.wait_for()
    assert {"0s"} != set(moving.find("a, button, .segments span").evaluate_all(script))


def test_the_dark_is_dark(busy: Site, open_page: Open) -> None:
    """The page is light or dark as the system is, the charts' lines too."""
    script = "getComputedStyle(document.documentElement).getPropertyValue('--line-0').trim()"
    seen = set()
    for scheme in ("light", "dark"):
        page = open_page(f"{busy.url}archive/daily/", color_scheme=scheme)
        page.drawn(2)
        seen.add(
            (page.page.evaluate(script), page.find("html").evaluate("html => getComputedStyle(html).backgroundColor"))
        )
    assert 4 == len({value for pair in seen for value in pair})
