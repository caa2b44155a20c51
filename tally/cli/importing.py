"""`tally import`: stores lines, or the cells of other files, in the archives, without a collector."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tally.cli import completion
from tally.cli.cells import CellFiles, stage_rollup
from tally.cli.group import WRONG
from tally.cli.lines import Lines, Rules
from tally.cli.manual import Documented
from tally.cli.options import with_settings
from tally.cli.progress import Progress
from tally.cli.source import size
from tally.cli.targets import Target, find_targets, store_each
from tally.engine import glob
from tally.engine.history.staging import Staging, staged
from tally.engine.storing import commit
from tally.engine.storing.merging import Cells, count
from tally.engine.storing.native_rollup import new_rollup
from tally.engine.storing.rollup import Rollup
from tally.settings import Settings

FORMATS = ("lines", "csv", "rows", "whisper", "tally1")
FILE = click.Path(exists=True, readable=True, allow_dash=True)


@click.command("import", cls=Documented)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="lines", show_default=True, help="file format")
@click.option(
    "--archive",
    "slugs",
    multiple=True,
    metavar="SLUG",
    help="import into this archive only; repeatable",
    shell_complete=completion.slugs,
)
@click.option("--dry-run", is_flag=True, help="print what would be stored, and store nothing")
@with_settings("TALLY_DATA_DIR", "TALLY_MAX_NAMES", "TALLY_MAX_FUTURE")
@click.pass_context
def import_files(context: click.Context, /, *, settings: Settings, slugs: tuple[str, ...], **options: Any) -> None:
    """Store the samples or cells of files in the archives, without a collector.

    Every enabled archive, or each one named by --archive, gets what matches its pattern in one transaction: all or
    none, even if the import is interrupted. A collector may run at the same time: while an archive is written, its
    samples wait. Importing a file twice counts its samples twice.

    Lines that are invalid are skipped and counted, and the first 20 are reported with line number and reason. A file
    that is not text is refused before anything is stored. StatsD gauges start at 0, and each member of a StatsD set
    counts once.

    Other formats hold cells: count, sum, min and max of a name in a bucket. A cell is stored in the bucket that
    contains its time, so the resolution of an archive should be a multiple of the one in the file. Files may be of any
    size: a temporary file in --data-dir takes 60 to 80 bytes a cell.

    CSV and rows with an invalid line are refused, and nothing is stored. What a whisper file or an archive of tally 1.0
    has and tally does not accept is skipped, counted and reported like an invalid line.

    Arguments:
      FILE  a file in the format, plain or compressed with gzip; - is stdin. With --format whisper a file or a
            directory, with --format tally1 an archive of tally 1.0; neither compressed

    Formats:
      lines    lines NAME VALUE [TIMESTAMP] or StatsD lines
      csv      as `tally export --format csv` writes it, or /values/ with format=csv and all aggregates
      rows     JSON, likewise
      whisper  files of Graphite's, each point as one sample; a directory's paths become names with dots
      tally1   archives of tally 1.0

    Columns:
      stored       samples that were added
      expired      samples older than the retention
      unmatched    samples whose names do not match the pattern
      cardinality  samples with new names, when there are --max-names already

    Examples:
      tally import samples.lines
      tally import samples.lines --archive yearly
      tally import --format csv daily.csv --archive daily --dry-run
      tally import --format whisper ./whisper
      gzip -c samples.lines | tally import -

    Exit status:
      2    a line was skipped, an archive could not be written, or an argument is wrong: stderr has the reason
      130  interrupted; the table shows what has been committed

    Output:
      stdout  the number of lines or cells read and rejected, and a table of the samples of each archive
      stderr  the first lines that were skipped, and on a terminal the progress

    See also:
      tally archives create; tally export; tally send sends lines to a collector
    """
    targets = find_targets(settings, slugs)
    is_done = _import(targets, settings, **options)
    context.exit(0 if is_done else WRONG)


def _import(
    targets: Sequence[Target], settings: Settings, *, files: tuple[str, ...], format_: str, dry_run: bool
) -> bool:
    """Import files, and return whether everything in them was accepted and all archives could be written."""
    if format_ == "lines":
        return _import_lines(targets, settings, files, dry_run=dry_run)
    source = CellFiles(format_, files)
    with staged(Path(settings.data_dir), latest=int(time.time()) + settings.max_future) as staging:
        account = source.stage(staging)
        click.echo(source.summarize(staging, account))
        return load(targets, staging, settings, dry_run=dry_run) and not account.rejected


def _import_lines(targets: Sequence[Target], settings: Settings, files: tuple[str, ...], *, dry_run: bool) -> bool:
    with Progress(size(files)) as progress:
        rollup = rollup_for(targets, settings)
        lines = Lines(files, Rules(rollup.add_line), progress)
        for _ in lines:
            pass
    click.echo(lines.summarize())
    cells = rollup.take()
    if not dry_run:
        return store(targets, cells, settings) and not lines.rejected
    with staged(Path(settings.data_dir), latest=max(cells, default=0)) as staging:
        stage_rollup(cells, staging)
        return load(targets, staging, settings, dry_run=True) and not lines.rejected


def rollup_for(targets: Sequence[Target], settings: Settings) -> Rollup:
    """Return an empty rollup that is fine enough for every target."""
    resolution = math.gcd(*(target.definition.resolution for target in targets))
    sketched = any(target.definition.percentiles for target in targets)
    return new_rollup(resolution, max_future_s=settings.max_future, sketched=sketched)


def store(targets: Sequence[Target], cells: Cells, settings: Settings) -> bool:
    """Commit cells to each archive, and print a table of the outcome; return whether all could be written."""

    def store_one(target: Target, _progress: Progress) -> tuple[commit.Outcome, int]:
        matching = glob.select(cells, target.definition.pattern)
        outcome = target.archive.merge(matching, commit.Rules(time.time(), settings.max_names))
        return outcome, count(cells) - count(matching)

    return store_each(targets, store_one)


def load(targets: Sequence[Target], staging: Staging, settings: Settings, *, dry_run: bool) -> bool:
    """Load staged cells into each archive, and do the rest as `store`. With `dry_run` nothing is stored."""
    if dry_run:
        click.echo("dry run: nothing is stored; the table shows what would be")

    def load_one(target: Target, progress: Progress) -> tuple[commit.Outcome, int]:
        def show(step: str, number: int, of: int) -> None:
            progress.show(f"{target.archive.slug}: {step} ({number + 1} of {of})")

        rules = commit.Rules(time.time(), settings.max_names)
        loaded = target.archive.load(staging.path, rules, dry_run=dry_run, progress=show)
        return loaded.outcome, loaded.unmatched

    return store_each(targets, load_one)
