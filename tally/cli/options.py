"""What several commands take: an option for a setting, made from the one table of settings, and an archive's slug.

An option is named after its setting, TALLY_DATA_DIR is --data-dir, takes what the setting takes and beats it.
"""

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from tally.engine import Archive, Catalog
from tally.errors import UnknownArchive
from tally.log import FORMATS
from tally.settings import SETTINGS, Setting, Settings

Command = Callable[..., Any]

# What the address means to those who collect, and to those who send.
LISTENING = {
    "TALLY_HOST": "address to listen on for samples",
    "TALLY_PORT": "UDP port to listen on; 0: the kernel chooses a free one",
}
# Where lines are taken beside.
LINES = ("TALLY_TCP_PORT", "TALLY_UNIX_DATAGRAM", "TALLY_UNIX_STREAM")
SENDING = {"TALLY_HOST": "address of the collector", "TALLY_PORT": "UDP port of the collector"}


def with_settings(*names: str, **meanings: str) -> Callable[[Command], Command]:
    """Give a command an option for each of these settings, and hand it all settings as `settings`.

    `meanings` are further settings, with what they mean to this command.
    """
    chosen = [_meant(setting, meanings) for setting in SETTINGS if setting.name in {*names, *meanings}]
    assert len(chosen) == len(names) + len(meanings), f"not all of these are settings: {names}, {meanings}"

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def loading(*arguments: Any, **given: Any) -> Any:
            overrides = {setting.field: given.pop(setting.field) for setting in chosen}
            return command(*arguments, settings=Settings.load(**overrides), **given)

        with_options: Command = loading
        for setting in reversed(chosen):
            with_options = _option(setting)(with_options)
        return with_options

    return decorate


def _meant(setting: Setting, meanings: Mapping[str, str]) -> Setting:
    return setting._replace(meaning=meanings[setting.name], zero="") if setting.name in meanings else setting


def with_log_format(command: Command) -> Command:
    """Give a command the option for how its log is written, and hand it that as `log_format`."""
    text = "how what happens is written to stderr: as a line, or as JSON with time and level"
    return click.option("--log-format", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help=text)(
        command
    )


def with_clock(command: Command) -> Command:
    """Give a command the option that the clock is right, and hand it that as `clock_is_right`."""
    text = "let buckets expire by the clock though archives have had none near it for longer than they keep them"
    return click.option("--clock-is-right", is_flag=True, help=text)(command)


def _option(setting: Setting) -> Callable[[Command], Command]:
    flag = "--" + setting.field.replace("_", "-")

    def parse(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
        return None if text is None else setting._replace(name=flag).parse(text)

    metavar = setting.kind.noun.split()[-1].upper()
    return click.option(flag, setting.field, metavar=metavar, callback=parse, help=_help(setting))


def _help(setting: Setting) -> str:
    unit = f", in {setting.unit}" if setting.unit and setting.unit not in setting.meaning else ""
    zero = f"; 0: {setting.zero}" if setting.zero else ""
    default = f"; default {setting.default}" if setting.default else ""
    return f"{setting.meaning}{unit}{zero}  [{setting.name}{default}]"


def find_archive(settings: Settings, slug: str) -> Archive:
    """Return the archive of that slug in the data directory.

    :raises UnknownArchive: when there is none; tells also where it was looked for.
    """
    try:
        return Catalog(settings.data_dir)[slug]
    except UnknownArchive as error:
        raise UnknownArchive(f"{error} in {settings.data_dir}") from None


def find_archives(settings: Settings, slugs: Iterable[str]) -> list[Archive]:
    """Return the archives of these slugs, each once, or without slugs all in the data directory.

    :raises UnknownArchive: when one or all of them are not there.
    """
    found = [find_archive(settings, slug) for slug in dict.fromkeys(slugs)] or Catalog(settings.data_dir).archives()
    if not found:
        raise UnknownArchive(f"there is no archive in {settings.data_dir}: see `tally archives create`")
    return found


def find_file(settings: Settings, archive: str) -> Archive:
    """Return the archive of a slug, as `find_archive`, or in the file of a path: what ends in .db or has a / in it.

    :raises UnknownArchive: when there is none.
    """
    if os.sep not in archive and not archive.endswith(".db"):
        return find_archive(settings, archive)
    if not Path(archive).is_file():
        raise UnknownArchive(f"there is no file {archive!r:.200}")
    return Archive(archive)
