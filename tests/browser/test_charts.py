"""What is drawn: the numbers are the API's, and the controls change what is asked and shown."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import Open
from tests.browser.site import Site, recent, served
from tests.processes import wait_for

SINCE_S = 3600


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server whose daily archive holds three names' samples of the last 50 minutes; tests only look at it."""
    directory = tmp_path_factory.mktemp("full")
    with served(directory) as site:
        site.archives.record(recent())
        yield site


def chart(label: str) -> str:
    """Return the selector of a chart by its heading."""
    return f'.panel[aria-label$=": {label}"]'


def test_the_numbers_are_the_apis(full: Site, open_page: Open) -> None:
    """What a chart reads at each time is what the API answers to the question behind its link."""
    page = open_page(f"{full.url}archive/daily/?show=avg,min,max,sum,count&until={int(time.time())}&since=-50min")
    page.drawn(3)
    link = page.find(f"{chart('avg, min, max')} .files a").get_attribute("href")
    assert link is not None
    asked = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    answer = full.ask("timedata/daily/", **asked)
    page.find(f"{chart('avg, min, max')} .plot").focus()
    for key, (moment, cell) in (("Home", answer[0]), ("ArrowRight", answer[1]), ("End", answer[-1])):
        page.page.keyboard.press(key)
        assert time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment)) in page.text(f"{chart('sum')} .time")
        expected = {name: "" if cell is None else cell[name] for name in ("avg", "min", "max", "sum", "count")}
        script = "all => all.map(li => [li.querySelector('.name').innerText, li.querySelector('data').value])"
        shown = dict(page.find(".legend li").evaluate_all(script))
        assert expected == {name: value and float(value) for name, value in shown.items()}


def test_the_leaderboard_is_the_apis(full: Site, open_page: Open) -> None:
    """The table has every name with its aggregates over the range; a heading sorts, and again the other way."""
    page = open_page(f"{full.url}archive/daily/?until={int(time.time())}&since=-50min")
    link = page.find("#leaders-files a")
    link.wait_for()
    address = link.get_attribute("href")
    assert address is not None
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    answer = full.ask("aggregate/daily/byname/", **asked)
    expected = {name: [cell[each] for each in ("count", "sum", "avg", "min", "max")] for name, cell in answer.items()}
    assert expected == dict(page.table())
    names = sorted(expected, key=lambda name: -expected[name][1])
    assert names == [name for name, _ in page.table()]
    page.find(
        "#leaders-head a",
    ).filter(has_text="min").click()
    page.wait(lambda: page.find('th[aria-sort="descending"][data-key=min]').count(), "the order by min")
    page.find("#leaders-head a").filter(has_text="min").click()
    page.wait(lambda: page.find('th[aria-sort="ascending"][data-key=min]').count(), "the other order")
    assert names[::-1] == [name for name, _ in page.table()]
    assert "sort=-min" in page.query()


def test_a_name_narrows_the_pattern(full: Site, open_page: Open) -> None:
    """A click on a name of the table shows that name alone, and a step back shows all again."""
    page = open_page(f"{full.url}archive/daily/")
    page.page.get_by_role("link", name="requests.get.page1").click()
    page.wait(lambda: len(page.table()) == 1, "one name")
    assert "q=requests.get.page1" == page.query()
    assert "requests.get.page1" == page.find("#pattern").input_value()
    page.find("#back").click()
    page.wait(lambda: len(page.table()) == 3, "all names")


