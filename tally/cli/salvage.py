"""`tally salvage`: what can still be read of a damaged archive, into a sound one, and what is missing."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tally.cli.archives import with_properties
from tally.cli.completion import slugs_or_files
from tally.cli.group import FAILED
from tally.cli.manual import Documented
from tally.cli.options import find_file, with_settings
from tally.cli.progress import Progress
from tally.cli.table import Cell, echo_table, shown, utc, visible
from tally.engine import Catalog, Missing, Salvaged
from tally.engine.definition import Definition
from tally.engine.files.directory import SUFFIX
from tally.settings import Settings

# What people are shown; JSON has all.
RUNS_SHOWN, NAMES_SHOWN = 20, 5
FORMS = ("text", "json")


@click.command(cls=Documented)
@click.argument("archive", shell_complete=slugs_or_files)
@click.argument("new")
@click.option("--unproven", is_flag=True, help="keep also cells that nothing proves, where their bucket adds up")
@with_properties
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="the report's form")
@with_settings("TALLY_DATA_DIR")
def salvage(*, settings: Settings, archive: str, new: str, unproven: bool, form: str, **given: Any) -> None:
    """Save what a damaged archive still holds into a new one, and report what is missing.

    A value is saved only when it is proven, which takes two places of the file that say exactly the same: an archive
    holds nearly all of its cells twice. The cells of the last buckets, up to 64 of them, stand in the file once, unless
    they prove themselves; --unproven keeps these too, where their bucket adds up to its total.

    The damaged file, and the log beside it, stay as they are. The new archive is sound, and there whole or not at all.
    In the data directory it collects at once, as the old one did: `tally restore` puts it in the old one's place.

    A definition stands in the file once. The report shows it; a property that is given replaces the file's.

    Arguments:
      ARCHIVE  a slug in --data-dir, or the path of a file: what ends in .db or has a / in it
      NEW      the slug of the new archive, or the path of its file

    Examples:
      tally salvage daily saved
      tally salvage ./backups/daily.db saved-copy --resolution 10 --format json

    Exit status:
      0  everything was saved
      1  something is missing, or the output cannot be written
      2  nothing was saved: one line on stderr tells why

    Output:
      stdout  the report: what was saved, and which buckets and names lack samples
      stderr  nothing but errors, and on a terminal how far it is

    See also:
      `tally check` tells whether an archive is damaged
    """
    source, target = find_file(settings, archive), _target(settings, new)
    properties = {name: value for name, value in given.items() if value is not None}
    with Progress(100) as progress:

        def show(pages: int, of_pages: int) -> None:
            progress.show(f"reading {source.path}", 100 * pages / of_pages)

        salvaged = source.salvage(target, unproven=unproven, progress=show, **properties)
    if form == "json":
        report = {"path": str(target), "whole": salvaged.is_whole, **asdict(salvaged)}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _print(target, salvaged, unproven=unproven)
    if not salvaged.is_whole:
        raise click.exceptions.Exit(FAILED)


def _target(settings: Settings, new: str) -> Path:
    if os.sep in new or new.endswith(SUFFIX):
        return Path(new)
    Definition.create(new)
    Catalog(settings.data_dir).prepare()
    return settings.data_dir / f"{new}{SUFFIX}"


def _print(target: Path, salvaged: Salvaged, *, unproven: bool) -> None:
    for line in _lines(target, salvaged, unproven=unproven):
        click.echo(line)
    missing = [(utc(run.first), utc(run.last), *_lack(run)) for run in salvaged.missing]
    _echo_runs("missing samples:", ("from", "to", "samples", "names"), missing)
    gaps = [(utc(before), utc(after)) for before, after in salvaged.gaps]
    _echo_runs("lost totals (cells between these buckets may be missing):", ("after", "before"), gaps)


def _echo_runs(title: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    if not rows:
        return
    click.echo(f"\n{title}")
    echo_table(header, rows[:RUNS_SHOWN])
    if rows[RUNS_SHOWN:]:
        click.echo(f"and {len(rows) - RUNS_SHOWN} more: --format json has all")


def _lines(target: Path, salvaged: Salvaged, *, unproven: bool) -> Iterator[str]:
    """Yield what is said besides the table."""
    definition = salvaged.definition
    keeps = f"{definition.retention} h" if definition.retention else "for ever"
    state = "enabled" if definition.enabled else "disabled"
    yield f"{target}: cells {salvaged.cells}, samples {shown(salvaged.samples)}, names {salvaged.names}"
    yield f"definition: {definition.resolution} s, kept {keeps}, pattern {visible(definition.pattern)}, {state}"
    if salvaged.unread:
        yield f"unreadable properties, replaced by defaults: {', '.join(salvaged.unread)}"
    if salvaged.lost_pages:
        yield f"unreadable pages: {salvaged.lost_pages} of {salvaged.pages}"
    if not salvaged.is_log_sound:
        yield "the log beside the file is damaged: its last commits are missing"
    if salvaged.unproven:
        yield f"unproven cells: {salvaged.unproven} ({'kept' if unproven else 'left out; --unproven keeps them'})"
    if salvaged.unnamed:
        yield f"cells without a readable name: {salvaged.unnamed}"
    if salvaged.short:
        yield f"names with missing samples: {_some(salvaged.short)}"
    if salvaged.is_whole:
        yield "nothing is missing"


def _lack(run: Missing) -> tuple[Cell, Cell]:
    return "unknown" if run.samples is None else run.samples, _some(run.names) or None


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - NAMES_SHOWN
    return visible(", ".join(names[:NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")
