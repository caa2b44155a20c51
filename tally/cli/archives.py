"""`tally archives`: lists, shows, creates, edits and deletes archives."""

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from tally.cli.completion import slugs
from tally.cli.group import FAILED, Group
from tally.cli.options import Command, find_archive, with_settings
from tally.cli.progress import Progress
from tally.cli.spilled import describe_spill
from tally.cli.table import Cell, echo_table, format_cell, format_utc
from tally.engine import Archive, Catalog, Derived, Summary
from tally.engine.files import disk
from tally.errors import TallyError, UnknownArchive
from tally.log import pluralize
from tally.settings import Settings

HEADER = ("slug", "resolution", "retention", "pattern", "enabled", "first", "last", "bytes", "name")

with_directory = with_settings("TALLY_DATA_DIR")
with_slug = click.argument("slug", shell_complete=slugs)
with_json = click.option("--json", "as_json", is_flag=True, help="print JSON instead of a table")


def with_properties(command: Command) -> Command:
    """Add an option for each property of an archive to a command."""
    options = (
        click.option("--name", help="a display name"),
        click.option("--description", help="its purpose"),
        click.option("--pattern", metavar="GLOB", help="which metric names it stores"),
        click.option("--resolution", type=int, metavar="SECONDS", help="seconds per bucket"),
        click.option("--retention", type=int, metavar="HOURS", help="hours that buckets are kept; 0: for ever"),
        click.option(
            "--percentiles", type=int, metavar="PERCENT", help="accuracy of percentiles: 1, 2, 4 or 8; 0: none"
        ),
        click.option("--enabled/--disabled", default=None, help="whether it accepts new samples"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Group, default="list")
def archives() -> None:
    """List, show, create, edit and delete archives.

    An archive is a file in --data-dir with its definition and its data. A collector, the API and the dashboard see
    changes at the next flush. Without a command, the archives are listed.

    Examples:
      tally archives
      tally archives create daily --resolution 10 --retention 24

    Exit status:
      1  the output cannot be written: the disk is full, or the reader closed it; or a deletion was not confirmed

    Files:
      SLUG.db  in --data-dir: the archive SLUG

    See also:
      tally archives COMMAND --help; tally query shows the data of an archive
    """


@archives.command("list")
@with_json
@with_directory
def list_archives(*, settings: Settings, as_json: bool) -> None:
    """List the archives, with their first and last buckets and sizes.

    Times are UTC, the resolution is in seconds and the retention in hours. A file that cannot be read is listed with
    the reason, and does not affect the exit status: see `tally check`.

    Examples:
      tally archives list
      tally archives list --json --data-dir /var/lib/tally

    Output:
      stdout  a table, or with --json an array of objects, in the order of the slugs
      stderr  errors, and a note if the data directory does not exist
    """
    found = [listed for archive in Catalog(settings.data_dir).archives() if (listed := _try_describe(archive))]
    if not settings.data_dir.is_dir():
        click.echo(f"{settings.data_dir} does not exist: `tally serve` and `tally archives create` create it", err=True)
    if as_json:
        _echo_json(found)
    else:
        echo_table(HEADER, [_row(each) for each in found])


@archives.command()
@with_slug
@with_json
@with_directory
def show(*, settings: Settings, slug: str, as_json: bool) -> None:
    """Show one archive: its definition, its first and last buckets, and its size.

    The times `first` and `last` are those of the earliest and latest bucket, in UTC. To see the data, use `tally
    query`; to verify the file, `tally check`.

    Arguments:
      SLUG  the archive: its file's name without .db

    Examples:
      tally archives show daily
      tally archives show daily --json

    Output:
      stdout  a table of its properties, or with --json an object with times in unix seconds
      stderr  errors only
    """
    _show(find_archive(settings, slug), as_json=as_json)


@archives.command()
@click.argument("slug")
@click.option("--from", "source", metavar="OLD", shell_complete=slugs, help="the archive to fill it from")
@with_properties
@click.option("--dry-run", is_flag=True, help="with --from, report what it would have, and create nothing")
@with_json
@with_directory
def create(*, settings: Settings, slug: str, as_json: bool, dry_run: bool, **properties: Any) -> None:
    """Create an archive, and show it.

    The defaults are the slug as name, no description, the pattern *, a resolution of 5 s, a retention of 24 h, no
    percentiles, and enabled. If a file of this name exists, it is not changed, and the command fails.

    With --from, the archive is filled with the data of another one, exactly: in coarser buckets if --resolution is a
    multiple of its resolution, and with fewer names by --pattern. Pattern, resolution, retention and percentiles are
    those of the other archive, unless they are given. Buckets past the retention are not copied. A collector may run at
    the same time.

    Arguments:
      SLUG  the file's name without .db: 1 to 64 of a-z, 0-9, _ and -, a letter or digit first

    Examples:
      tally archives create daily --resolution 10 --retention 24
      tally archives create pages --pattern 'requests.*' --retention 0
      tally archives create hourly --from daily --resolution 3600 --retention 0

    Output:
      stdout  a table of its properties, or with --json an object; with --dry-run the number of names, cells and samples
      stderr  errors only, and on a terminal the progress

    Files:
      SLUG.db  in --data-dir, which is created if missing
    """
    given, catalog = _drop_unset(properties), Catalog(settings.data_dir)
    if "source" not in given and dry_run:
        raise click.UsageError("--dry-run has no meaning without --from")
    if "source" not in given:
        catalog.create(slug, **given)
    else:
        find_archive(settings, given["source"])
        with Progress(1) as progress:
            derived = catalog.derive(slug, dry_run=dry_run, progress=progress.parts(f"filling {slug}"), **given)
        if dry_run:
            _show_derived(slug, derived, as_json=as_json)
            return
    _show(catalog[slug], as_json=as_json)


@archives.command()
@with_slug
@with_properties
@with_json
@with_directory
@click.pass_context
def edit(context: click.Context, /, *, settings: Settings, slug: str, as_json: bool, **properties: Any) -> None:
    """Change properties of an archive, and show it.

    A new resolution must be a multiple of the present one: stored buckets are merged into coarser ones, and cannot be
    split again. With a shorter retention, the next flush deletes older buckets. Percentiles are kept for samples that
    arrive after they are turned on; later they can become coarser or be turned off. A new pattern applies to new
    samples only. The slug cannot be changed.

    Arguments:
      SLUG  the archive: its file's name without .db

    Examples:
      tally archives edit daily --retention 48
      tally archives edit daily --disabled

    Output:
      stdout  a table of its properties, or with --json an object
      stderr  errors only
    """
    changes = _drop_unset(properties)
    if not changes:
        raise click.UsageError("Nothing to change", context)
    archive = find_archive(settings, slug)
    archive.edit(**changes)
    _show(archive, as_json=as_json)


@archives.command()
@with_slug
@click.option("--yes", is_flag=True, help="delete without confirmation")
@with_directory
@click.pass_context
def delete(context: click.Context, /, *, settings: Settings, slug: str, yes: bool) -> None:
    """Delete an archive and its data, after confirmation.

    Samples in its spill file are deleted too. Without a terminal, --yes is required. Deleted data can only be recovered
    from a backup.

    Arguments:
      SLUG  the archive: its file's name without .db

    Examples:
      tally archives delete daily --yes

    Exit status:
      1  the answer was no, or the output cannot be written

    Output:
      stdout  the file that was deleted
      stderr  the confirmation prompt
    """
    archive = find_archive(settings, slug)
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on: give --yes to delete", context)
    holding = "; ".join(filter(None, (_describe_content(archive.summary()), describe_spill(archive))))
    if not yes and not click.confirm(f"Delete {archive.path}, {holding}?", err=True):
        context.exit(FAILED)
    Catalog(settings.data_dir).delete(slug)
    click.echo(f"deleted {archive.path}")


def _drop_unset(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if value is not None}


def _try_describe(archive: Archive) -> dict[str, Any] | None:
    try:
        return _describe(archive.summary())
    except UnknownArchive:
        return None  # It was deleted after the directory was listed.
    except TallyError as error:
        return {"slug": archive.slug, "error": str(error)}


def _describe(summary: Summary) -> dict[str, Any]:
    stored = {"first": summary.first, "last": summary.last, "bytes": summary.bytes}
    return {**summary.definition.fields(), **stored}


def _row(listed: dict[str, Any]) -> tuple[Cell, ...]:
    if "error" in listed:
        return (listed["slug"], *[None] * (len(HEADER) - 2), listed["error"])
    texts = _format(listed)
    return tuple(texts[column] for column in HEADER)


def _format(described: dict[str, Any]) -> dict[str, Cell]:
    """Return a description as text, with units."""
    return {
        **described,
        "resolution": f"{described['resolution']} s",
        "retention": f"{described['retention']} h" if described["retention"] else "for ever",
        "enabled": "yes" if described["enabled"] else "no",
        "percentiles": f"within {described['percentiles']} %" if described["percentiles"] else "no",
        "first": format_utc(described["first"]),
        "last": format_utc(described["last"]),
    }


def _show(archive: Archive, *, as_json: bool) -> None:
    described = _describe(archive.summary())
    if as_json:
        _echo_json(described)
    else:
        echo_table(("property", "value"), [(name, format_cell(value)) for name, value in _format(described).items()])


def _show_derived(slug: str, derived: Derived, *, as_json: bool) -> None:
    cells, of_names = pluralize(derived.cells, "cell"), pluralize(derived.names, "name")
    if as_json:
        _echo_json(asdict(derived))
    else:
        click.echo(f"would create {slug} with {cells} of {of_names}, {pluralize(derived.samples, 'sample')}")


def _echo_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _describe_content(summary: Summary) -> str:
    if summary.first is None:
        return "which is empty"
    return (
        f"which holds {disk.format_size(summary.bytes)} from {format_utc(summary.first)} to {format_utc(summary.last)}"
    )
