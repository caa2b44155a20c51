"""How commands are found and how what goes wrong is told: in one line on stderr.

Exit statuses: 0 done, 1 the output could not be written or samples were lost, 2 what was given is wrong or of no use,
130 interrupted.

What is printed is UTF-8, as names are, whatever the locale. Where stdout or stderr is closed, it goes nowhere.
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
    """Commands under one name, listed in the order in which they were added.

    Named alone, or with options only, it runs its `default` command where it has one, and else shows its help.
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
        """Return the names of the commands and the first sentence of the help of each."""
        return [(name, each.summary) for name, each in self.commands.items() if isinstance(each, Documented)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(self.summaries())


class Entry(NamedTuple):
    """Where a command is: an attribute of a module. `summary` is the first line of its help."""

    module: str
    attribute: str
    summary: str


class Program(Group):
    """The whole command line. A command's module is imported when the command is run, not before."""

    def __init__(self, name: str, entries: Mapping[str, Entry], **settings: Any) -> None:
        # Stand-ins, from which click lists the names and tells similar ones.
        super().__init__(name, commands={each: click.Command(each) for each in entries}, **settings)
        self.entries = entries

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = self.entries.get(cmd_name)
        return None if entry is None else getattr(import_module(entry.module), entry.attribute)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands, of which none is imported, or options."""
        offered = [CompletionItem(name, help=summary) for name, summary in self.summaries()]
        options = super(click.Group, self).shell_complete(ctx, incomplete)
        return [*(item for item in offered if item.value.startswith(incomplete)), *options]

    def summaries(self) -> list[tuple[str, str]]:
        """Return those of the entries, of which none is imported."""
        return [(name, entry.summary) for name, entry in self.entries.items()]

    def invoke(self, ctx: click.Context) -> None:
        """Run the command that was named; an interruption leaves no word."""
        try:
            super().invoke(ctx)
            # Here, where click still catches it, and not while the interpreter ends.
            sys.stdout.flush()
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)

    def main(self, *arguments: Any, **settings: Any) -> NoReturn:
        """Run a command line, `sys.argv` where none is given, and exit with its status."""
        _prepare_outputs()
        try:
            status = super().main(*arguments, **{"prog_name": self.name, **settings, "standalone_mode": False})
        except click.Abort:
            status = INTERRUPTED
        except (click.ClickException, TallyError, OSError) as error:
            status = FAILED if isinstance(error, (OSError, SamplesLost, OutOfMemory)) else WRONG
            click.echo(" ".join(_told(error).split()), err=True)
        sys.exit(status)


def _prepare_outputs() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        elif stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the process ends


def _told(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and context is not None:
        message = error.format_message().rstrip(".")
        end = " See" if message.endswith("?") else "; see"
        return f"{context.command_path}: {message[:1].lower()}{message[1:]}{end} {context.command_path} --help"
    return f"tally: {error.format_message() if isinstance(error, click.ClickException) else error}"