def test_names_have_a_line_each(full: Site, open_page: Open) -> None:
    """With the top names each has a coloured, named line, with the values of the API."""
    until = int(time.time())
    page = open_page(f"{full.url}archive/daily/?top=3&show=max&until={until}&since=-50min")
    page.drawn()
    names = page.find(".legend .name").all_inner_texts()
    assert [f"requests.get.page{n}" for n in (2, 1, 0)] == names
    inks = page.find(".legend .swatch").evaluate_all("all => all.map(each => getComputedStyle(each).borderTopColor)")
    assert 3 == len(set(inks))
    [asked] = {url for url in page.asked if "/values/daily/max/" in url}
    fields = {name: values[0] for name, values in parse_qs(urlsplit(asked).query).items()}
    assert "3" == fields["limit"]
    answer = full.ask("values/daily/max/", **fields)
    page.find(".plot").focus()
    page.page.keyboard.press("End")
    page.page.keyboard.press("ArrowLeft")
    last = str(int(fields["until"]) // 10 * 10 - 10)
    shown = page.find(".legend data").evaluate_all("all => all.map(each => each.value)")
    assert [str(answer[name].get(last, "")) for name in names] == [
        value if "." in value or not value else f"{value}.0" for value in shown
    ]


def test_all_charts_have_the_names_of_the_first(full: Site, open_page: Open) -> None:
    """Names are ranked once: the other charts ask for the names that the first one has, and list them in its order."""
    until = int(time.time())
    page = open_page(f"{full.url}archive/daily/?top=3&show=avg,count&until={until}&since=-50min")
    page.drawn(2)
    for legend in page.find(".legend").all():
        assert [f"requests.get.page{n}" for n in (2, 1, 0)] == legend.locator(".name").all_inner_texts()
    [asked] = {url for url in page.asked if "/values/daily/count/" in url}
    assert [f"requests.get.page{n}" for n in (2, 1, 0)] == parse_qs(urlsplit(asked).query)["q"]


def test_a_sparkline_ends_with_a_whole_bucket(full: Site, open_page: Open) -> None:
    """A bucket that is not over has too low a sum: a line that ends now goes without it, and any other has its end."""
    now = int(time.time())
    page = open_page(f"{full.url}archive/daily/?since=-50min")
    page.wait(lambda: page.find(".spark").count() == 3, "a line a name")
    [asked] = {url for url in page.asked if "/values/daily/sum/" in url}
    fields = {name: values[0] for name, values in parse_qs(urlsplit(asked).query).items()}
    until, step = int(fields["until"]), int(fields["step"])
    assert (0, True) == ((until + 1) % step, now - step <= until < time.time())
    page.asked.clear()
    page.page.goto(f"{full.url}archive/daily/?since=-50min&until={now}")
    page.wait(lambda: page.find(".spark").count() == 3, "a line a name")
    assert any(f"until={now // step * step + step - 1}&" in url for url in page.asked if "/values/daily/sum/" in url)


def test_a_logarithmic_axis_ends_near_its_lines(full: Site, open_page: Open) -> None:
    """Values from 3 to 3.9 are drawn between 3 and 4, and not in a part of the space from 1 to 10."""
    page = open_page(f"{full.url}archive/daily/?show=max&axis=log&since=-50min&until={int(time.time())}")
    page.allow("Canvas2D")  # It is read until it is drawn.
    page.drawn()
    script = """canvas => {
        const [r, g, b] = getComputedStyle(document.querySelector(".swatch")).borderTopColor.match(/\\d+/g).map(Number);
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let at = 0; at < data.length; at += 4) {
            if (data[at] === r && data[at + 1] === g && data[at + 2] === b) return at / data.length;
        }
        return 1;
    }"""
    page.wait(lambda: page.find(".plot canvas").evaluate(script) < 0.2, "a line near the top")


def test_rates_are_per_second(full: Site, open_page: Open) -> None:
    """Per second divides counts by the seconds of a bucket, and says so."""
    page = open_page(f"{full.url}archive/daily/?show=count&since=-50min&until={int(time.time())}")
    page.drawn()
    page.find(".plot").focus()
    page.page.keyboard.press("Home")
    page.page.keyboard.press("ArrowRight")
    page.wait(lambda: page.find(".legend data").first.get_attribute("value"), "a value")
    whole = float(page.find(".legend data").first.get_attribute("value") or "nan")
    page.pressed("per second")
    page.wait(lambda: page.text(".panel h2") == "count per second", "the rate")
    page.find(".plot").focus()
    page.page.keyboard.press("Home")
    page.page.keyboard.press("ArrowRight")
    assert whole / 10 == float(page.find(".legend data").first.get_attribute("value") or "nan")
    assert "rate=1" in page.query()


def test_a_control_is_in_the_address(full: Site, open_page: Open) -> None:
    """What is chosen stands in the address, draws something else, and is chosen where the address is opened."""
    page = open_page(f"{full.url}archive/daily/")
    for control, field in (
        ("step", "shape=step"),
        ("smooth", "shape=smooth"),
        ("bars", "shape=bars"),
        ("log axis", "axis=log"),
        ("6 h", "since=-6h"),
    ):
        page.drawn(2)
        before = page.find("canvas").first.evaluate("canvas => canvas.toDataURL()")
        page.pressed(control)
        page.wait(lambda field=field: field in page.query(), field)  # type: ignore[misc]
        page.wait(
            lambda before=before: before != page.find("canvas").first.evaluate("canvas => canvas.toDataURL()"),  # type: ignore[misc]
            "another picture",
        )
        page.page.reload()
        page.drawn(2)
        assert page.page.get_by_label(control, exact=True).is_checked()


def test_aggregates_are_switched_on_and_off(full: Site, open_page: Open) -> None:
    """Each aggregate can be shown or not, and one always is."""
    page = open_page(f"{full.url}archive/daily/?show=avg")
    page.drawn(1)
    for name in ("min", "sum"):
        page.pressed(name)
    page.drawn(2)
    assert "show=avg,min,sum" == page.query()
    for name in ("min", "sum", "avg"):
        page.pressed(name)
    page.drawn(1)
    assert page.find("#aggregates input[value=avg]").is_checked()


def test_a_drag_zooms_and_a_step_back_returns(full: Site, open_page: Open) -> None:
    """Dragging over a chart shows that part of it; a step back, and the browser's own, show what was before."""
    page = open_page(f"{full.url}archive/daily/")
    page.drawn(2)
    assert page.find("#back").is_disabled()
    box = page.find(".u-over").first.bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=5)
    page.page.mouse.up()
    page.wait(lambda: "since=" in page.query(), "the zoom")
    fields = parse_qs(page.query())
    assert SINCE_S / 4 == pytest.approx(int(fields["until"][0]) - int(fields["since"][0]), abs=20)
    page.wait(lambda: page.find("#live").get_attribute("aria-pressed") == "false", "the end of following")
    page.find("#back").click()
    page.wait(lambda: not page.query(), "the way back")
    page.page.go_forward()
    page.wait(lambda: parse_qs(page.query()) == fields, "the zoom again")


