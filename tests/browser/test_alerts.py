"""Alerts: the banner of those that fire, the line at the bound, and silences."""

import time
from pathlib import Path

from tests.browser.conftest import Open
from tests.browser.site import Watched, served
from tests.browser.test_access import violations

RULE = """
[slow]
archive = "live"
q = "requests.checkout"
ask = "max"
over = "5s"
above = 2.5
delay = 0
"""
# The pixels of the colour of what is bad, in the picture of the first chart.
RED = """() => {
    const canvas = document.querySelector(".plot canvas");
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--bad").trim();
    probe.fillRect(0, 0, 1, 1);
    const wanted = probe.getImageData(0, 0, 1, 1).data;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) count += [0, 1, 2].every(each => data[at + each] === wanted[each]);
    return count;
}"""


def submit(page: Watched, **fields: str) -> None:
    """Fill the dialog, and send it."""
    for name, value in fields.items():
        page.find(f"#silencing [name={name}]").fill(value)
    page.find("#silencing-do").click()


def test_an_alert_fires_is_silenced_and_fires_again(tmp_path: Path, open_page: Open) -> None:
    """The banner says what is wrong and leads to it; a silence hides it, is shown itself, and can be ended."""
    (tmp_path / "alerts.toml").write_text(RULE)
    with served(tmp_path, empty=True, TALLY_WRITE_TOKEN="w", TALLY_FLUSH_TIME=0.5) as site:
        now = int(time.time())
        live = site.archives.create("live", resolution=1)
        live.record([("requests.checkout", 3.0, now + offset) for offset in range(-60, 300)])
        page = open_page(site.url, bypass_csp=True)
        page.wait(lambda: "slow" in page.find("#firing").inner_text(), "the alert")
        assert "slow: max is 3, above 2.5, since" in page.text("#firing")
        page.page.get_by_role("link", name="slow").click()
        page.wait(lambda: "q=requests.checkout&show=max" in page.query(), "what the alert is about")
        page.drawn()
        page.wait(lambda: page.page.evaluate(RED) > 100, "the line at the bound")
        assert [] == violations(page)
        page.page.get_by_role("button", name="Silence slow").click()
        submit(page, why="being moved", token="wrong")
        page.allow("401")
        page.wait(lambda: page.text("#silencing-problem"), "the problem")
        assert page.text("#silencing-problem") == "this is not the write token (TALLY_WRITE_TOKEN)."
        assert [] == violations(page)
        submit(page, token="w")
        page.wait(lambda: page.find("#firing").is_hidden(), "the silence")
        page.wait(lambda: "slow (firing): until" in page.find("#silenced").inner_text(), "that it is silenced")
        assert "being moved" in page.text("#silenced")
        page.page.get_by_role("button", name="End the silence of slow").click()
        submit(page, token="w")
        page.wait(lambda: page.find("#silenced").is_hidden(), "the end of the silence")
        page.wait(lambda: page.find("#firing").is_visible(), "the alert again")
