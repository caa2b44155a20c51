"""The admin's pages: what they show, and how they change files."""

import re
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.template.defaultfilters import filesizeformat
from django.test import Client

from tally.engine import Event
from tally.integrations.django.models import Archive
from tests.api.cases import NOT_A_DATABASE
from tests.integrations.django.conftest import Site

LIST = "/admin/tally/archive/"
DAILY = {"slug": "daily", "pattern": "*", "resolution": "10", "retention": "0", "enabled": "on", "percentiles": "0"}
SAMPLES = [("requests.get.index", 0.25, 1700000001), ("requests.get.about", 1, 1700000012)]


def read(client: Client, path: str) -> str:
    """Return the text of a page."""
    return text(client.get(path).content)


def text(content: bytes) -> str:
    """Return the visible text of a page in one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", content.decode())).split())


def size_of(site: Site, slug: str) -> str:
    """Return the size of an archive as the pages show it."""
    return " ".join(filesizeformat(site.archives[slug].summary().bytes).split())


def page_of(slug: str, what: str = "change") -> str:
    """Return the path of an archive's page."""
    return f"{LIST}{Archive.objects.get(slug=slug).pk}/{what}/"


def test_the_list_shows_archives_made_elsewhere(site: Site, staff: Client) -> None:
    """The list shows the definition and the content of every file, including empty archives."""
    site.archives.create("daily", pattern="requests.*", resolution=10, retention=0).record(SAMPLES)
    site.archives.create("empty", resolution=300, enabled=False)
    shown = read(staff, LIST)
    moments = "11/14/2023 10:13 p.m. 11/14/2023 10:13 p.m."
    assert f"daily requests.* 10 0 2 {size_of(site, 'daily')} {moments}" in shown
    assert f"empty * 300 24 0 {size_of(site, 'empty')} - -" in shown
    site.archives.delete("daily")
    assert "daily" not in read(staff, LIST)


def test_the_list_reports_unreadable_files(site: Site, staff: Client) -> None:
    """A broken file is reported by a message on the page."""
    Archive.objects.create(slug="daily")
    (site.archives.directory / "daily.db").write_bytes(NOT_A_DATABASE)
    shown = read(staff, LIST)
    assert "daily.db: is not a tally archive" in shown
    assert "daily * 5 24 cannot be read - - -" in shown


def test_an_archives_life(site: Site, staff: Client) -> None:
    """The pages create, change and delete the file, and record this in the history."""
    assert 302 == staff.post(f"{LIST}add/", DAILY).status_code
    site.archives["daily"].record(SAMPLES)
    assert 302 == staff.post(page_of("daily"), {**DAILY, "resolution": "20", "name": "Each day"}).status_code
    changed = site.archives["daily"].definition()
    assert (20, "Each day") == (changed.resolution, changed.name)
    assert 302 == staff.post(page_of("daily", "delete"), {"post": "yes"}).status_code
    assert ([], 0) == (site.archives.slugs(), Archive.objects.count())
    assert [3, 2, 1] == list(LogEntry.objects.values_list("action_flag", flat=True))


def test_the_slug_is_read_only(site: Site, staff: Client) -> None:
    """The form of an existing archive cannot change the slug."""
    Archive.objects.create(slug="daily")
    staff.post(page_of("daily"), {**DAILY, "slug": "other", "resolution": "5"})
    assert ["daily"] == site.archives.slugs()
    assert 0 == site.archives["daily"].definition().retention


def test_errors_stand_in_the_form(site: Site, staff: Client) -> None:
    """An invalid form shows the entered values and the errors."""
    response = staff.post(f"{LIST}add/", {**DAILY, "resolution": "0", "name": "Each day"})
    assert 200 == response.status_code
    assert "resolution 0 is not valid: use a whole number from 1" in text(response.content)
    assert b'value="Each day"' in response.content
    assert ([], 0) == (site.archives.slugs(), LogEntry.objects.count())


def test_the_form_shows_the_file_as_it_is(site: Site, staff: Client) -> None:
    """The form shows changes that were made elsewhere."""
    Archive.objects.create(slug="daily")
    site.archives["daily"].edit(description="from elsewhere")
    assert b'value="from elsewhere"' in staff.get(page_of("daily")).content


