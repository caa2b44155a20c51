"""`tally events`: adds and lists events."""

import json
import time
from typing import Any

import click

from tally.cli.group import Group
from tally.cli.options import with_settings
from tally.cli.table import echo_table, format_utc
from tally.client.posting import add_event
from tally.cluster.catalog import open_answers
from tally.engine import Catalog
from tally.engine.asking.question import parse_time
from tally.engine.events import parse_tags
from tally.settings import Settings

HEADER = ("since", "until", "title", "tags", "text")


@click.group(cls=Group)
def events() -> None:
    """Add and list events, such as deployments.

    The dashboard and Grafana show them on their charts.

    Examples:
      tally events add 'deployed 1.4.2' --tag deploy
      tally events list --since -7d

    See also:
      tally events COMMAND --help
    """


@events.command()
@click.argument("title")
@click.option("--text", help="more about it", metavar="TEXT")
@click.option("--tag", "tags", multiple=True, help="tag, such as deploy; may be given several times", metavar="TAG")
@click.option("--since", metavar="TIME", help="when it began: unix seconds, ISO 8601 or relative; by default now")
@click.option("--until", metavar="TIME", help="when it ended, in the same formats; without it, it has no duration")
@with_settings("TALLY_DATA_DIR", "TALLY_EVENTS_RETENTION")
def add(*, settings: Settings, **fields: Any) -> None:
    """Store an event.

    It is written to events.db in --data-dir, and needs no server. Without that directory it is sent to the server at
    TALLY_HTTP_HOST and TALLY_HTTP_PORT, with the token in TALLY_WRITE_TOKEN.

    Arguments:
      TITLE  what happened, in one line

    Examples:
      tally events add 'deployed 1.4.2' --tag deploy
      tally events add 'database moved' --since -90min --until now --tag maintenance

    Output:
      stdout  the number of the event
      stderr  errors only
    """
    stored = add_event(fields, settings)
    click.echo(f"added event {stored.id}")


@events.command(name="list")
@click.option("--since", metavar="TIME", help="earliest time: unix seconds, ISO 8601 or relative")
@click.option("--until", metavar="TIME", help="latest time, in the same formats")
@click.option("--tag", "tags", multiple=True, help="only events with all of these tags", metavar="TAG")
@click.option("--json", "as_json", is_flag=True, help="print JSON instead of a table")
@with_settings("TALLY_DATA_DIR", "TALLY_ANSWER_FROM", "TALLY_CLUSTER_FILE")
def list_(*, settings: Settings, since: str | None, until: str | None, tags: tuple[str, ...], as_json: bool) -> None:
    """List events, the earliest first.

    An event with a duration is listed if a part of it is in the range. At most 10,000 are listed, the newest. With
    --answer-from cluster, they are the events of all sources.

    Columns:
      since, until  when it began and ended; until is empty for an event without a duration
      title, text   what happened
      tags          its tags

    Examples:
      tally events list
      tally events list --since -7d --tag deploy
      tally events list --json

    Output:
      stdout  a table, or with --json an array as of the route /events/
      stderr  errors only
    """
    now = time.time()
    first, last = (
        None if text is None else parse_time(text, now, name) for name, text in (("since", since), ("until", until))
    )
    found = open_answers(settings, Catalog(settings.data_dir)).events.find(
        since=first, until=last, tags=parse_tags(tags)
    )
    if as_json:
        click.echo(json.dumps([event.to_dict() for event in found], indent=2, ensure_ascii=False))
        return
    rows = [
        (format_utc(event.since), format_utc(event.until), event.title, " ".join(event.tags), event.text or None)
        for event in found
    ]
    echo_table(HEADER, rows)
