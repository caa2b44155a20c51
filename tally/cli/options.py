"""Options shared by commands, made from the table of settings, and lookups of archives.

The option of a setting is named after it: --data-dir for TALLY_DATA_DIR. It accepts the same values and takes
precedence.
"""

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from tally.cluster.catalog import open_answers
from tally.engine import Archive, Auto, Catalog
from tally.engine.definition import AUTO
from tally.errors import UnknownArchive
from tally.log import FORMATS
from tally.settings import SETTINGS, Setting, Settings

Command = Callable[..., Any]

# The meaning of the address for a collector, and for a sender.
LISTENING = {
    "TALLY_HOST": "address to listen on for samples",
    "TALLY_PORT": "UDP port to listen on; 0: the kernel chooses a free one",
}
# Further sockets for lines.
LINES = ("TALLY_TCP_PORT", "TALLY_PICKLE_PORT", "TALLY_UNIX_DATAGRAM", "TALLY_UNIX_STREAM")
SENDING = {"TALLY_HOST": "address of the collector", "TALLY_PORT": "UDP port of the collector"}


def with_settings(*names: str, **meanings: str) -> Callable[[Command], Command]:
    """Add an option for each of these settings to a command, and pass it all settings as `settings`.

    `meanings` are further settings, with their meaning for this command.
    """
    chosen = [_with_meaning(setting, meanings) for setting in SETTINGS if setting.name in {*names, *meanings}]
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


def _with_meaning(setting: Setting, meanings: Mapping[str, str]) -> Setting:
    return setting._replace(meaning=meanings[setting.name], zero="") if setting.name in meanings else setting


def with_log_format(command: Command) -> Command:
    """Add the option for the format of the log to a command, and pass it as `log_format`."""
    text = "format of the log on stderr: plain lines, or JSON objects with time and level"
    return click.option("--log-format", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help=text)(
        command
    )


COLLECTOR_HELP = """
Exit status:
  0    stopped by SIGTERM, SIGINT or SIGHUP, with all samples stored or spilled
  1    samples were lost at the end, or memory ran out: the last lines on stderr say how many and why
  2    a setting is wrong, or an address or the directory cannot be used: stderr has one line with the reason
  130  interrupted before it started to collect

Output:
  stdout  nothing
  stderr  the log: addresses, changes of archives and losses, in --log-format

Files:
  SLUG.db     in --data-dir: an archive, with SLUG.db-wal and SLUG.db-shm beside it while it runs
  SLUG.spill  samples that could not be written yet
"""


def with_collector_help(function: Command) -> Command:
    """Add to a command's help what holds for every command that collects."""
    text = inspect.cleandoc(function.__doc__ or "")
    function.__doc__ = text.replace("\nSee also:", f"{COLLECTOR_HELP}\nSee also:")
    return function


def with_clock(command: Command) -> Command:
    """Add the option that confirms the clock to a command, and pass it as `clock_is_right`."""
    text = "trust the system clock even if all buckets of an archive are past its retention by it"
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

    :raises UnknownArchive: when there is none; the text says where.
    """
    try:
        return Catalog(settings.data_dir)[slug]
    except UnknownArchive as error:
        raise UnknownArchive(f"{error} in {settings.data_dir}") from None


def find_archives(settings: Settings, slugs: Iterable[str]) -> list[Archive]:
    """Return the archives of these slugs, each once, or all in the data directory if there are no slugs.

    :raises UnknownArchive: when one of them does not exist, or there are none.
    """
    found = [find_archive(settings, slug) for slug in dict.fromkeys(slugs)] or Catalog(settings.data_dir).archives()
    if not found:
        raise UnknownArchive(f"there is no archive in {settings.data_dir}: see `tally archives create`")
    return found


def find_source(settings: Settings, archive: str) -> Archive | Auto:
    """Return what answers queries: as `find_file`, or for `auto` the archive that fits each query best.

    With TALLY_ANSWER_FROM=cluster, a slug is that of an archive in the cluster.

    :raises UnknownArchive: when there is none.
    :raises ClusterUnavailable: when the cluster cannot be used.
    """
    answers = open_answers(settings, Catalog(settings.data_dir))
    if archive == AUTO:
        return answers.auto
    is_in_cluster = settings.answer_from == "cluster" and not is_path(archive)
    return answers[archive] if is_in_cluster else find_file(settings, archive)


def is_path(archive: str) -> bool:
    """Return whether the text is the path of a file, and not a slug."""
    return os.sep in archive or archive.endswith(".db")


def find_file(settings: Settings, archive: str) -> Archive:
    """Return the archive of a slug, as `find_archive`, or of a path, which ends in .db or contains a /.

    :raises UnknownArchive: when there is none.
    """
    if not is_path(archive):
        return find_archive(settings, archive)
    if not Path(archive).is_file():
        raise UnknownArchive(f"there is no file {archive!r:.200}")
    return Archive(archive)
