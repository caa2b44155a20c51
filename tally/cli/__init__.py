"""The command line, described in docs/cli.md: one file a command or group of commands, imported when it is run."""

from typing import Any

import click

from tally.cli.group import Entry, Program

ENTRIES = {
    "serve": Entry(
        "tally.cli.serve",
        "serve",
        "Collect samples and answer over HTTP, in one process, until SIGTERM, SIGINT or SIGHUP.",
    ),
    "collect": Entry(
        "tally.cli.collect",
        "collect",
        "Collect samples into the archives of the data directory, until SIGTERM, SIGINT or SIGHUP.",
    ),
    "send": Entry("tally.cli.send", "send", "Send one sample, or the lines of files, to a collector by UDP."),
    "import": Entry("tally.cli.importing", "import_lines", "Store the lines of files in the archives at once."),
    "archives": Entry("tally.cli.archives", "archives", "List, show, create, edit and delete archives."),
    "names": Entry("tally.cli.names", "names", "Remove metric names from an archive, or a range of their buckets."),
    "query": Entry("tally.cli.query", "query", "Ask an archive, and print the answer as a table, JSON or CSV."),
    "backup": Entry("tally.cli.backup", "backup", "Copy archives as they are now, verified, while they are in use."),
    "restore": Entry("tally.cli.restore", "restore", "Make an archive of a copy again, verified, while tally runs."),
    "salvage": Entry(
        "tally.cli.salvage",
        "salvage",
        "Save what a damaged archive still holds into a new one, and report what is missing.",
    ),
    "check": Entry("tally.cli.check", "check", "Look whether archives are sound, and settings and space in order."),
    "health": Entry("tally.cli.health", "health", "Ask a running tally whether it is ready."),
    "demo": Entry("tally.cli.demo", "demo", "Send made-up page timings for a while, to have something to look at."),
}

HELP = """Keep count, sum, minimum and maximum of what happens in an application, and ask for them.

Every setting is an environment variable, such as TALLY_DATA_DIR, and where a command needs it also an option, such as
--data-dir, which wins. Tokens, TALLY_READ_TOKEN and TALLY_WRITE_TOKEN, are taken from the environment only.

Examples:
  tally serve
  tally send requests.get.index 0.25
  tally query daily avg --by name --since -1h

Exit status:
  1  the output cannot be written, as its disk is full or its reader went away; or the answer is no

Completion by a line in:
  ~/.bashrc  eval "$(_TALLY_COMPLETE=bash_source tally)"
  ~/.zshrc  eval "$(_TALLY_COMPLETE=zsh_source tally)"
  ~/.config/fish/completions/tally.fish  _TALLY_COMPLETE=fish_source tally | source

See also:
  `tally COMMAND --help` explains each command
"""


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    from tally import __version__

    if wanted:
        click.echo(f"tally {__version__}")
        context.exit()


def _version_option() -> Any:
    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="show the version and exit",
    )


main = Program("tally", ENTRIES, params=[_version_option()], help=HELP)
