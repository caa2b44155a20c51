"""Archives are created, changed and deleted from the page, where a write token was given or can be."""

from pathlib import Path
from typing import Any

from tally.engine import Archive
from tests.browser.conftest import Open
from tests.browser.site import Watched, recent, served
from tests.processes import wait_for

# A browser gives a password once it was asked for one, so reading is guarded too.
GUARDED: dict[str, Any] = {"TALLY_READ_TOKEN": "r", "TALLY_WRITE_TOKEN": "w"}
ALLOWED = {"http_credentials": {"username": "any", "password": "w"}}


def create(page: Watched, **fields: str) -> None:
    """Fill the form for a new archive, and send it."""
    page.page.get_by_role("button", name="New archive").first.click()
    for label, value in fields.items():
        page.find(f"#editor [name={label}]").fill(value)
    page.find("#editor-save").click()


def test_an_archives_life(tmp_path: Path, open_page: Open) -> None:
    """With a write token an archive is made, shown, changed and deleted, and each is so in its file."""
    with served(tmp_path, empty=True, **GUARDED) as site:
        page = open_page(site.url, **ALLOWED)
        page.wait(lambda: page.find("#state").is_visible(), "no archives")
        create(page, slug="jobs", pattern="jobs.*", resolution="30", retention="48")
        page.wait(lambda: page.page.url.endswith("/archive/jobs/"), "the archive's page")
        made = site.archives["jobs"].definition()
        assert ("jobs", "jobs.*", 30, 48) == (made.name, made.pattern, made.resolution, made.retention)

        page.page.get_by_role("button", name="Edit").click()
        assert page.find("#editor [name=slug]").is_disabled()
        page.find("#editor [name=name]").fill("All jobs")
        page.find("#editor [name=retention]").fill("72")
        page.find("#editor-save").click()
        page.wait(lambda: page.text("#title") == "All jobs", "the new name")
        edited = site.archives["jobs"].definition()
        assert ("All jobs", 72, 30) == (edited.name, edited.retention, edited.resolution)

        page.page.get_by_role("button", name="Delete").first.click()
        page.find("#deletion [name=confirm]").fill("job")
        page.find("#deletion [type=submit]").click()
        assert "Type jobs to delete it." == page.text("#deletion [role=alert]")
        assert ["jobs"] == site.archives.slugs()
        page.find("#deletion [name=confirm]").fill("jobs")
        page.find("#deletion [type=submit]").click()
        page.wait(lambda: page.page.url == f"{site.url}archive/", "all archives")
        assert [] == site.archives.slugs()


def test_what_the_server_refuses_is_told_in_the_form(tmp_path: Path, open_page: Open) -> None:
    """The API's own words stand in the form, which keeps what was typed."""
    with served(tmp_path, **GUARDED) as site:
        page = open_page(site.url, **ALLOWED)
        page.allow("409")
        page.drawn(0)
        create(page, slug="daily")
        page.wait(lambda: "daily" in page.text("#editor [role=alert]"), "the problem")
        assert "daily" == page.find("#editor [name=slug]").input_value()
        page.page.keyboard.press("Escape")
        assert page.find("#editor").is_hidden()


def test_a_token_is_asked_for(tmp_path: Path, open_page: Open) -> None:
    """Who gave none is asked for one; a wrong one is told, and the right one is kept for the next change."""
    with served(tmp_path, empty=True, TALLY_WRITE_TOKEN="w") as site:
        page = open_page(site.url)
        page.allow("401")
        create(page, slug="jobs", token="wrong")
        page.wait(lambda: "write token" in page.text("#editor [role=alert]"), "the problem")
        page.find("#editor [name=token]").fill("w")
        page.find("#editor-save").click()
        wait_for(lambda: ["jobs"] == site.archives.slugs(), "the archive")
        page.page.get_by_role("button", name="Edit").click()
        assert "w" == page.find("#editor [name=token]").input_value()


def test_without_a_write_token_nothing_is_offered(tmp_path: Path, open_page: Open) -> None:
    """Where the API is read-only the page has no button that would change anything."""
    with served(tmp_path) as site:
        site.archives.record(recent())
        page = open_page(f"{site.url}archive/daily/")
        page.drawn(2)
        for name in ("New archive", "Edit", "Delete"):
            assert 0 == page.page.get_by_role("button", name=name).count()


def test_what_changed_elsewhere_stays(tmp_path: Path, open_page: Open) -> None:
    """Saving sends what was changed in the form, and leaves alone what was changed elsewhere meanwhile."""
    with served(tmp_path, **GUARDED) as site:
        page = open_page(f"{site.url}archive/daily/", **ALLOWED)
        page.page.get_by_role("button", name="Edit").click()
        page.find("#editor [name=description]").fill("new")
        Archive(tmp_path / "daily.db").edit(retention=99)
        page.find("#editor-save").click()
        page.wait(lambda: page.text("#description") == "new", "the description")
        assert 99 == site.archives["daily"].definition().retention
