"""Lays out `--help` as a manual page, from the docstring and the options of a command.

    Store the lines of files in the archives.                 <- the summary, also shown in lists of commands

    Every enabled archive gets what its pattern matches.      <- the description, in paragraphs

    Arguments:                                                <- sections of any name
      FILE  lines NAME VALUE [TIMESTAMP], one a sample;       <- a term and, after two spaces, its meaning,
            - is stdin                                           continued on more indented lines
    Examples:                                                 <- the options are inserted before this section
      tally import samples.lines                              <- each line is a command that works
    Exit status:                                              <- added to EXITS

Text is wrapped at spaces to the width of the terminal, within NARROWEST and WIDEST, so that commands and paths stay
whole.
"""

import inspect
import itertools
import re
import shutil
import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

import click

NARROWEST, WIDEST = 40, 100
TERM_WIDEST, GAP = 26, 2
EXAMPLES, STATUSES = "Examples", "Exit status"
EXITS = {
    "0": "done",
    "1": "the output cannot be written: the disk is full, or the reader closed it",
    "2": "an argument is wrong or cannot be used: stderr has one line with the reason",
    "130": "interrupted, as by Ctrl-C",
}

_HEADING = re.compile(r"([A-Z][a-z ]+):")
_ROW = re.compile(r"(\S.*?)  +(.+)")
_BRACKET = re.compile(r"\[[^\]]*\]$")


class Section(NamedTuple):
    """A section of the docstring, without its indentation."""

    heading: str
    lines: list[str]

    def rows(self) -> list[tuple[str, str]]:
        """Return terms and their meanings, one line each."""
        found: list[tuple[str, str]] = []
        for line in self.lines:
            if row := _ROW.fullmatch(line):
                found.append((row[1], row[2]))
            elif found:
                found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        return found


class Formatter(click.HelpFormatter):
    """Formats for a terminal."""

    def __init__(self, **_given: Any) -> None:
        columns = shutil.get_terminal_size().columns
        super().__init__(width=max(NARROWEST, min(columns, WIDEST)) - 2)

    def write_description(self, text: str) -> None:
        """Write the text after the usage."""
        self.write_paragraph()
        with self.indentation():
            self.write_text(text)

    def write_text(self, text: str) -> None:
        """Write paragraphs, which are separated by empty lines."""
        indent = " " * self.current_indent
        self.write("\n".join(f"{_fill(each, self.width, indent, indent)}\n" for each in text.split("\n\n")))

    def write_dl(self, rows: Iterable[tuple[str, str]], *_widths: Any, **_more: Any) -> None:
        """Write terms and meanings in two columns. A term that is wider than its column gets its own line."""
        rows = list(rows)
        widest = min(max(len(term) for term, _ in rows), TERM_WIDEST, self.width // 3)
        indent = " " * self.current_indent
        hang = indent + " " * (widest + GAP)
        for term, text in rows:
            lead = f"{indent}{term}".ljust(len(hang))
            if len(term) > widest:
                self.write(f"{indent}{term}\n")
                lead = hang
            self.write(f"{_fill(text, self.width, lead, hang)}\n")

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write lines unchanged."""
        self.write("".join(f"{' ' * self.current_indent}{line}".rstrip() + "\n" for line in lines))


class Context(click.Context):
    """The context of a command, with our formatter."""

    formatter_class = Formatter


class Documented(click.Command):
    """A command whose docstring has sections."""

    context_class = Context

    @property
    def summary(self) -> str:
        """The first sentence of its help."""
        return (self.help or "").strip().partition("\n")[0]

    def description(self) -> str:
        """Return the text before the first section, including the summary."""
        return _split(self.help)[0]

    def sections(self) -> list[Section]:
        """Return the sections in order, with the exit statuses after the examples."""
        found = {section.heading: section for section in _split(self.help)[1]}
        statuses = Section(STATUSES, _list_statuses(found.pop(STATUSES, Section(STATUSES, []))))
        whole = [(each, statuses) if each.heading == EXAMPLES else (each,) for each in found.values()]
        return list(itertools.chain(*whole))

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return --help with our description."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "show this text and exit"
        return option

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the text before the options."""
        assert isinstance(formatter, Formatter)
        formatter.write_description(self.description())
        _write(formatter, self._split_at_options()[0])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the text after the options."""
        assert isinstance(formatter, Formatter)
        _write(formatter, self._split_at_options()[1])

    def _split_at_options(self) -> tuple[list[Section], list[Section]]:
        sections = self.sections()
        headings = [section.heading for section in sections]
        at = headings.index(EXAMPLES) if EXAMPLES in headings else len(sections)
        return sections[:at], sections[at:]


def _split(text: str | None) -> tuple[str, list[Section]]:
    """Return the text before the first heading, and the sections."""
    before: list[str] = []
    sections: list[Section] = []
    for line in inspect.cleandoc(text or "").split("\n"):
        if heading := _HEADING.fullmatch(line):
            sections.append(Section(heading[1], []))
        elif sections:
            sections[-1].lines.append(line.removeprefix("  "))
        else:
            before.append(line)
    return "\n".join(before).strip(), [Section(each.heading, _trim(each.lines)) for each in sections]


def _trim(lines: list[str]) -> list[str]:
    return "\n".join(lines).strip("\n").split("\n")


def _list_statuses(section: Section) -> list[str]:
    meanings = EXITS | dict(section.rows())
    return [f"{status}  {meanings[status]}" for status in sorted(meanings, key=int)]


def _write(formatter: Formatter, sections: Iterable[Section]) -> None:
    for section in sections:
        rows = section.rows()
        with formatter.section(section.heading):
            if section.heading == EXAMPLES:
                formatter.write_lines(section.lines)
            elif rows:
                formatter.write_dl(rows)
            else:
                formatter.write_text("\n".join(section.lines))


def _fill(text: str, width: int, lead: str, hang: str) -> str:
    # A setting and its default, in brackets at the end, are kept on one line if they fit.
    whole = _BRACKET.sub(lambda found: found[0].replace(" ", "\xa0"), text)
    given = whole if len(whole.rpartition("  ")[2]) <= width - len(hang) else text
    lines = textwrap.wrap(
        given, width, initial_indent=lead, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\xa0", " ")
