"""`tally salvage`: recovers the data of a damaged archive into a new one, and reports what is missing."""

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
from tally.cli.table import Cell, echo_table, escape_invisible, format_cell, format_utc
from tally.engine import Catalog, Missing, Salvaged
from tally.engine.definition import Definition
from tally.engine.files.directory import SUFFIX
from tally.settings import Settings

# What people are format_cell; JSON has all.
RUNS_SHOWN, NAMES_SHOWN = 20, 5
FORMS = ("text", "json")


@click.command(cls=Documented)
@click.argument("archive", shell_complete=slugs_or_files)
@click.argument("new")
@click.option("--unproven", is_flag=True, help="also keep unproven cells if their bucket adds up")
@with_properties
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="the report's form")
@with_settings("TALLY_DATA_DIR")
def salvage(*, settings: Settings, archive: str, new: str, unproven: bool, form: str, **given: Any) -> None:
    """Recover the data of a damaged archive into a new one, and report what is missing.

    A value is recovered only if two places of the file agree on it: an archive stores nearly all of its cells twice.
    The cells of up to 64 last buckets are stored once; --unproven keeps these too, if their bucket adds up to its
    total.

    The damaged file and the log beside it are not changed. The new archive is created completely or not at all. In the
    data directory it starts to collect at once; `tally restore` puts it in place of the damaged one.

    The definition is stored once, and cannot be verified. Check it in the report, and override properties with options.

    Arguments:
      ARCHIVE  a slug in --data-dir, or the path of a file, which ends in .db or contains a /
      NEW      the slug of the new archive, or the path of its file

    Examples:
      tally salvage daily saved
      tally salvage ./backups/daily.db saved-copy --resolution 10 --format json

    Exit status:
      0  everything was recovered
      1  something is missing, or the output cannot be written
      2  nothing was recovered: stderr has one line with the reason

    Output:
      stdout  the report: what was recovered, and which buckets and names lack samples
      stderr  errors only, and on a terminal the progress

    See also:
      `tally check` detects damage
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
    missing = [(format_utc(run.first), format_utc(run.last), *_describe_missing(run)) for run in salvaged.missing]
    _echo_runs("missing samples:", ("from", "to", "samples", "names"), missing)
    gaps = [(format_utc(before), format_utc(after)) for before, after in salvaged.gaps]
    _echo_runs("lost totals (cells between these buckets may be missing):", ("after", "before"), gaps)


def _echo_runs(title: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    if not rows:
        return
    click.echo(f"\n{title}")
    echo_table(header, rows[:RUNS_SHOWN])
    if rows[RUNS_SHOWN:]:
        click.echo(f"and {len(rows) - RUNS_SHOWN} more: --format json has all")


def _lines(target: Path, salvaged: Salvaged, *, unproven: bool) -> Iterator[str]:
    """Yield the lines before the tables."""
    definition = salvaged.definition
    keeps = f"{definition.retention} h" if definition.retention else "for ever"
    state = "enabled" if definition.enabled else "disabled"
    pattern = escape_invisible(definition.pattern)
    yield f"{target}: cells {salvaged.cells}, samples {format_cell(salvaged.samples)}, names {salvaged.names}"
    yield f"definition: {definition.resolution} s, kept {keeps}, pattern {pattern}, {state}"
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
        yield f"names with missing samples: {_shorten(salvaged.short)}"
    if salvaged.is_whole:
        yield "nothing is missing"


def _describe_missing(run: Missing) -> tuple[Cell, Cell]:
    return "unknown" if run.samples is None else run.samples, _shorten(run.names) or None


def _shorten(names: tuple[str, ...]) -> str:
    more = len(names) - NAMES_SHOWN
    return escape_invisible(", ".join(names[:NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")
