"""Manual pages, made of what `--help` says: `python -m tally.cli.manpages DIRECTORY` writes tally.1, tally-serve.1, …

It is for those who package tally, and for whoever likes `man tally-query`: ~/.local/share/man/man1 is looked through.
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
    """Lays out for `man`, in its macros. What a page refers to is named as its page is: tally-check(1)."""

    _refers = False

    def write_usage(self, prog: str, args: str = "", *_prefix: Any, **_more: Any) -> None:
        """Write how the command is given."""
        self.write(f".SH SYNOPSIS\n.B {_text(prog)}\n{_text(args)}\n")

    def write_description(self, text: str) -> None:
        """Write what comes after the usage."""
        self.write(".SH DESCRIPTION\n")
        self.write_text(text)

    def write_heading(self, heading: str) -> None:
        """Begin a section."""
        self._refers = heading == SEE_ALSO
        self.write(f".SH {heading.upper()}\n")

    def write_paragraph(self) -> None:
        """Leave out the empty line, for headings have their own."""

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        if self._refers:
            text = _command().sub(lambda found: f"{found[1].replace(' ', '-')}({SECTION})", text)
        self.write("".join(f".PP\n{_text(' '.join(each.split()))}\n" for each in text.split("\n\n")))

    def write_dl(self, rows: Iterable[tuple[str, str]], *_widths: Any, **_more: Any) -> None:
        """Write terms and what they mean."""
        self.write("".join(f".TP\n.B {_text(term)}\n{_text(text)}\n" for term, text in rows))

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write lines as they are."""
        self.write("".join(f"{line}\n" for line in (".PP", ".nf", *map(_text, lines), ".fi")))


class RoffContext(Context):
    """A command whose page is wanted."""

    formatter_class = Roff


def pages(command: click.Command = main, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Yield the names of the files and the pages of a command and of all below it."""
    context = RoffContext(command, parent, command.name)
    assert isinstance(command, Documented)
    yield f"{_dashed(context)}.{SECTION}", _page(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from pages(below, context)


@cache
def _command() -> re.Pattern[str]:
    """Return what matches a command, with back quotes around it or without, the longest name first."""
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
    name = _dashed(context)
    head = (
        f'.TH "{name.upper()}" {SECTION} "" "tally {__version__}"\n.SH NAME\n{_text(f"{name} - {command.summary}")}\n'
    )
    return head + command.get_help(context) + "\n"


def _dashed(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _text(text: str) -> str:
    """Return text of which roff takes nothing for its own."""
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
