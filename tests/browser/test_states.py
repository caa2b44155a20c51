"""What stands in the place of charts when there is nothing to draw, and what is said when something is wrong."""

import shlex
import signal
import subprocess
import sys
from pathlib import Path

from tally.engine import Catalog
from tests.api.server import serving
from tests.browser.conftest import Open
from tests.browser.site import Site, Watched, recent, served
from tests.processes import free_ports, started

GONE = "Failed to load resource: net::ERR_"


def run(line: str, directory: Path) -> None:
    """Run a line that the page shows, as a shell would."""
    program, *arguments = shlex.split(line)
    assert "tally" == program
    environment = {"TALLY_DATA_DIR": str(directory), "PATH": ""}
    subprocess.run([sys.executable, "-m", "tally", *arguments], env=environment, check=True, capture_output=True)


def state(page: Watched, title: str) -> None:
    """Wait for a state."""
    page.wait(lambda: page.find("#state").is_visible() and title in page.text("#state h2"), title)
    assert 0 == page.find(".panel canvas").count()


def test_from_no_archives_to_a_chart(site: Site, open_page: Open) -> None:
    """Where there is nothing yet, each state shows the line that leads to the next, and the line does."""
    page = open_page(site.url)
    state(page, "No archives yet")
    run(page.text("#state code"), site.archives.directory)
    page.page.reload()
    state(page, "No data yet")
    page.page.get_by_role("link", name="All archives").first.click()
    page.find(".card .copyable").wait_for()
    page.page.get_by_role("link", name="daily").first.click()
    state(page, "No data yet")
    line = page.text("#state code")
    run(line, site.archives.directory)
    page.drawn(2)
    assert page.find("#state").is_hidden()
    assert [("requests.get.index", [1.0, 0.25, 0.25, 0.25, 0.25])] == page.table()


def test_a_line_can_be_copied(site: Site, open_page: Open) -> None:
    """The button puts the line where it can be pasted from, and says that it did."""
    page = open_page(site.url, permissions=["clipboard-read", "clipboard-write"])
    state(page, "No archives yet")
    page.find(".copyable button").click()
    page.wait(lambda: page.text("#announcer") == "Copied", "the copy")
    assert page.text("#state code") == page.page.evaluate("navigator.clipboard.readText()")


def test_the_line_is_one_that_the_archive_takes(site: Site, open_page: Open) -> None:
    """The sample that an empty archive asks for has a name that fits its pattern."""
    site.archives.create("jobs", pattern="jobs.[abc]?.*")
    page = open_page(f"{site.url}archive/jobs/")
    state(page, "No data yet")
    run(page.text("#state code"), site.archives.directory)
    site.stored("jobs", 1)
    assert ["jobs.aa.example"] == site.archives["jobs"].names()


def test_nothing_matches(site: Site, open_page: Open) -> None:
    """A pattern without names, or a range without data, says so and leads back to where there is some."""
    site.archives.create("daily", resolution=10)
    site.archives.record(recent())
    page = open_page(f"{site.url}archive/daily/?q=nothing.*&since=-15min")
    state(page, "Nothing matches")
    assert "nothing.*" in page.text("#state p")
    page.page.get_by_role("link", name="Show all names").click()
    page.drawn(2)
    assert "since=-15min" == page.query()


def test_a_range_of_which_nothing_is_kept(site: Site, open_page: Open) -> None:
    """A link to what has expired says which range it is that is empty."""
    site.archives.create("daily", resolution=10)
    site.archives.record(recent())
    page = open_page(f"{site.url}archive/daily/?since=1700000000&until=1700009000")
    state(page, "No data in this range")
    assert "2023-11-14 22:13 – 2023-11-15 00:43" == page.text("#custom-label")


def test_an_archive_that_is_deleted_while_shown(site: Site, open_page: Open) -> None:
    """Its page says so within a few seconds, and shows it again should it come back."""
    site.archives.create("daily", resolution=10)
    site.archives.record(recent())
    page = open_page(f"{site.url}archive/daily/")
    page.drawn(2)
    page.allow("404")  # What was asked just before the page learnt of it.
    site.archives.delete("daily")
    state(page, "daily was deleted")
    site.archives.create("daily", resolution=10)
    site.archives.record(recent())
    page.drawn(2)


def test_an_archive_that_never_was(site: Site, open_page: Open) -> None:
    """Its page leads to those that there are."""
    site.archives.create("daily")
    page = open_page(f"{site.url}archive/hourly/")
    page.allow("404")
    state(page, "There is no archive hourly")
    page.page.get_by_role("link", name="Show all archives").click()
    page.page.get_by_role("heading", name="daily").wait_for()


