"""What several commands take: an option for a setting, made from the one table of settings, and an archive's slug.

An option is named after its setting, TALLY_DATA_DIR is --data-dir, takes what the setting takes and beats it.
"""

import functools
from collections.abc import Callable
from typing import Any

import click

from tally.engine import Archive, Catalog
from tally.errors import UnknownArchive
from tally.settings import SETTINGS, Setting, Settings

Command = Callable[..., Any]


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command an option for each of these settings, and hand it all settings as `settings`."""
    chosen = [setting for setting in SETTINGS if setting.name in names]
    assert len(chosen) == len(names), f"not all of these are settings: {names}"

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