def test_an_archive_links_to_its_dashboard(site: Site, staff: Client) -> None:
    """The form links to the dashboard if tally's URLs are included."""
    Archive.objects.create(slug="daily")
    link = b'href="/_tally/archive/daily/"'
    assert link in staff.get(page_of("daily")).content
    site.set(ROOT_URLCONF="tests.integrations.django.only_admin")
    response = staff.get(page_of("daily"))
    assert (200, False) == (response.status_code, b"archive/daily" in response.content)


def test_a_deletion_says_what_will_be_lost(site: Site, staff: Client) -> None:
    """The confirmation page shows points, range, size and file of each archive."""
    Archive.objects.create(slug="daily", resolution=10, retention=0).file.record(SAMPLES)
    Archive.objects.create(slug="empty")
    lost = (
        "daily: 2 points from Nov. 14, 2023, 10:13 p.m. to Nov. 14, 2023, 10:13 p.m., "
        f"{size_of(site, 'daily')}, in the file {site.archives['daily'].path}"
    )
    assert lost in read(staff, page_of("daily", "delete"))
    chosen = list(Archive.objects.values_list("pk", flat=True))
    asked = text(staff.post(LIST, {"action": "delete_selected", "_selected_action": chosen}).content)
    assert lost in asked
    assert f"empty: 0 points, {size_of(site, 'empty')}, in the file" in asked
    assert ["daily", "empty"] == site.archives.slugs()


def test_a_file_that_cannot_be_deleted_is_told(site: Site, staff: Client) -> None:
    """If the file cannot be deleted, the row and the history stay unchanged."""
    Archive.objects.create(slug="daily")
    (site.archives.directory / "daily.db").write_bytes(NOT_A_DATABASE)
    assert "a file that cannot be read" in read(staff, page_of("daily", "delete"))
    response = staff.post(page_of("daily", "delete"), {"post": "yes"}, follow=True)
    assert "daily.db: is not a tally archive" in text(response.content)
    assert (1, 0) == (Archive.objects.count(), LogEntry.objects.count())


def test_several_are_deleted_one_by_one(site: Site, staff: Client) -> None:
    """An archive that cannot be deleted is reported; the others are deleted and recorded."""
    chosen = [Archive.objects.create(slug=slug).pk for slug in ("a", "b", "c")]
    (site.archives.directory / "b.db").write_bytes(NOT_A_DATABASE)
    sent = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    shown = text(staff.post(LIST, sent, follow=True).content)
    assert "Archive a was deleted." in shown
    assert "Archive c was deleted." in shown
    assert "b.db: is not a tally archive" in shown
    assert ["b"] == site.archives.slugs() == list(Archive.objects.values_list("slug", flat=True))
    assert {"a", "c"} == set(LogEntry.objects.values_list("object_repr", flat=True))


@pytest.mark.usefixtures("database")
def test_who_may_not_delete_does_not(site: Site) -> None:
    """Django's permissions are checked before files are changed."""
    row = Archive.objects.create(slug="daily")
    client = Client()
    client.force_login(User.objects.create_user("reader", is_staff=True))
    assert 403 == client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code
    client.post(LIST, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert ["daily"] == site.archives.slugs()


def test_events_are_listed(site: Site, staff: Client) -> None:
    """A page beside the archives lists the events, the newest first, and leads nowhere else."""
    assert "Events" in read(staff, LIST)
    assert "There are no events" in read(staff, f"{LIST}events/")
    site.archives.prepare()
    site.archives.events.add(Event("first", "a <b>", ("x", "y"), 1700000001, 1700000061), now=0)
    site.archives.events.add(Event("second", since=1700000100), now=0)
    moments = "11/14/2023 10:13 p.m. 11/14/2023 10:14 p.m."
    assert f"11/14/2023 10:15 p.m. - second {moments} first x y a <b>" in read(staff, f"{LIST}events/")


def test_an_unusable_file_of_events_is_reported(site: Site, staff: Client) -> None:
    """A foreign file is reported by a message on the page."""
    site.archives.prepare()
    (site.archives.directory / "events.db").write_bytes(NOT_A_DATABASE)
    assert "move the file away" in read(staff, f"{LIST}events/")


def test_events_need_permission(site: Site, staff: Client) -> None:
    """Only staff who may view archives see them."""
    User.objects.create_user("other", password="secret", is_staff=True)
    staff.login(username="other", password="secret")
    assert 403 == staff.get(f"{LIST}events/").status_code
    assert [] == site.archives.slugs()
