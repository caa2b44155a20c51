"""Percentiles on the dashboard: they are offered where an archive keeps them, and the form sets their accuracy."""

from pathlib import Path

from tests.browser.conftest import Open
from tests.browser.site import recent, served


def test_percentiles_are_offered_where_they_are_kept(tmp_path: Path, open_page: Open) -> None:
    """A chosen percentile has a line, a column and a place in the address; another archive does not offer it."""
    with served(tmp_path, empty=True) as site:
        site.archives.create("plain", resolution=10)
        site.archives.create("exact", resolution=10, percentiles=1)
        site.archives.record(recent())
        page = open_page(f"{site.url}archive/exact/?since=-50min")
        page.drawn(2)
        page.find("#aggregates label").filter(has_text="p95").click()
        page.wait(lambda: page.find('.panel[aria-label$=": avg, p95"]').count(), "the line of p95")
        assert "show=avg,count,p95" in page.query()
        page.find("#leaders-head a").filter(has_text="p95").click()
        page.wait(lambda: page.find('th[aria-sort="descending"][data-key=p95]').count(), "the order by p95")
        assert "sort=p95" in page.query()
        answer = site.ask("aggregate/exact/byname/", percentiles="95")
        assert {name: cell["p95"] for name, cell in answer.items()} == {name: row[5] for name, row in page.table()}

        page = open_page(f"{site.url}archive/plain/?since=-50min&show=p95&sort=p95")
        page.drawn(2)
        assert page.find("#aggregates [value=p95]").is_hidden()
        assert 3 == len(page.table())


def test_the_form_sets_the_accuracy(tmp_path: Path, open_page: Open) -> None:
    """An archive is made with an accuracy; later only coarser ones and none can be chosen."""
    with served(tmp_path, empty=True, TALLY_READ_TOKEN="r", TALLY_WRITE_TOKEN="w") as site:
        page = open_page(site.url, http_credentials={"username": "any", "password": "w"})
        page.page.get_by_role("button", name="New archive").first.click()
        page.find("#editor [name=slug]").fill("jobs")
        page.find("#editor [name=percentiles]").select_option("2")
        page.find("#editor-save").click()
        page.wait(lambda: page.page.url.endswith("/archive/jobs/"), "the archive's page")
        assert 2 == site.archives["jobs"].definition().percentiles
        page.page.get_by_role("button", name="Edit").click()
        offered = page.find("#editor [name=percentiles] option:not([disabled])")
        assert ["0", "2", "4", "8"] == offered.evaluate_all("all => all.map(each => each.value)")
        page.find("#editor [name=percentiles]").select_option("8")
        page.find("#editor-save").click()
        page.wait(lambda: site.archives["jobs"].definition().percentiles == 8, "the coarser accuracy")
