"""Writes the help of each command as a manual page: `python -m tally.cli.manpages DIRECTORY`.

It is meant for packages, and for `man tally-query` with the directory ~/.local/share/man/man1.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click

from tally import __version__
from tally.cli import main
from tally.cli.manual import Context, Documented, Formatter

SECTION = 1
SEE_ALSO = "See also"


class Roff(Formatter):
    """Formats for `man`. References to other commands are written as their pages: tally-check(1)."""

    _refers = False

    def write_usage(self, prog: str, args: str = "", *_prefix: Any, **_more: Any) -> None:
        """Write the synopsis."""
        self.write(f".SH SYNOPSIS\n.B {_escape(prog)}\n{_escape(args)}\n")

    def write_description(self, text: str) -> None:
        """Write the text after the synopsis."""
        self.write(".SH DESCRIPTION\n")
        self.write_text(text)

    def write_heading(self, heading: str) -> None:
        """Begin a section."""
        self._refers = heading == SEE_ALSO
        self.write(f".SH {heading.upper()}\n")

    def write_paragraph(self) -> None:
        """Skip the empty line, since headings have their own."""

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        if self._refers:
            text = _command().sub(lambda found: f"{found[1].replace(' ', '-')}({SECTION})", text)
        self.write("".join(f".PP\n{_escape(' '.join(each.split()))}\n" for each in text.split("\n\n")))

    def write_dl(self, rows: Iterable[tuple[str, str]], *_widths: Any, **_more: Any) -> None:
        """Write terms and meanings."""
        self.write("".join(f".TP\n.B {_escape(term)}\n{_escape(text)}\n" for term, text in rows))

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write lines unchanged."""
        self.write("".join(f"{line}\n" for line in (".PP", ".nf", *map(_escape, lines), ".fi")))


class RoffContext(Context):
    """The context of a command, with the formatter for `man`."""

    formatter_class = Roff


def pages(command: click.Command = main, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Yield file names and pages of a command and its subcommands."""
    context = RoffContext(command, parent, command.name)
    assert isinstance(command, Documented)
    yield f"{_page_name(context)}.{SECTION}", _page(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from pages(below, context)


@cache
def _command() -> re.Pattern[str]:
    """Return a pattern for commands, with or without backticks, the longest name first."""
    names = sorted(_names(main, click.Context(main, info_name=main.name)), reverse=True)
    return re.compile(rf"`?\b({'|'.join(names)})\b`?")


def _names(command: click.Command, context: click.Context) -> Iterator[str]:
    yield context.command_path
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _names(below, click.Context(below, context, name))


def _page(command: Documented, context: click.Context) -> str:
    name = _page_name(context)
    head = (
        f'.TH "{name.upper()}" {SECTION} "" "tally {__version__}"\n.SH NAME\n{_escape(f"{name} - {command.summary}")}\n'
    )
    return head + command.get_help(context) + "\n"


def _page_name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _escape(text: str) -> str:
    """Return text with all characters escaped that are special to roff."""
    escaped = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    )
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def write(directory: Path) -> None:
    """Write a manual page for each command into DIRECTORY, which is created if missing."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in pages():
        (directory / name).write_text(page, encoding="utf-8")
    click.echo(f"wrote {len(list(pages()))} pages to {directory}")


if __name__ == "__main__":
    write()
