"""Events on the charts: marks, bands, their text, and the list."""

import time
from collections.abc import Iterator

import pytest

from tally.engine.events import Event
from tests.browser.conftest import Open
from tests.browser.site import Site, Watched, recent, served

END = int(time.time()) // 60 * 60


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a server with samples, an event at a moment, and one that took a while."""
    with served(tmp_path_factory.mktemp("eventful")) as site:
        site.archives.record(recent())
        for fields in (
            {"title": "deployed <b>1.4.2</b>", "tags": ["deploy", "web"], "since": END - 1200},
            {
                "title": "database moved",
                "text": "to the new host",
                "tags": ["ops"],
                "since": END - 600,
                "until": END - 300,
            },
            {"title": "long ago", "since": END - 86_400},
        ):
            site.archives.events.add(Event.create(fields, now=END), now=END)
        yield site


def told(page: Watched, text: str) -> None:
    """Wait until a chart tells of an event; empty: of none."""
    page.wait(lambda: (page.text(".tip") if page.find(".tip").is_visible() else "") == text, text or "no event")


def listed(page: Watched, count: int) -> None:
    """Wait until so many events are listed; in the same turn the charts are drawn anew."""
    page.wait(lambda: page.find("#events-list li").count() == count, f"{count} events")


def test_events_are_marked_and_told(eventful: Site, open_page: Open) -> None:
    """The text stands at the mark, over the band, and in the list; a screen reader reads it with the values."""
    page = open_page(f"{eventful.url}archive/daily/?show=avg&since={END - 1800}&until={END - 1}")
    page.drawn()
    page.wait(lambda: page.find("#events").is_visible(), "the list")
    assert "2 events" == page.text("#events-summary")
    box = page.find(".u-over").bounding_box()
    assert box is not None
    for part, text in (
        (0.335, "deployed <b>1.4.2</b>"),
        (0.5, ""),
        (0.75, "database moved to the new host"),
        (0.95, ""),
    ):
        page.page.mouse.move(box["x"] + box["width"] * part, box["y"] + 40)
        told(page, text)
    page.find(".plot").focus()
    page.page.keyboard.press("Home")
    for _ in range(120):
        page.page.keyboard.press("ArrowRight")
        if "event" in page.text("#announcer"):
            break
    assert page.text("#announcer").endswith("event: deployed <b>1.4.2</b>")
    page.find("#events-summary").click()
    assert ["database moved", "deployed <b>1.4.2</b>"] == page.find("#events-list strong").all_inner_texts()


def test_events_are_chosen_by_tag(eventful: Site, open_page: Open) -> None:
    """One tag, or none: the choice stands in the address, and the picture follows it."""
    page = open_page(f"{eventful.url}archive/daily/?show=avg&since={END - 1800}&until={END - 1}")
    page.find("#events-shown").wait_for()
    seen = [page.find("canvas").evaluate("canvas => canvas.toDataURL()")]
    for value, count in (("deploy", 1), ("none", 0), ("", 2)):
        page.find("#events-shown").select_option(value)
        listed(page, count)
        assert (f"events={value}" in page.query()) == bool(value)
        seen.append(page.find("canvas").evaluate("canvas => canvas.toDataURL()"))
    assert seen[0] == seen[-1]
    assert 3 == len(set(seen))
