"""`tally check`: verifies archives, settings, disk space and permissions."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from stat import S_IWOTH
from typing import Any

import click

from tally.alerts.memory import Memory
from tally.api.health import AUTO_RESERVED, describe_alias, describe_held_log
from tally.cli.completion import slugs_or_files
from tally.cli.group import FAILED
from tally.cli.manual import Documented
from tally.cli.options import find_archives, find_file, with_settings
from tally.cli.progress import Progress
from tally.cli.spilled import describe_spill, find_orphans
from tally.cli.table import Cell, echo_table, format_utc
from tally.engine import Archive, Catalog, Checkup
from tally.engine.events import FILE as EVENTS_FILE
from tally.engine.files.disk import FREE_MIN_BYTES, format_free_space
from tally.engine.storing import clock
from tally.errors import TallyError, UnknownArchive
from tally.log import pluralize
from tally.settings import SETTINGS, Settings

HEADER = ("archive", "is", "names", "rows", "unsealed", "expired", "bytes", "wal")


@click.command(cls=Documented)
@click.argument("archives", metavar="[ARCHIVE]...", nargs=-1, shell_complete=slugs_or_files)
@click.option("--json", "as_json", is_flag=True, help="print JSON instead of a table")
@with_settings("TALLY_DATA_DIR", "TALLY_MAX_FUTURE")
@click.pass_context
def check(context: click.Context, /, *, settings: Settings, archives: tuple[str, ...], as_json: bool) -> None:
    """Check archives for corruption, and verify settings and disk space.

    Reads every archive, or each ARCHIVE, completely. Also checks the ledger of idempotency keys, the events, the memory
    of alerts, the readings of counters, the units of metrics, spill files without an archive, links to an archive,
    write-ahead logs that another program keeps from being emptied, disk space, files that every user may write, and
    settings.

    Samples in spill files, buckets in the future and unknown TALLY_ variables are reported as notes. Nothing is
    repaired. A damaged archive in --data-dir is marked, so that nothing more is written to it; the mark of a sound one
    is removed.

    Arguments:
      ARCHIVE  a slug in --data-dir, or the path of a file such as a backup, which ends in .db or contains a /

    Columns:
      is           sound, damaged, or unavailable if it cannot be read now
      names, rows  the numbers of metric names and cells
      unsealed     rows that are not yet indexed by name; this is normal
      expired      rows past the retention, removed by the next commits
      bytes, wal   sizes of the file and of SQLite's log beside it

    Examples:
      tally check
      tally check /var/backups/tally/daily.db
      tally check --json --data-dir /var/lib/tally

    Exit status:
      0  no problem; there may be notes
      1  a problem was found, or the output cannot be written

    Output:
      stdout  a table followed by problems and notes, or with --json one object
      stderr  errors only, and on a terminal the progress

    See also:
      tally health checks a running server
    """
    found, missing = _find_archives(settings, archives)
    checkups = list(_check_all(found, settings.max_future))
    named = {path.parent for path in map(Path, archives) if _is_events(path)}
    folders = sorted(
        {archive.path.parent for archive in found} | named | ({settings.data_dir} if not archives else set())
    )
    left = [text for folder in folders for text in find_orphans(Catalog(folder))]
    wrong = [
        *missing,
        *_find_damage(checkups),
        *_find_held_logs(found),
        *_find_extra_names(folders),
        *_find_damaged_files(folders),
        *left,
    ]
    wrong += [*_find_low_space(folders), *_find_writable_by_all(found)]
    notes = [*_find_spills(found), *_find_clock_notes(checkups), *_find_unknown_settings(os.environ)]
    if as_json:
        listed = [asdict(checkup) for checkup in checkups]
        click.echo(json.dumps({"archives": listed, "wrong": wrong, "notes": notes}, indent=2, ensure_ascii=False))
    else:
        _print(checkups, wrong, notes)
    context.exit(FAILED if wrong else 0)


def _find_archives(settings: Settings, names: Sequence[str]) -> tuple[list[Archive], list[str]]:
    """Return the named archives, or all if none is named, and a sentence for each that is missing."""
    listing = Catalog(settings.data_dir).listing()
    if not names and not listing.others and not listing.has_auto:
        return find_archives(settings, ()), []
    if not names:
        return Catalog(settings.data_dir).archives(), []
    found, missing = [], []
    for name in names:
        if _is_events(Path(name)):
            continue
        try:
            found.append(find_file(settings, name))
        except UnknownArchive as error:
            missing.append(str(error))
    return found, missing


def _is_events(path: Path) -> bool:
    """Return whether this is a file of events, which is checked with its directory."""
    return path.name == EVENTS_FILE and path.is_file()


def _check_all(archives: Sequence[Archive], max_future_s: int) -> Iterator[Checkup]:
    with Progress(len(archives)) as progress:
        for number, archive in enumerate(archives):
            progress.show(f"reading {archive.slug}", number)
            yield archive.check(max_future_s=max_future_s)


def _find_damage(checkups: Sequence[Checkup]) -> Iterator[str]:
    for checkup in checkups:
        for text in filter(None, (*checkup.damage, checkup.unavailable)):
            yield f"{checkup.slug}: {text}"


def _find_held_logs(archives: Sequence[Archive]) -> Iterator[str]:
    for archive in archives:
        if size_bytes := archive.held_log_bytes():
            yield describe_held_log(archive.slug, size_bytes)


def _find_extra_names(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        listing = Catalog(folder).listing()
        yield from (f"{folder / slug}.db is {what}, not a file" for slug, what in listing.others.items())
        yield from (f"{folder}: {describe_alias(slug, first)}" for slug, first in listing.aliases.items())
        if listing.has_auto:
            yield f"{folder}: {AUTO_RESERVED}"


def _find_spills(archives: Sequence[Archive]) -> Iterator[str]:
    for archive in archives:
        if text := describe_spill(archive):
            yield f"{text}: a collector adds them as soon as the archive can be written"


def _find_damaged_files(folders: Sequence[Path]) -> Iterator[str]:
    for catalog in map(Catalog, folders):
        files = (catalog.ledger, catalog.events, catalog.counters, Memory(catalog.directory))
        yield from filter(None, (each.damage() for each in files))
        try:
            catalog.units()
        except TallyError as error:
            yield str(error)


def _find_low_space(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < FREE_MIN_BYTES:
            yield f"{folder}: {format_free_space(free_bytes)}"


def _find_writable_by_all(archives: Sequence[Archive]) -> Iterator[str]:
    for path in sorted({path for archive in archives for path in (archive.path, archive.path.parent)}):
        if path.stat().st_mode & S_IWOTH:
            yield f"{path}: every user of this machine can write to it"


def _find_clock_notes(checkups: Sequence[Checkup]) -> Iterator[str]:
    """Yield notes on archives that doubt the clock or have buckets in the future."""
    for slug, has in ((checkup.slug, checkup.contents) for checkup in checkups):
        if has and has.doubted is not None:
            yield clock.describe_doubt(slug)
        if has and has.future:
            found = f"{slug}: {pluralize(has.future.buckets, 'bucket')} in the future"
            first, last = format_utc(has.future.first), format_utc(has.future.last)
            advice = f"if a wrong clock left them, remove them: tally names delete {slug} '*' --since {first}"
            yield f"{found}, from {first} to {last}; {advice}"


def _find_unknown_settings(environment: Mapping[str, str]) -> Iterator[str]:
    known = {setting.name for setting in SETTINGS}
    for name in sorted(environment):
        if name.startswith("TALLY_") and name not in known:
            yield f"{name} in the environment is not a setting of tally"


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
