"""Saved views: named, listed for everybody, followed and deleted."""

from pathlib import Path

from tests.browser.conftest import Open
from tests.browser.site import recent, served
from tests.browser.test_access import violations


def test_a_view_is_saved_listed_followed_and_deleted(tmp_path: Path, open_page: Open) -> None:
    """The page as it is gets a name; its link shows the same page, also to another browser."""
    with served(tmp_path, TALLY_WRITE_TOKEN="w") as site:
        site.archives.record(recent())
        page = open_page(f"{site.url}archive/daily/?show=max&top=3&shape=bars", bypass_csp=True)
        page.drawn()
        assert page.find("#views").is_hidden()
        page.page.get_by_role("button", name="Save this view").click()
        page.find("#silencing [name=name]").fill("The <i>slowest</i>")
        page.find("#silencing [name=token]").fill("w")
        assert [] == violations(page)
        page.find("#silencing-do").click()
        page.page.get_by_role("link", name="The <i>slowest</i>").wait_for()
        assert [] == violations(page)
        other = open_page(site.url)
        other.page.get_by_role("link", name="The <i>slowest</i>").click()
        other.wait(lambda: other.page.url == page.page.url, "the same page")
        other.drawn()
        page.page.get_by_role("button", name="Delete the view The <i>slowest</i>").click()
        page.find("#silencing-do").click()
        page.wait(lambda: page.find("#views").is_hidden(), "the list without it")
        assert [] == site.ask("views/")
