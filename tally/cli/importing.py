"""`tally import`: lines straight into the archives, without a collector."""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import click

from tally.cli import completion
from tally.cli.group import WRONG
from tally.cli.lines import FILE, Lines, Rules
from tally.cli.manual import Documented
from tally.cli.options import find_archive, with_settings
from tally.cli.progress import Progress
from tally.cli.source import size
from tally.cli.table import echo_table
from tally.engine import Archive, Catalog, Definition, glob
from tally.engine.storing import clock, commit
from tally.engine.storing.rollup import Cells, Rollup, count
from tally.errors import ArchiveUnavailable, TallyError, UnknownArchive
from tally.settings import Settings

HEADER = ("archive", "stored", "expired", "unmatched", "cardinality")


class Target(NamedTuple):
    """An archive that samples go into, as it was before they did."""

    archive: Archive
    definition: Definition


@click.command("import", cls=Documented)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option(
    "--archive",
    "slugs",
    multiple=True,
    metavar="SLUG",
    help="only into this archive; repeatable",
    shell_complete=completion.slugs,
)
@with_settings("TALLY_DATA_DIR", "TALLY_MAX_NAMES", "TALLY_MAX_FUTURE")
@click.pass_context
def import_lines(
    context: click.Context, /, *, settings: Settings, files: tuple[str, ...], slugs: tuple[str, ...]
) -> None:
    """Store the lines of files in the archives at once.

    Every enabled archive, or each that --archive names, gets the samples whose names match its pattern, in one
    transaction: all or none, also when it is interrupted. No collector is needed; one that runs may go on.

    A line that is not valid is left out; the others are stored. The first 20 are told with their number and reason, and
    all are counted. A file that is no text is refused before anything is stored. Importing a file twice counts its
    samples twice. Gauges of StatsD begin at 0, and what the files have of a set is counted once.

    Arguments:
      FILE  lines as a collector takes them, NAME VALUE [TIMESTAMP] or those of StatsD, plain or by gzip; - is stdin

    Columns:
      stored       samples that were added
      expired      that are older than the retention
      unmatched    whose names do not match the pattern
      cardinality  of new names, when there are --max-names already

    Examples:
      tally import samples.lines
      tally import samples.lines --archive yearly
      gzip -c samples.lines | tally import -

    Exit status:
      2    a line was left out, an archive could not be written, or what was given is wrong: stderr tells what
      130  interrupted; the table tells what was committed already

    Output:
      stdout  how many lines were read and rejected, and a table of what became of them in each archive
      stderr  the first lines that were left out, and on a terminal how far it is

    See also:
      tally archives create; tally send gives lines to a collector
    """
    targets = find_targets(settings, slugs)
    with Progress(size(files)) as progress:
        rollup = rollup_for(targets, settings)
        lines = Lines(files, Rules(rollup.add_line), progress)
        for _ in lines:
            pass
    click.echo(lines.account())
    is_done = store(targets, rollup.take(), settings)
    context.exit(0 if is_done and not lines.rejected else WRONG)


def find_targets(settings: Settings, slugs: Sequence[str]) -> list[Target]:
    """Return the archives of these slugs, or without slugs all that are enabled.

    :raises UnknownArchive: when there is none.
    :raises ArchiveUnavailable: when one that was named is not enabled.
    """
    found = [find_archive(settings, slug) for slug in dict.fromkeys(slugs)] or Catalog(settings.data_dir).archives()
    targets = [Target(archive, archive.definition()) for archive in found]
    enabled = [target for target in targets if target.definition.enabled]
    for target in targets:
        if slugs and not target.definition.enabled:
            raise ArchiveUnavailable(f"archive {target.archive.slug!r} is not enabled: it takes no samples")
    if not enabled:
        raise UnknownArchive(f"there is no enabled archive in {settings.data_dir}: see `tally archives create`")
    return enabled


def rollup_for(targets: Sequence[Target], settings: Settings) -> Rollup:
    """Return an empty rollup in whose buckets those of every target can be made up."""
    resolution = math.gcd(*(target.definition.resolution for target in targets))
    return Rollup(resolution, max_future_s=settings.max_future)


def store(targets: Sequence[Target], cells: Cells, settings: Settings) -> bool:
    """Commit cells to each archive, and print what became of their samples; return whether all could be written."""
    rows: list[tuple[str, int, int, int, int]] = []
    try:
        with Progress() as progress:
            for target in targets:
                progress.show(f"writing {target.archive.slug}")
                try:
                    outcome, unmatched = _stored(target, cells, settings)
                    rows.append((target.archive.slug, outcome.stored, outcome.expired, unmatched, outcome.cardinality))
                    if outcome.is_doubted:
                        progress.report(f"tally: {clock.describe_doubt(target.archive.slug)}")
                except TallyError as error:
                    progress.report(f"tally: {error}")
    finally:
        # Also when it is interrupted, for what was committed must not be imported again.
        echo_table(HEADER, rows)
    return len(rows) == len(targets)


def _stored(target: Target, cells: Cells, settings: Settings) -> tuple[commit.Outcome, int]:
    """Commit what matches, and return what became of it, and how many samples do not match."""
    matching = glob.select(cells, target.definition.pattern)
    outcome = target.archive.merge(matching, commit.Rules(time.time(), settings.max_names))
    return outcome, count(cells) - count(matching)
