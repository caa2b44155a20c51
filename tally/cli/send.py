"""`tally send`: one sample, or the lines of files, to a collector by UDP."""

import time
from typing import Any

import click

from tally.cli.group import WRONG
from tally.cli.lines import FILE, Check, Lines, Rules
from tally.cli.manual import Documented
from tally.cli.options import SENDING, with_settings
from tally.cli.progress import Progress
from tally.cli.sender import Sender
from tally.cli.source import size
from tally.engine.asking.question import parse_time
from tally.errors import InvalidSample
from tally.lines.encoder import DATAGRAM_MAX_BYTES, Encoder
from tally.lines.grammar import parse_line
from tally.lines.plain import EXPLANATIONS, NUMBER, Reason
from tally.settings import Settings

DEFAULT_RATE = 10_000
NO_TIMESTAMP = "-1"


class AcceptsNegativeNumbers(Documented):
    """A command that accepts -5 as a number, where click would take it for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f" {arg}" if arg[:1] == "-" and NUMBER.fullmatch(arg) else arg for arg in args])


@click.command(cls=AcceptsNegativeNumbers)
@click.argument("name", required=False)
@click.argument("value", required=False)
@click.option(
    "--timestamp",
    metavar="TIME",
    help="when it was: unix seconds, ISO 8601 or relative such as -1h; default: when the collector receives it",
)
@click.option("--file", "paths", multiple=True, type=FILE, help="send the lines of this file, - is stdin; repeatable")
@click.option(
    "--rate",
    type=click.IntRange(1),
    default=DEFAULT_RATE,
    show_default=True,
    metavar="LINES",
    help="most lines per second",
)
@with_settings("TALLY_PREFIX", "TALLY_MAX_FUTURE", **SENDING)
@click.pass_context
def send(
    context: click.Context, /, *, settings: Settings, paths: tuple[str, ...], rate: int, **sample: str | None
) -> None:
    """Send one sample, or the lines of files, to a collector by UDP.

    With --file, or with - for stdin, the lines of files are sent, which may be compressed with gzip. They are packed
    into datagrams of at most 1,432 bytes and sent no faster than --rate. Invalid lines are skipped, and the first 20
    are reported with line number and reason. Valid lines, StatsD included, are sent unchanged. A file that is not text
    is refused before anything is sent.

    UDP does not report whether a datagram arrived. Sending stops if the operating system reports that nothing listens.

    Arguments:
      NAME   the metric: 1 to 255 bytes of UTF-8 without white space; - alone: send the lines of stdin
      VALUE  a decimal number, which may be negative; default 1

    Examples:
      tally send requests.get.index 0.25
      tally send jobs.failed 3 --timestamp -15min
      tally send --file samples.lines --rate 50000
      head -n 2 samples.lines | tally send -

    Exit status:
      2  a line was skipped, nothing listens, or an argument is wrong: stderr has the reason

    Output:
      stdout  the number of lines and datagrams sent, and for files the number of lines read and rejected
      stderr  the first lines that were skipped, and on a terminal the progress

    See also:
      tally import stores lines without a collector, and cannot lose any on the way
    """
    if not paths and sample == {"name": "-", "value": None, "timestamp": None}:
        paths = ("-",)
    elif bool(paths) == any(sample.values()):
        raise click.UsageError("Give either a NAME or --file", context)
    rules = Rules(_judge(settings), settings.prefix.encode(), DATAGRAM_MAX_BYTES)
    with Progress(size(paths)) as progress:
        lines = Lines(paths, rules, progress)
        blocks = lines if paths else [[_line(settings, **sample)]]
        with Sender(settings.host, settings.port, rate=rate) as sender:
            for block in blocks:
                sender.send(block)
            sender.check()
    click.echo(sender.summarize())
    if paths:
        click.echo(lines.summarize())
    context.exit(WRONG if lines.rejected else 0)


def _judge(settings: Settings) -> Check:
    """Return a function that checks whether a collector would accept a line."""

    def judge(line: bytes, now: int) -> Reason | None:
        found = parse_line(line, now, settings.max_future)
        return found if isinstance(found, Reason) else None

    return judge


def _line(settings: Settings, *, name: Any, value: Any, timestamp: str | None) -> bytes:
    """Return the line of one sample.

    :raises InvalidSample, InvalidQuestion: when its name, value or timestamp is not valid.
    """
    now = time.time()
    text = "1" if value is None else value.strip()
    # The encoder refuses text that is not a number.
    number: Any = float(text) if NUMBER.fullmatch(text) else text
    given = NO_TIMESTAMP if timestamp is None else timestamp.strip()
    seconds = None if given == NO_TIMESTAMP else parse_time(given, now, "timestamp")
    [line] = Encoder(settings.prefix).datagrams(name, number, seconds)
    if parse_line(line, int(now), settings.max_future) == Reason.FUTURE:
        raise InvalidSample(f"timestamp {given!r:.100} is not valid: {EXPLANATIONS[Reason.FUTURE]}")
    return line