def test_the_keyboard_zooms_too(full: Site, open_page: Open) -> None:
    """Plus and minus zoom around the cursor, and Backspace is a step back."""
    page = open_page(f"{full.url}archive/daily/?since=-50min&until={int(time.time())}")
    page.drawn(2)
    before = page.query()
    page.find(".plot").first.focus()
    page.page.keyboard.press("+")
    page.wait(lambda: page.query() != before, "the zoom")
    page.page.keyboard.press("Backspace")
    page.wait(lambda: page.query() == before, "the way back")


def test_free_ends(full: Site, open_page: Open) -> None:
    """A range may be typed; what is no time is refused with what would be right, and nothing is asked."""
    page = open_page(f"{full.url}archive/daily/")
    page.drawn(2)
    page.find("#custom-label").click()
    page.find("#since").fill("yesterday")
    page.find("#custom-apply").click()
    assert "“yesterday” is no time" in page.text("#custom-problem")
    assert "" == page.query()
    page.find("#since").fill("-40min")
    page.find("#until").press("Enter")
    page.wait(lambda: page.query() == "since=-40min", "the range")
    assert "Last 40 min" == page.text("#custom-label")


def test_a_cursor_reads_all_charts(full: Site, open_page: Open) -> None:
    """Where the mouse points in one chart every chart of the page reads its lines."""
    page = open_page(f"{full.url}archive/daily/?show=avg,sum,count&until={int(time.time())}&since=-50min")
    page.drawn(3)
    page.find(".u-over").nth(1).hover(position={"x": 200, "y": 40})
    page.wait(lambda: page.find(".time.pointed").count() == 3, "all charts to read")
    times = page.find(".time").all_inner_texts()
    assert 1 == len(set(times))
    assert "last" not in times[0]


def test_no_more_points_than_pixels(full: Site, open_page: Open) -> None:
    """A day is asked for in buckets of which there are no more than the chart has pixels, and not many fewer."""
    page = open_page(f"{full.url}archive/daily/?since=-24h", viewport={"width": 700, "height": 800})
    page.drawn(2)
    width = page.find(".u-over").first.evaluate("over => over.clientWidth")
    for url in (each for each in page.asked if "/timedata/" in each):
        fields = parse_qs(urlsplit(url).query)
        points = (int(fields["until"][0]) + 1 - int(fields["since"][0])) / int(fields["step"][0])
        assert width / 3 < points <= width


