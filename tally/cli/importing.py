"""`tally import`: stores lines in the archives, without a collector."""

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
    """An archive to import into, with its definition at the start."""

    archive: Archive
    definition: Definition


@click.command("import", cls=Documented)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option(
    "--archive",
    "slugs",
    multiple=True,
    metavar="SLUG",
    help="import into this archive only; repeatable",
    shell_complete=completion.slugs,
)
@with_settings("TALLY_DATA_DIR", "TALLY_MAX_NAMES", "TALLY_MAX_FUTURE")
@click.pass_context
def import_lines(
    context: click.Context, /, *, settings: Settings, files: tuple[str, ...], slugs: tuple[str, ...]
) -> None:
    """Store the lines of files in the archives, without a collector.

    Every enabled archive, or each one named by --archive, gets the samples that match its pattern in one transaction:
    all or none, even if the import is interrupted. A collector may run at the same time.

    Invalid lines are skipped and counted, and the first 20 are reported with line number and reason. A file that is not
    text is refused before anything is stored. Importing a file twice counts its samples twice. StatsD gauges start at
    0, and each member of a StatsD set counts once.

    Arguments:
      FILE  lines NAME VALUE [TIMESTAMP] or StatsD lines, plain or compressed with gzip; - is stdin

    Columns:
      stored       samples that were added
      expired      samples older than the retention
      unmatched    samples whose names do not match the pattern
      cardinality  samples with new names, when there are --max-names already

    Examples:
      tally import samples.lines
      tally import samples.lines --archive yearly
      gzip -c samples.lines | tally import -

    Exit status:
      2    a line was skipped, an archive could not be written, or an argument is wrong: stderr has the reason
      130  interrupted; the table shows what has been committed

    Output:
      stdout  the number of lines read and rejected, and a table of the samples of each archive
      stderr  the first lines that were skipped, and on a terminal the progress

    See also:
      tally archives create; tally send sends lines to a collector
    """
    targets = find_targets(settings, slugs)
    with Progress(size(files)) as progress:
        rollup = rollup_for(targets, settings)
        lines = Lines(files, Rules(rollup.add_line), progress)
        for _ in lines:
            pass
    click.echo(lines.summarize())
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
    """Return an empty rollup that is fine enough for every target."""
    resolution = math.gcd(*(target.definition.resolution for target in targets))
    return Rollup(resolution, max_future_s=settings.max_future)


def store(targets: Sequence[Target], cells: Cells, settings: Settings) -> bool:
    """Commit cells to each archive, and print a table of the outcome; return whether all could be written."""
    rows: list[tuple[str, int, int, int, int]] = []
    try:
        with Progress() as progress:
            for target in targets:
                progress.show(f"writing {target.archive.slug}")
                try:
                    outcome, unmatched = _store_one(target, cells, settings)
                    rows.append((target.archive.slug, outcome.stored, outcome.expired, unmatched, outcome.cardinality))
                    if outcome.is_doubted:
                        progress.report(f"tally: {clock.describe_doubt(target.archive.slug)}")
                except TallyError as error:
                    progress.report(f"tally: {error}")
    finally:
        # Even after an interrupt: what was committed must not be imported again.
        echo_table(HEADER, rows)
    return len(rows) == len(targets)


def _store_one(target: Target, cells: Cells, settings: Settings) -> tuple[commit.Outcome, int]:
    """Commit the matching cells; return the outcome, and the number of samples that do not match."""
    matching = glob.select(cells, target.definition.pattern)
    outcome = target.archive.merge(matching, commit.Rules(time.time(), settings.max_names))
    return outcome, count(cells) - count(matching)
