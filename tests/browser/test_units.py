"""Values are written with the units of their names."""

import time

from tests.browser.conftest import Open
from tests.browser.site import Site


def test_values_have_units(site: Site, open_page: Open) -> None:
    """Axes, lines, the table and the heatmap have the unit; without one, and for counts, numbers stand alone."""
    now = int(time.time())
    samples = [("requests.index", 0.25, now - ago) for ago in range(20, 600, 10)]
    samples += [
        (name, value, now - ago) for name, value in (("disk", 2.5e6), ("other", 3.0)) for ago in range(20, 600, 10)
    ]
    site.archives.create("daily", percentiles=1).record(samples)
    (site.archives.directory / "units.toml").write_text('"requests.*" = "s"\n[daily]\n"disk" = "bytes"\n')
    page = open_page(f"{site.url}archive/daily/?show=avg,sum,count,distribution&rate=1&q=requests.*&since=-15min")
    page.drawn(4)
    read = page.find(".legend data").all_inner_texts()
    assert ["250\u00a0ms", "0.0500\u00a0s/s", "0.200/s"] == [text.replace("\n", "") for text in read[:3]]
    assert "ms – " in read[3]
    page.page.goto(f"{site.url}archive/daily/?show=avg&since=-15min")
    page.wait(lambda: len(page.table()) == 3, "the names")
    cells = dict(zip(page.find("#leaders-body th").all_inner_texts(), page.find("#leaders-body tr").all(), strict=True))
    written = {name: row.locator("td").all_inner_texts()[1:4] for name, row in cells.items()}
    assert {"requests.index": "250\u00a0ms", "disk": "2.5 MB", "other": "3.0"} == {
        name: values[2] for name, values in written.items()
    }
    assert {"58"} == {values[0] for values in written.values()}
    (site.archives.directory / "units.toml").write_text("not valid")
    page.allow("503")
    page.wait(lambda: "250" not in page.text("#leaders-body"), "the page without units")
    assert page.find("#zone-turn").is_hidden()  # There is no other zone than UTC.
    page.wait(lambda: "units.toml" in page.find("#faults").inner_text(), "what is wrong with the file")
