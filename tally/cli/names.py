"""`tally names`: removes and renames metric names of an archive."""

import click

from tally.cli.completion import slugs
from tally.cli.group import Group
from tally.cli.options import find_archive, with_settings
from tally.cli.progress import Progress
from tally.log import pluralize
from tally.settings import Settings


@click.group(cls=Group)
def names() -> None:
    """Remove or rename metric names of an archive.

    The names themselves are listed by `tally query ARCHIVE --kind names`.

    Examples:
      tally names delete daily 'requests.get.test*' --dry-run
      tally names rename daily 'requests.get.*' 'web.*'

    See also:
      tally names COMMAND --help; tally query
    """


@names.command()
@click.argument("slug", shell_complete=slugs)
@click.argument("glob")
@click.option("--since", metavar="TIME", help="earliest bucket to remove: unix seconds, ISO 8601 or relative")
@click.option("--until", metavar="TIME", help="latest bucket to remove, in the same formats")
@click.option("--dry-run", is_flag=True, help="report what would be removed, and remove nothing")
@with_settings("TALLY_DATA_DIR")
def delete(*, settings: Settings, slug: str, glob: str, dry_run: bool, **bounds: str | None) -> None:
    """Remove the names that match a glob, or with --since and --until their buckets in a range.

    All are removed in one transaction, and can only be recovered from a backup. A name is removed with its last bucket;
    later samples create it again. A collector may run at the same time.

    Arguments:
      SLUG  the archive: its file's name without .db
      GLOB  the names, such as 'requests.get.*'; '*' for all

    Examples:
      tally names delete daily 'requests.get.test*' --dry-run
      tally names delete daily '*' --since 2100-01-01T00:00:00Z

    Output:
      stdout  the number of cells, names and samples removed; a cell is one name in one bucket
      stderr  errors only, and on a terminal the progress
    """
    archive = find_archive(settings, slug)
    with Progress() as progress:
        progress.show(f"removing from {slug}")
        removed = archive.remove(glob, dry_run=dry_run, **bounds)
    done = "would remove" if dry_run else "removed"
    cells, of_names = pluralize(removed.cells, "cell"), pluralize(removed.names, "name")
    click.echo(f"{done} {cells} of {of_names}, {pluralize(removed.samples, 'sample')}")


@names.command()
@click.argument("slug", shell_complete=slugs)
@click.argument("glob")
@click.argument("template")
@click.option("--dry-run", is_flag=True, help="report what would be renamed, and rename nothing")
@with_settings("TALLY_DATA_DIR")
def rename(*, settings: Settings, slug: str, glob: str, template: str, dry_run: bool) -> None:
    """Rename the names that match a glob, and merge the data of names that meet.

    GLOB and TEMPLATE have the same number of wildcards. Each * of TEMPLATE stands for what the * or ? in the same
    place of GLOB matches. All names are renamed at the same
    time, in one transaction, so they may change places. Tags of new names are sorted. If a new name would not be valid,
    nothing is renamed.

    A collector may run at the same time. Programs that still send the old names create them again.

    Arguments:
      SLUG      the archive: its file's name without .db
      GLOB      the names, such as 'requests.get.*'
      TEMPLATE  the new names, such as 'web.*'

    Examples:
      tally names rename daily 'requests.get.*' 'web.*' --dry-run
      tally names rename daily 'load.*.cpu?' 'cpu;host=*;core=*'

    Output:
      stdout  the number of names, cells and samples renamed, and of names that became part of another
      stderr  errors only, and on a terminal the progress
    """
    archive = find_archive(settings, slug)
    with Progress() as progress:
        progress.show(f"renaming in {slug}")
        renamed = archive.rename(glob, template, dry_run=dry_run)
    done = "would rename" if dry_run else "renamed"
    counted = f"{pluralize(renamed.cells, 'cell')}, {pluralize(renamed.samples, 'sample')}"
    merged = f"; {pluralize(renamed.merged, 'name')} fewer, because names meet" if renamed.merged else ""
    click.echo(f"{done} {pluralize(renamed.names, 'name')} with {counted}{merged}")
