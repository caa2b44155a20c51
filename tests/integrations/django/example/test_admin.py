"""The admin in a real browser: creating, changing and deleting an archive."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.browser.conftest import CHROMIUM, OPTIONS, missing
from tests.integrations.django.example.shop import PASSWORD, STAFF, Shop, Visitor
from tests.processes import wait_for

pytest.importorskip("playwright.sync_api") if os.environ.get("CI") != "true" else None
from playwright.sync_api import Page, sync_playwright  # noqa: E402

LIMIT_MS = 20_000
LIST = "/_tally/admin/tally/archive/"


class Admin:
    """A user of the admin."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url

    def open(self, path: str) -> None:
        """Go to a page."""
        answer = self.page.goto(self._url + path)
        assert answer is not None
        assert answer.ok, answer.status

    def fill(self, **values: str) -> None:
        """Fill in fields of a form."""
        for name, value in values.items():
            self.page.locator(f"[name={name}]").fill(value)

    def press(self, name: str) -> None:
        """Press a button and wait for the next page."""
        self.page.get_by_role("button", name=name, exact=True).click()
        self.page.wait_for_load_state()

    def text(self, selector: str) -> str:
        """Return the text of one part of the page."""
        return " ".join(self.page.locator(selector).inner_text().split())

    def row(self) -> dict[str, str]:
        """Return the list's row of the only archive, by column."""
        self.open(LIST)
        cells = self.page.locator("#result_list tbody tr").locator("th, td:not(.action-checkbox)").all()
        classes = [str(cell.get_attribute("class")).removeprefix("field-").split()[0] for cell in cells]
        return dict(zip(classes, (cell.inner_text().strip() for cell in cells), strict=True))


def in_a_browser(url: str, do: Callable[[Admin], None]) -> None:
    """Run a function with a browser in a new thread, which may have its own event loop."""
    if CHROMIUM is None:
        missing("there is no Chromium: install the package chromium-headless-shell")

    def run() -> None:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
            page = browser.new_page()
            page.set_default_timeout(LIMIT_MS)
            do(Admin(page, url))
            browser.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


def live(admin: Admin, *, shop: Shop, visitor: Visitor) -> None:
    """Log in, then create, view, change and delete an archive."""
    admin.open("/_tally/admin/")
    admin.fill(username=STAFF, password=PASSWORD)
    admin.press("Log in")
    _add(admin, shop)
    _collect(admin, shop, visitor)
    _change(admin, shop)
    _delete(admin, shop)


def _add(admin: Admin, shop: Shop) -> None:
    admin.open(f"{LIST}add/")
    admin.fill(slug="Daily", pattern="requests.*", resolution="0", retention="24")
    admin.page.evaluate("document.querySelector('form#archive_form').noValidate = true")
    admin.press("Save")
    assert "use 1 to 64 of a-z" in admin.text(".field-slug .errorlist")
    assert "use a whole number from 1 to" in admin.text(".field-resolution .errorlist")
    assert [] == shop.archives.slugs()
    admin.fill(slug="daily", resolution="10")
    admin.press("Save")
    assert "added successfully" in admin.text(".messagelist")
    assert ["daily"] == shop.archives.slugs()


def _collect(admin: Admin, shop: Shop, visitor: Visitor) -> None:
    # The collector finds the archive at its next flush; what comes before that has nowhere to go.
    wait_for(lambda: visitor.get("/") and shop.archives["daily"].names(), "a sample in the new archive")
    row = admin.row()
    assert ("daily", "requests.*", "10", "24") == (row["slug"], row["pattern"], row["resolution"], row["retention"])
    assert 1 <= int(row["points"])
    assert "KB" in row["size"]
    assert "-" not in (row["first"], row["last"])


def _change(admin: Admin, shop: Shop) -> None:
    admin.page.get_by_role("link", name="daily").click()
    admin.fill(resolution="15")
    admin.press("Save")
    assert "15" in admin.text(".field-resolution .errorlist")
    assert 10 == shop.archives["daily"].definition().resolution
    admin.fill(resolution="60", description="every minute")
    admin.press("Save")
    changed = shop.archives["daily"].definition()
    assert (60, "every minute") == (changed.resolution, changed.description)


def _delete(admin: Admin, shop: Shop) -> None:
    admin.page.get_by_role("link", name="daily").first.click()
    admin.page.locator("a.deletelink").click()
    asked = admin.text("#content")
    assert f"in the file {shop.archives['daily'].path}" in asked
    assert "points from" in asked
    assert ["daily"] == shop.archives.slugs()
    admin.press("Yes, I’m sure")
    assert [] == shop.archives.slugs()


def test_an_archives_life_in_the_admin(shop: Shop) -> None:
    """An archive is created after errors, collects, is made coarser, and is deleted after a warning."""
    with shop.collecting(), shop.served("gunicorn") as url:
        in_a_browser(url, partial(live, shop=shop, visitor=Visitor(url)))
