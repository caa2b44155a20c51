"""`tally restore`: an archive is made of a copy again."""

from pathlib import Path

import click

from tally.cli import completion
from tally.cli.manual import Documented
from tally.cli.options import with_settings
from tally.cli.progress import Progress
from tally.cli.spilled import waiting
from tally.engine import Catalog
from tally.engine.files.directory import SUFFIX
from tally.settings import Settings


@click.command(cls=Documented)
@click.argument("copy", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("slug", required=False, shell_complete=completion.slugs)
@click.option("--replace", is_flag=True, help="replace all that the archive SLUG has by what the copy has")
@with_settings("TALLY_DATA_DIR")
def restore(*, settings: Settings, copy: Path, slug: str | None, replace: bool) -> None:
    """Make an archive of a copy again, verified, while tally runs.

    The archive has what the copy has, and its definition too. A running collector, the API and the dashboard see it at
    the next flush, and what comes from then on is added to it. What is older than its retention goes with the flushes
    that follow, as always.

    An archive that is there is replaced only with --replace, in one transaction: whoever asks meanwhile gets what was
    there, or what is. A file that is no archive is not replaced: move it away first.

    Arguments:
      COPY  a file that `tally backup` wrote, or any archive's
      SLUG  the archive that it becomes; without one, that of COPY's name

    Examples:
      tally restore backups/daily.db before
      tally restore backups/daily.db --replace

    Output:
      stdout  the archive's file with its size in bytes
      stderr  samples that wait in a spill file, and on a terminal how far it is

    See also:
      `tally backup`, `tally check`
    """
    with Progress(100) as progress:

        def show(done_bytes: int, of_bytes: int) -> None:
            doing = "copying" if 0 < done_bytes < of_bytes else "verifying"
            progress.show(f"{doing} {copy}", 100 * done_bytes / of_bytes)

        slug = copy.name.removesuffix(SUFFIX) if slug is None else slug
        archive = Catalog(settings.data_dir).restore(copy, slug, replace=replace, progress=show)
    click.echo(f"{archive.path}: {archive.path.stat().st_size} bytes")
    if text := waiting(archive):
        click.echo(f"tally: {text}: a collector adds them at its next flush", err=True)
