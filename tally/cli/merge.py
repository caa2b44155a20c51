"""`tally merge`: adds the data of other archives to an archive."""

import click

from tally.cli.completion import slugs, slugs_or_files
from tally.cli.manual import Documented
from tally.cli.options import find_archive, find_file, with_settings
from tally.cli.progress import Progress
from tally.engine import Merged
from tally.log import pluralize
from tally.settings import Settings


@click.command(cls=Documented)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=slugs_or_files)
@click.option("--into", "slug", metavar="SLUG", required=True, shell_complete=slugs, help="the archive to add to")
@click.option("--dry-run", is_flag=True, help="report what would be added, and add nothing")
@with_settings("TALLY_DATA_DIR", "TALLY_MAX_NAMES")
def merge(*, settings: Settings, files: tuple[str, ...], slug: str, dry_run: bool) -> None:
    """Add the data of other archives to an archive.

    Each sample counts once: merging a file again adds only what it has gained since. Where that cannot be told, such as
    for an older copy of a file, the command fails, and nothing is added.

    The resolution of each file must divide that of the archive. Names that do not match the archive's pattern, and
    buckets past its retention, are left out and counted. All files are added in one transaction. A collector may run at
    the same time; while the transaction lasts, it keeps its samples or spills them.

    Arguments:
      FILE  the path of an archive, which ends in .db or contains a /, or a slug in --data-dir

    Examples:
      tally merge ./backups/daily.db --into weekly --dry-run
      tally merge daily weekly --into yearly

    Output:
      stdout  the number of cells, names and samples added, and of samples left out
      stderr  errors only, and on a terminal the progress

    See also:
      `tally archives create --from`, `tally restore`
    """
    archive = find_archive(settings, slug)
    paths = [find_file(settings, file).path for file in files]
    with Progress(1) as progress:
        show = progress.parts(f"merging into {slug}")
        merged = archive.merge_files(paths, max_names=settings.max_names, dry_run=dry_run, progress=show)
    click.echo(_describe(merged, dry_run=dry_run))


def _describe(merged: Merged, *, dry_run: bool) -> str:
    done = "would add" if dry_run else "added"
    cells, of_names = pluralize(merged.cells, "cell"), pluralize(merged.names, "name")
    left_out = ""
    if merged.unmatched or merged.expired:
        left_out = f"; left out {merged.unmatched} with other names, {merged.expired} past the retention"
    return f"{done} {cells} of {of_names}, {pluralize(merged.samples, 'sample')}{left_out}"
