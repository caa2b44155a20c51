"""`tally demo`: sends made-up page timings, to try out the dashboard.

The made-up site is busiest at BUSIEST_HOUR o'clock UTC and nearly idle twelve hours later. Busy pages are slower.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

import click

from tally.cli.group import WRONG
from tally.cli.importing import rollup_for, store
from tally.cli.manual import Documented
from tally.cli.options import SENDING, Command, with_settings
from tally.cli.progress import Progress
from tally.cli.sender import Sender
from tally.cli.targets import find_targets
from tally.lines.plain import Sample, check_name
from tally.log import pluralize
from tally.settings import Settings

BUSIEST_HOUR = 15
DAY_S = 86_400
BATCHES_A_SECOND = 10
HISTORY_MOST_H = 168
# The timings of each step in the busiest hour of the history.
HISTORY_TIMINGS = 10
HISTORY_STEP_S = 10


class Page(NamedTuple):
    """A page: its metric, its share of all requests, and its usual seconds."""

    name: str
    share: float
    usual_s: float


PAGES = (
    Page("requests.get", 30, 0.04),
    Page("requests.get.about", 6, 0.03),
    Page("requests.get.articles", 20, 0.12),
    Page("requests.get.articles.archive", 4, 0.45),
    Page("requests.get.search", 12, 0.30),
    Page("requests.get.account", 8, 0.09),
    Page("requests.post.account.login", 3, 0.22),
    Page("requests.post.comments", 2, 0.15),
)


def _number(flag: str, least: int, most: int, **settings: Any) -> Callable[[Command], Command]:
    return click.option(flag, type=click.IntRange(least, most), show_default=True, **settings)


@click.command(cls=Documented)
@_number("--seconds", 0, DAY_S, default=60, metavar="SECONDS", help="how long to send")
@_number("--rate", 1, 10_000, default=20, metavar="TIMINGS", help="timings per second")
@_number("--history", 0, HISTORY_MOST_H, default=0, metavar="HOURS", help="hours of made-up history to store first")
@with_settings("TALLY_DATA_DIR", "TALLY_PREFIX", "TALLY_MAX_NAMES", **SENDING)
@click.pass_context
def demo(context: click.Context, /, *, settings: Settings, seconds: int, rate: int, history: int) -> None:
    """Send made-up page timings, to try out the dashboard.

    The timings are sent by UDP under names such as requests.get.search. In the afternoon (UTC) there are more and
    slower ones than at night. With --history, older timings are first stored in the archives of --data-dir, as by
    `tally import`. Made-up timings are not marked as such: do not mix them with real ones.

    Examples:
      tally demo --seconds 2
      tally demo --history 24 --seconds 1

    Exit status:
      2  nothing listens, an archive could not be written, or an argument is wrong: stderr has the reason

    Output:
      stdout  the number of lines sent, and with --history a table of stored samples
      stderr  errors only, and on a terminal the progress
    """
    pages = [page._replace(name=check_name(settings.prefix + page.name)) for page in PAGES]
    random = Random()  # noqa: S311 - nothing here is secret
    if history and not _store_past(random, pages, settings, history):
        context.exit(WRONG)
    if seconds:
        with Sender(settings.host, settings.port, rate=rate) as sender:
            _send(random, pages, sender, rate * seconds, max(1, rate // BATCHES_A_SECOND))
        click.echo(sender.summarize())


def _store_past(random: Random, pages: Sequence[Page], settings: Settings, hours: int) -> bool:
    """Store timings of the last `hours`; return whether all archives could be written."""
    targets = find_targets(settings, ())
    rollup = rollup_for(targets, settings)
    now = int(time.time())
    for moment in range(now - hours * 3600, now, HISTORY_STEP_S):
        count = round(busyness(moment) * HISTORY_TIMINGS)
        rollup.add_samples(Sample(*timing, moment) for timing in timings(random, pages, moment, count))
    return store(targets, rollup.take(), settings)


def _send(random: Random, pages: Sequence[Page], sender: Sender, total: int, batch: int) -> None:
    with Progress(total) as progress:
        while sender.lines < total:
            progress.show(pluralize(sender.lines, "line"), sender.lines)
            found = timings(random, pages, time.time(), min(batch, total - sender.lines))
            sender.send(f"{name} {seconds:.6f}".encode() for name, seconds in found)
    sender.check()


def timings(random: Random, pages: Sequence[Page], moment: float, count: int) -> Iterator[tuple[str, float]]:
    """Yield `count` times the name of a page and seconds that it may have taken at `moment`, in unix seconds."""
    slower = 0.7 + 0.6 * busyness(moment)
    for page in random.choices(pages, [page.share for page in pages], k=count):
        yield page.name, page.usual_s * slower * random.lognormvariate(0, 0.35)


def busyness(moment: float) -> float:
    """Return how busy the site is at `moment`, in unix seconds: from 0.1 to 1."""
    hours = (moment % DAY_S) / 3600 - BUSIEST_HOUR
    return 0.55 + 0.45 * math.cos(2 * math.pi * hours / 24)