def test_a_file_that_is_no_archive(site: Site, open_page: Open) -> None:
    """It stands in the list, its page says why it cannot be read, and the others are shown."""
    site.archives.create("daily")
    (site.archives.directory / "broken.db").write_bytes(b"this is no database" * 100)
    page = open_page(f"{site.url}archive/broken/")
    state(page, "broken cannot be read")
    assert "broken: is not a tally archive" in page.text("#state p")
    assert 4 == page.find("#archives a").count()


def test_the_server_goes_and_comes_back(tmp_path: Path, open_page: Open) -> None:
    """While it is gone the page says so and keeps what it shows; when it is back the page goes on by itself."""
    port, udp_port = free_ports(2)
    settings = {"TALLY_HTTP_PORT": port, "TALLY_PORT": udp_port}
    with started(tmp_path, "serve", **settings) as running:
        first = Site(running, tmp_path, udp_port)
        first.archives.record(recent())
        page = open_page(f"{first.url}archive/daily/")
        page.allow(GONE)
        page.drawn(2)
        running.end(signal.SIGTERM)
        page.wait(lambda: "does not answer" in page.text("#trouble"), "the notice")
        page.drawn(2)
    with started(tmp_path, "serve", **settings) as again:
        Site(again, tmp_path, udp_port).send("back 1")
        page.wait(lambda: page.find("#trouble").is_hidden(), "the end of the notice")
        page.wait(lambda: "back" in dict(page.table()), "the new sample")


def test_losses_are_told(tmp_path: Path, open_page: Open) -> None:
    """Lines that are refused and samples that come too late stand above the charts, with the reason and how many."""
    with served(tmp_path) as site:
        page = open_page(f"{site.url}archive/daily/")
        state(page, "No data yet")
        assert page.find("#losses").is_hidden()
        site.send("good 1", "bad one", "bad two", "old 1 1000000000")
        page.wait(lambda: "for daily" in page.find("#losses").inner_text(), "the warning")
        told = page.text("#losses")
    assert "Samples were lost in the last 5 min" in told
    assert "2 lines: the value is no number" in told
    assert "1 sample for daily: older than it keeps" in told


def test_a_damaged_archive_is_told(tmp_path: Path, open_page: Open) -> None:
    """Once a question has found the damage it stands above the charts of every page, and goes when it is restored."""
    with served(tmp_path) as site:
        site.archives.record(recent(100))
        site.archives["daily"].backup(tmp_path / "copy")
        path = tmp_path / "daily.db"
        path.write_bytes(path.read_bytes()[: 4096 * 3] + b"\xff" * (path.stat().st_size - 4096 * 3))
        page = open_page(f"{site.url}archive/daily/")
        page.allow("500")
        page.wait(lambda: "daily is damaged" in page.find("#faults").inner_text(), "the notice")
        other = open_page(f"{site.url}archive/weekly/")
        other.wait(lambda: "daily is damaged" in other.find("#faults").inner_text(), "the notice")
        assert str(tmp_path) not in other.text("#faults")
        site.archives.restore(tmp_path / "copy", "daily", replace=True)
        page.drawn(2)
        page.wait(lambda: page.find("#faults").is_hidden(), "the end of the notice")


def test_no_collector_is_told(tmp_path: Path, open_page: Open) -> None:
    """When samples would be sent to nobody the page says so, and shows what there is all the same."""
    catalog = Catalog(tmp_path)
    catalog.create("daily", resolution=10)
    catalog.record(recent())
    with serving(tmp_path) as server:
        page = open_page(f"{server.url}/archive/daily/")
        page.drawn(2)
        page.wait(lambda: "no collector is at work" in page.find("#faults").inner_text(), "the notice")


def test_without_uplot_the_page_says_what_is_missing(site: Site, open_page: Open) -> None:
    """Where uPlot was not put in place, the rest of the page works."""
    site.archives.create("daily", resolution=10)
    site.archives.record(recent())
    page = open_page("about:blank", base_url=site.url)
    page.allow("404")
    page.page.route("**/uPlot.*", lambda route: route.fulfill(status=404))
    page.host = site.url.split("/")[2]
    page.page.goto(f"{site.url}archive/daily/")
    page.wait(lambda: "no charts" in page.text("#state h2"), "the state")
    assert "Node" in page.text("#state p")
    page.wait(lambda: len(page.table()) == 3, "the names")
