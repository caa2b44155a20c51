"""The command line, described in docs/cli.md. Each command has a module, which is imported when the command runs."""

from typing import Any

import click

from tally.cli.group import Entry, Program

ENTRIES = {
    "serve": Entry(
        "tally.cli.serve",
        "serve",
        "Collect samples and serve the API and dashboard in one process.",
    ),
    "collect": Entry(
        "tally.cli.collect",
        "collect",
        "Collect samples into the archives of the data directory.",
    ),
    "send": Entry("tally.cli.send", "send", "Send one sample, or the lines of files, to a collector by UDP."),
    "import": Entry(
        "tally.cli.importing",
        "import_files",
        "Store the samples or cells of files in the archives, without a collector.",
    ),
    "archives": Entry("tally.cli.archives", "archives", "List, show, create, edit and delete archives."),
    "names": Entry("tally.cli.names", "names", "Remove or rename metric names of an archive."),
    "merge": Entry("tally.cli.merge", "merge", "Add the data of other archives to an archive."),
    "query": Entry("tally.cli.query", "query", "Query an archive, and print the result as a table, JSON or CSV."),
    "export": Entry("tally.cli.exporting", "export", "Write the cells of an archive to a file or stdout."),
    "alerts": Entry("tally.cli.alerts", "alerts", "Check, test, list and silence alerts."),
    "events": Entry("tally.cli.events", "events", "Add and list events, such as deployments."),
    "backup": Entry("tally.cli.backup", "backup", "Back up archives while they are in use, and verify the copies."),
    "restore": Entry(
        "tally.cli.restore",
        "restore",
        "Restore an archive, or a file beside the archives, from a backup while tally is running.",
    ),
    "salvage": Entry(
        "tally.cli.salvage",
        "salvage",
        "Recover the data of a damaged archive into a new one, and report what is missing.",
    ),
    "check": Entry("tally.cli.check", "check", "Check archives for corruption, and verify settings and disk space."),
    "health": Entry("tally.cli.health", "health", "Check whether a running server is ready."),
    "cluster": Entry("tally.cli.cluster", "cluster", "Set up and watch the ClickHouse cluster of many collectors."),
    "replicate": Entry("tally.cli.replicate", "replicate", "Replicate the archives into the ClickHouse cluster."),
    "demo": Entry("tally.cli.demo", "demo", "Send made-up page timings, to try out the dashboard."),
}

HELP = """Collect metrics of applications, store them in files, and query them.

Every setting is an environment variable, such as TALLY_DATA_DIR. Commands that use a setting also have an option for
it, such as --data-dir, which takes precedence. Tokens are read from the environment only: TALLY_READ_TOKEN and
TALLY_WRITE_TOKEN.

Examples:
  tally serve
  tally send requests.get.index 0.25
  tally query daily avg --by name --since -1h

Exit status:
  1  the output cannot be written: the disk is full, or the reader closed it; or a check failed

Completion by a line in:
  ~/.bashrc  eval "$(_TALLY_COMPLETE=bash_source tally)"
  ~/.zshrc  eval "$(_TALLY_COMPLETE=zsh_source tally)"
  ~/.config/fish/completions/tally.fish  _TALLY_COMPLETE=fish_source tally | source

See also:
  `tally COMMAND --help` explains each command
"""


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    from tally import __version__, native

    if wanted:
        click.echo(f"tally {__version__} ({native.describe()})")
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
