"""Finds and runs commands, and prints each error as one line on stderr.

Exit statuses: 0 done, 1 the output could not be written or samples were lost, 2 wrong usage, 130 interrupted.

The output is UTF-8 in any locale. If stdout or stderr is closed, it is discarded.
"""

import io
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from tally.cli.manual import Documented
from tally.errors import OutOfMemory, SamplesLost, TallyError

FAILED, WRONG, INTERRUPTED = 1, 2, 130


class Group(Documented, click.Group):
    """A group of commands, listed in the order in which they were added.

    Without a command, it runs its `default` command, or else shows its help.
    """

    command_class = Documented

    def __init__(self, *arguments: Any, default: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        has_command = any(not each.startswith("-") or each in ctx.help_option_names for each in args[:1])
        if self.default and not has_command and not ctx.resilient_parsing:
            args = [self.default, *args]
        return super().parse_args(ctx, args or ["--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)

    def summaries(self) -> list[tuple[str, str]]:
        """Return the name and the summary of each command."""
        return [(name, each.summary) for name, each in self.commands.items() if isinstance(each, Documented)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(self.summaries())


class Entry(NamedTuple):
    """The module and attribute of a command, and the first line of its help."""

    module: str
    attribute: str
    summary: str


class Program(Group):
    """The whole command line. The module of a command is imported only when it runs."""

    def __init__(self, name: str, entries: Mapping[str, Entry], **settings: Any) -> None:
        # Placeholders, for click's list of names and its suggestions.
        super().__init__(name, commands={each: click.Command(each) for each in entries}, **settings)
        self.entries = entries

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = self.entries.get(cmd_name)
        return None if entry is None else getattr(import_module(entry.module), entry.attribute)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands, without importing them, or options."""
        offered = [CompletionItem(name, help=summary) for name, summary in self.summaries()]
        options = super(click.Group, self).shell_complete(ctx, incomplete)
        return [*(item for item in offered if item.value.startswith(incomplete)), *options]

    def summaries(self) -> list[tuple[str, str]]:
        """Return the names and summaries without importing the commands."""
        return [(name, entry.summary) for name, entry in self.entries.items()]

    def invoke(self, ctx: click.Context) -> None:
        """Run the command. An interrupt ends it without a message."""
        try:
            super().invoke(ctx)
            # While click still handles errors, not at interpreter exit.
            sys.stdout.flush()
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)

    def main(self, *arguments: Any, **settings: Any) -> NoReturn:
        """Run a command line, by default `sys.argv`, and exit with its status."""
        _prepare_outputs()
        try:
            status = super().main(*arguments, **{"prog_name": self.name, **settings, "standalone_mode": False})
        except click.Abort:
            status = INTERRUPTED
        except (click.ClickException, TallyError, OSError) as error:
            status = FAILED if isinstance(error, (OSError, SamplesLost, OutOfMemory)) else WRONG
            click.echo(" ".join(_format_error(error).split()), err=True)
        sys.exit(status)


def _prepare_outputs() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        elif stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the process ends


def _format_error(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and context is not None:
        message = error.format_message().rstrip(".")
        end = " See" if message.endswith("?") else "; see"
        return f"{context.command_path}: {message[:1].lower()}{message[1:]}{end} {context.command_path} --help"
    return f"tally: {error.format_message() if isinstance(error, click.ClickException) else error}"
