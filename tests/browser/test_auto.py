"""Auto: the archive that fits the range, which changes as one zooms."""

import time

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site, Watched

DAY_S = 86_400


@pytest.fixture
def year(site: Site) -> Site:
    """Return a site whose archives have a sample in each hour of a year, and in the last day one every ten seconds."""
    now = int(time.time())
    for slug, resolution, retention in (("yearly", 3600, 8760), ("weekly", 300, 168), ("daily", 10, 24)):
        site.archives.create(slug, resolution=resolution, retention=retention)
    hours = [("requests.get.index", 1.0, now - seconds) for seconds in range(0, 365 * DAY_S, 3600)]
    site.archives.record([*hours, *(("requests.get.index", 2.0, now - seconds) for seconds in range(-3600, DAY_S, 10))])
    return site


def zoom(page: Watched, part: float) -> None:
    """Drag over the last part of a chart."""
    before = page.query()
    box = page.find(".u-over").first.bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + box["width"] * (1 - part), box["y"] + 50)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 60, steps=5)
    page.page.mouse.up()
    page.wait(lambda: page.query() != before, "the zoom")


def shows(page: Watched, slug: str) -> None:
    """Wait until the page says that it shows an archive, and its charts do."""
    page.wait(lambda: page.text("#facts").startswith(f"{slug} · "), f"{slug} below the title")
    page.wait(
        lambda: (page.find(".panel").first.get_attribute("aria-label") or "").startswith(slug), f"its charts: {slug}"
    )


def test_zooming_from_a_year_to_a_minute_changes_the_archive(year: Site, open_page: Open) -> None:
    """Each range is shown by the finest archive that keeps it; nobody chooses an archive."""
    page = open_page(year.url)
    page.drawn(2)
    assert ("Auto", "Auto") == (page.text("#title"), page.text("#archives [aria-current] .name"))
    shows(page, "daily")
    page.pressed("1 y")
    # A chart of a year ends with the last bucket, which begins up to half a day ago.
    for archive, part in (("yearly", 0.015), ("weekly", 0.05), ("daily", 0.1), ("daily", 0.025)):
        shows(page, archive)
        page.find(".u-over").first.scroll_into_view_if_needed()
        zoom(page, part)
    shows(page, "daily")
    page.wait(lambda: any("step=10" in each for each in page.asked[-4:]), "buckets of 10 s")
    while page.find("#back").is_enabled():
        before = page.page.url
        page.find("#back").click()
        page.wait(lambda before=before: page.page.url != before, "a step back")  # type: ignore[misc]
    shows(page, "daily")


def test_a_pattern_may_choose_another_archive(year: Site, open_page: Open) -> None:
    """An archive without a matching name is passed over."""
    year.archives["yearly"].record([("rare", 1.0, int(time.time()))])
    page = open_page(f"{year.url}?q=rare")
    shows(page, "yearly")
    page.page.goto(f"{year.url}?q=requests.*")
    shows(page, "daily")


def test_all_archives_have_a_page_of_their_own(year: Site, open_page: Open) -> None:
    """The list leads from Auto to the overview, and back."""
    page = open_page(year.url)
    page.drawn(2)
    page.page.get_by_role("link", name="All archives").first.click()
    page.wait(lambda: page.page.url == f"{year.url}archive/", "the overview")
    page.drawn(6)
    page.page.reload()
    page.drawn(6)
    page.page.get_by_role("link", name="Auto").first.click()
    page.wait(lambda: page.page.url == year.url, "the first page")
    shows(page, "daily")


def test_no_archive_is_enabled(year: Site, open_page: Open) -> None:
    """The page says so, and still lists the archives."""
    for archive in year.archives.archives():
        archive.edit(enabled=False)
    page = open_page(year.url)
    page.wait(lambda: "No archive is enabled" in page.text("#state h2"), "the state")
    page.page.wait_for_load_state("networkidle")  # Nothing is asked that cannot be answered.
    assert 5 == page.find("#archives a").count()