def test_an_answer_that_is_known_is_not_sent_again(full: Site, open_page: Open) -> None:
    """A range that is over is sent once: whoever looks again is answered 304, and sees the same."""
    until = int(time.time()) - 600
    page = open_page(f"{full.url}archive/daily/?show=sum&since={until - 1200}&until={until}")
    page.drawn()
    page.wait(lambda: len(page.table()) == 3, "the names")
    shown = page.table()
    # To the page a 304 is the 200 that the browser has kept: what was sent is told by Chromium alone.
    wire = page.page.context.new_cdp_session(page.page)
    asked: dict[str, str] = {}
    answered: dict[str, int] = {}
    wire.on("Network.requestWillBeSent", lambda told: asked.update({told["requestId"]: told["request"]["url"]}))
    wire.on("Network.responseReceivedExtraInfo", lambda told: answered.update({told["requestId"]: told["statusCode"]}))
    wire.send("Network.enable")
    page.page.reload()
    page.drawn()
    page.wait(lambda: page.table() == shown, "the same names")
    questions = {urlsplit(url).path: answered.get(request) for request, url in asked.items() if "since=" in url}
    del questions["/archive/daily/"]
    del questions["/events/"]  # They have no ETag.
    assert {"/timedata/daily/sum/": 304, "/aggregate/daily/byname/": 304, "/values/daily/sum/": 304} == questions


def test_live(tmp_path: Path, open_page: Open) -> None:
    """A sample that comes is seen by itself; a view that stands still stays as it is."""
    with served(tmp_path, TALLY_FLUSH_TIME=0.2) as site:
        site.send("hello 1")
        site.stored("daily", 1)
        page = open_page(f"{site.url}archive/daily/?show=count")
        page.drawn()
        page.wait(lambda: [values[0] for _, values in page.table()] == [1.0], "the first sample")
        site.send("hello 1", "hello 1")
        page.wait(lambda: [values[0] for _, values in page.table()] == [3.0], "the samples")
        page.find("#live").click()
        page.wait(lambda: "until=" in page.query(), "the stop")
        page.page.go_back()
        page.wait(lambda: page.find("#live").get_attribute("aria-pressed") == "true", "following again")
        wait_for(lambda: site.ask("status/")["collectors"] == 1, "the collector")


def test_characters_that_cannot_be_seen_are_escaped(site: Site, open_page: Open) -> None:
    """Two names that differ look different, and each can be chosen."""
    plain, hidden = "requests.get.page", "requests.get\u202e.page\u200b"
    now = int(time.time())
    site.archives.create("daily", resolution=10).record([(plain, 1.0, now - 60), (hidden, 2.0, now - 60)])
    page = open_page(f"{site.url}archive/daily/?top=3&show=max")
    page.wait(lambda: len(page.table()) == 2, "both names")
    shown = r"requests.get\u202e.page\u200b"
    assert {plain, shown} == {name for name, _ in page.table()}
    page.drawn()
    assert {plain, shown} == set(page.find(".legend .name").all_inner_texts())
    page.page.get_by_role("link", name=shown).click()
    page.wait(lambda: len(page.table()) == 1, "one name")
    assert [shown] == [name for name, _ in page.table()]


def test_times_are_local_or_utc(full: Site, open_page: Open) -> None:
    """Times are the browser's, or UTC, at the cursor and as they are typed; the choice is remembered."""
    until = int(time.time()) // 60 * 60
    page = open_page(f"{full.url}archive/daily/?since={until - 1200}&until={until}", timezone_id="America/Phoenix")
    page.drawn(2)
    for zone, offset_s in (("UTC−07:00", -7 * 3600), ("UTC", 0)):
        page.wait(lambda zone=zone: page.text("#zone") == zone, zone)  # type: ignore[misc]
        shown = [time.strftime("%Y-%m-%d %H:%M", time.gmtime(until - ago + offset_s)) for ago in (1200, 0)]
        page.wait(lambda shown=shown: page.find("#since").input_value() == f"{shown[0]}:00", "the range")  # type: ignore[misc]
        page.find(".plot").first.focus()
        page.page.keyboard.press("Home")
        page.wait(lambda shown=shown: shown[0] in page.text(".panel .time"), "the time at the cursor")  # type: ignore[misc]
        page.find("#custom-label").click()
        page.find("#until").fill(shown[1])
        page.page.keyboard.press("Enter")
        page.wait(lambda: f"until={until}" in page.query(), "the time as it was typed")
        if zone != "UTC":
            page.page.get_by_role("button", name="Show UTC").click()
    page.page.reload()
    page.wait(lambda: page.text("#zone") == "UTC", "what was chosen")
