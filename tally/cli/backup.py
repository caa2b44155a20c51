"""`tally backup`: copies archives and the files beside them while they are in use, and verifies the copies."""

from pathlib import Path

import click

from tally.cli import completion
from tally.cli.companions import back_up_companion, find_companions
from tally.cli.group import WRONG
from tally.cli.manual import Documented
from tally.cli.options import find_archives, with_settings
from tally.cli.progress import Progress
from tally.cli.spilled import describe_spill
from tally.engine import Archive, Catalog
from tally.engine.files.directory import SUFFIX
from tally.errors import TallyError
from tally.settings import Settings


@click.command(cls=Documented)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.argument("slugs", metavar="[SLUG]...", nargs=-1, shell_complete=completion.slugs)
@click.option("--replace", is_flag=True, help="replace archives of these names in DIRECTORY that are not in use")
@with_settings("TALLY_DATA_DIR")
@click.pass_context
def backup(
    context: click.Context, /, *, settings: Settings, directory: Path, slugs: tuple[str, ...], replace: bool
) -> None:
    """Back up archives while they are in use, and verify the copies.

    Without SLUG, events, the rules, states and silences of alerts, units and saved views are copied, too.

    Each copy contains complete flushes only, and is verified page by page before it gets its name. It is a single file
    that any SQLite tool can open, even read-only. In a data directory, it is an archive again.

    If an archive cannot be copied, the reason is reported, and the others are still copied. Existing files are replaced
    only with --replace. Old backups are never deleted.

    Arguments:
      DIRECTORY  where SLUG.db is written; created if missing
      SLUG       an archive to copy; default all, and the files beside them

    Examples:
      tally backup /var/backups/tally --replace
      tally backup "backups/$(date +%F)" daily weekly

    Exit status:
      2  a file could not be copied, or an argument is wrong: stderr has the reason

    Output:
      stdout  each copy with its size in bytes
      stderr  files that could not be copied, samples in spill files, and on a terminal the progress

    Files:
      SLUG.db      in DIRECTORY: the copy of the archive SLUG
      other files  in DIRECTORY, under their own names: events.db, alerts.state, alerts.toml, units.toml, view-*.json

    See also:
      tally query and tally check take the path of a copy
    """
    archives = find_archives(settings, slugs)
    Catalog(directory).prepare()
    done = [_is_copied(archive, directory / f"{archive.slug}{SUFFIX}", replace) for archive in archives]
    if not slugs:
        done += [
            _is_companion_copied(path, directory / path.name, replace) for path in find_companions(settings.data_dir)
        ]
    context.exit(0 if all(done) else WRONG)


def _is_copied(archive: Archive, target: Path, replace: bool) -> bool:
    with Progress(100) as progress:

        def show(done_bytes: int, of_bytes: int) -> None:
            doing = "copying" if done_bytes < of_bytes else "verifying"
            progress.show(f"{doing} {archive.slug}", 100 * done_bytes / of_bytes)

        try:
            archive.backup(target, replace=replace, progress=show)
        except TallyError as error:
            progress.report(f"tally: {error}")
            return False
    click.echo(f"{target}: {target.stat().st_size} bytes")
    if text := describe_spill(archive):
        click.echo(f"tally: {text}, nor in the copy", err=True)
    return True


def _is_companion_copied(path: Path, target: Path, replace: bool) -> bool:
    try:
        back_up_companion(path, target, replace=replace)
    except TallyError as error:
        click.echo(f"tally: {error}", err=True)
        return False
    click.echo(f"{target}: {target.stat().st_size} bytes")
    return True
