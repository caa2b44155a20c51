"""`tally check`: whether archives are sound, and settings, space and rights in order."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from stat import S_IWOTH
from typing import Any

import click

from tally.api.faults import further_name, held_log
from tally.cli.completion import slugs_or_files
from tally.cli.group import FAILED
from tally.cli.manual import Documented
from tally.cli.options import find_archives, find_file, with_settings
from tally.cli.progress import Progress
from tally.cli.spilled import orphans, waiting
from tally.cli.table import Cell, echo_table, utc
from tally.engine import Archive, Catalog, Checkup
from tally.engine.files.disk import FREE_MIN_BYTES, format_free_space
from tally.engine.storing import clock
from tally.errors import UnknownArchive
from tally.log import pluralize
from tally.settings import SETTINGS, Settings

HEADER = ("archive", "is", "names", "rows", "unsealed", "expired", "bytes", "wal")


@click.command(cls=Documented)
@click.argument("archives", metavar="[ARCHIVE]...", nargs=-1, shell_complete=slugs_or_files)
@click.option("--json", "as_json", is_flag=True, help="print JSON instead of a table")
@with_settings("TALLY_DATA_DIR", "TALLY_MAX_FUTURE")
@click.pass_context
def check(context: click.Context, /, *, settings: Settings, archives: tuple[str, ...], as_json: bool) -> None:
    """Look whether archives are sound, and settings and space in order.

    Reads all of every archive, or of each ARCHIVE. Checks also the ledger of the keys under which samples were posted,
    spill files that have no archive, further names of an archive's file, logs that another program keeps from being
    emptied, whether there is space, whether all users of the machine may write the files, and whether settings are
    right.

    Samples that wait in a spill file, what a wrong clock has left in the future, and settings in the environment that
    tally does not know are told as notes. It repairs nothing. An archive in --data-dir that is damaged is marked as
    such, so that nothing is written to it, and one that is found sound no longer is.

    Arguments:
      ARCHIVE  a slug in --data-dir, or the path of a file, such as a backup: what ends in .db or has a / in it

    Columns:
      is           sound, damaged, or unavailable where it cannot be read now
      names, rows  how many metric names and cells it holds
      unsealed     rows that are not yet indexed by name, which is as it should be
      expired      rows past the retention, which go with the next commits
      bytes, wal   sizes of the file and of SQLite's log beside it

    Examples:
      tally check
      tally check /var/backups/tally/daily.db
      tally check --json --data-dir /var/lib/tally

    Exit status:
      0  nothing is wrong; there may be notes
      1  something is wrong, or the output cannot be written

    Output:
      stdout  a table and below it what is wrong, or with --json one object
      stderr  nothing but errors, and on a terminal how far it is

    See also:
      tally health asks a running tally
    """
    found, missing = _found(settings, archives)
    checkups = list(_checked(found, settings.max_future))
    folders = sorted({archive.path.parent for archive in found} | ({settings.data_dir} if not archives else set()))
    left = [text for folder in folders for text in orphans(Catalog(folder))]
    wrong = [*missing, *_damages(checkups), *_logs(found), *_names(folders), *_ledgers(folders), *left]
    wrong += [*_tight(folders), *_exposed(found)]
    notes = [*_spills(found), *_clocks(checkups), *_unknown(os.environ)]
    if as_json:
        listed = [asdict(checkup) for checkup in checkups]
        click.echo(json.dumps({"archives": listed, "wrong": wrong, "notes": notes}, indent=2, ensure_ascii=False))
    else:
        _print(checkups, wrong, notes)
    context.exit(FAILED if wrong else 0)


def _found(settings: Settings, names: Sequence[str]) -> tuple[list[Archive], list[str]]:
    """Return the named archives, or all where none is named, and what is said of those that there are not."""
    if not names and not Catalog(settings.data_dir).listing().others:
        return find_archives(settings, ()), []
    if not names:
        return Catalog(settings.data_dir).archives(), []
    found, missing = [], []
    for name in names:
        try:
            found.append(find_file(settings, name))
        except UnknownArchive as error:
            missing.append(str(error))
    return found, missing


def _checked(archives: Sequence[Archive], max_future_s: int) -> Iterator[Checkup]:
    with Progress(len(archives)) as progress:
        for number, archive in enumerate(archives):
            progress.show(f"reading {archive.slug}", number)
            yield archive.check(max_future_s=max_future_s)


def _damages(checkups: Sequence[Checkup]) -> Iterator[str]:
    for checkup in checkups:
        for text in filter(None, (*checkup.damage, checkup.unavailable)):
            yield f"{checkup.slug}: {text}"


def _logs(archives: Sequence[Archive]) -> Iterator[str]:
    for archive in archives:
        if size_bytes := archive.held_log_bytes():
            yield held_log(archive.slug, size_bytes)


def _names(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        listing = Catalog(folder).listing()
        yield from (f"{folder / slug}.db is {what}, and no file" for slug, what in listing.others.items())
        yield from (f"{folder}: {further_name(slug, first)}" for slug, first in listing.aliases.items())


def _spills(archives: Sequence[Archive]) -> Iterator[str]:
    for archive in archives:
        if text := waiting(archive):
            yield f"{text}: a collector takes them up as soon as it can be written"


def _ledgers(folders: Sequence[Path]) -> Iterator[str]:
    return filter(None, (Catalog(folder).ledger.damage() for folder in folders))


def _tight(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < FREE_MIN_BYTES:
            yield f"{folder}: {format_free_space(free_bytes)}"


def _exposed(archives: Sequence[Archive]) -> Iterator[str]:
    for path in sorted({path for archive in archives for path in (archive.path, archive.path.parent)}):
        if path.stat().st_mode & S_IWOTH:
            yield f"{path}: every user of this machine may write it"


def _clocks(checkups: Sequence[Checkup]) -> Iterator[str]:
    """Yield what a clock that is or was wrong has to do with archives."""
    for slug, has in ((checkup.slug, checkup.contents) for checkup in checkups):
        if has and has.doubted is not None:
            yield clock.describe_doubt(slug)
        if has and has.future:
            found = f"{slug}: {pluralize(has.future.buckets, 'bucket')} in the future"
            first, last = utc(has.future.first), utc(has.future.last)
            advice = f"if a wrong clock left them, remove them: tally names delete {slug} '*' --since {first}"
            yield f"{found}, from {first} to {last}; {advice}"


def _unknown(environment: Mapping[str, str]) -> Iterator[str]:
    known = {setting.name for setting in SETTINGS}
    for name in sorted(environment):
        if name.startswith("TALLY_") and name not in known:
            yield f"{name} in the environment is no setting of tally's"


def _print(checkups: Sequence[Checkup], wrong: Sequence[str], notes: Sequence[str]) -> None:
    echo_table(HEADER, [_row(checkup) for checkup in checkups])
    for kind, texts in (("wrong", wrong), ("note", notes)):
        for text in texts:
            click.echo(f"{kind}: {text}")


def _row(checkup: Checkup) -> tuple[Cell, ...]:
    has = checkup.contents
    state = "damaged" if checkup.damage else "unavailable" if checkup.unavailable else "sound"
    numbers: tuple[Any, ...] = (None,) * 6
    if has:
        numbers = (has.names, has.rows, has.unsealed, has.expired, has.bytes, has.wal_bytes)
    return (checkup.slug, state, *numbers)
