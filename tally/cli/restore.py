"""`tally restore`: restores an archive, or a file beside the archives, from a backup."""

from pathlib import Path

import click

from tally.cli import completion
from tally.cli.companions import is_companion, restore_companion
from tally.cli.manual import Documented
from tally.cli.options import with_settings
from tally.cli.progress import Progress
from tally.cli.spilled import describe_spill
from tally.engine import Catalog
from tally.engine.files.directory import SUFFIX
from tally.settings import Settings


@click.command(cls=Documented)
@click.argument("copy", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("slug", required=False, shell_complete=completion.slugs)
@click.option("--replace", is_flag=True, help="replace the content of the archive SLUG by the backup")
@with_settings("TALLY_DATA_DIR")
def restore(*, settings: Settings, copy: Path, slug: str | None, replace: bool) -> None:
    """Restore an archive, or a file beside the archives, from a backup while tally is running.

    The archive gets the data and the definition of the backup. A running collector, the API and the dashboard see it at
    the next flush; new samples are added to it, and buckets past its retention expire.

    An existing archive is replaced only with --replace, in one transaction: each query sees either the old content or
    the new. A file that is not an archive is not replaced: move it away first.

    A copy of events.db, alerts.state, alerts.toml, units.toml or a saved view is restored under the same name.

    Arguments:
      COPY  a file written by `tally backup`, or any other archive
      SLUG  the archive to create; default the name of COPY; not for files that are not archives

    Examples:
      tally restore backups/daily.db before
      tally restore backups/daily.db --replace

    Output:
      stdout  the file with its size in bytes
      stderr  samples in a spill file, and on a terminal the progress

    See also:
      `tally backup`, `tally check`
    """
    if slug is None and is_companion(copy):
        _restore_companion(copy, settings.data_dir, replace)
        return
    with Progress(100) as progress:

        def show(done_bytes: int, of_bytes: int) -> None:
            doing = "copying" if 0 < done_bytes < of_bytes else "verifying"
            progress.show(f"{doing} {copy}", 100 * done_bytes / of_bytes)

        slug = copy.name.removesuffix(SUFFIX) if slug is None else slug
        archive = Catalog(settings.data_dir).restore(copy, slug, replace=replace, progress=show)
    click.echo(f"{archive.path}: {archive.path.stat().st_size} bytes")
    if text := describe_spill(archive):
        click.echo(f"tally: {text}: a collector adds them at its next flush", err=True)


def _restore_companion(copy: Path, directory: Path, replace: bool) -> None:
    Catalog(directory).prepare()
    target = directory / copy.name
    restore_companion(copy, target, replace=replace)
    click.echo(f"{target}: {target.stat().st_size} bytes")
