"""What `--help` says, laid out as a manual page, from a command's docstring and its options.

    Store the lines of files in the archives at once.         <- the summary, which lists of commands show too

    Every enabled archive gets what its pattern matches.      <- what it does and does not, in paragraphs

    Arguments:                                                <- sections of any name
      FILE  lines NAME VALUE [TIMESTAMP], one a sample;       <- a term and, after two spaces, what it means,
            - is stdin                                           which goes on further to the right
    Examples:                                                 <- the options stand before this one
      tally import samples.lines                              <- each line a command that works
    Exit status:                                              <- EXITS, and what is special here

Text is filled to the width of the terminal within NARROWEST and WIDEST, and broken at spaces only, so that what is
there to be copied stays whole.
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
    "1": "the output cannot be written, as its disk is full or its reader went away",
    "2": "something that was given is wrong or cannot be used: one line on stderr tells what",
    "130": "interrupted, as by Ctrl-C",
}

_HEADING = re.compile(r"([A-Z][a-z ]+):")
_ROW = re.compile(r"(\S.*?)  +(.+)")
_BRACKET = re.compile(r"\[[^\]]*\]$")


class Section(NamedTuple):
    """A part of the page, as in the docstring but for its indentation."""

    heading: str
    lines: list[str]

    def rows(self) -> list[tuple[str, str]]:
        """Return terms and what they mean, in one line each."""
        found: list[tuple[str, str]] = []
        for line in self.lines:
            if row := _ROW.fullmatch(line):
                found.append((row[1], row[2]))
            elif found:
                found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        return found


class Formatter(click.HelpFormatter):
    """Lays out for a terminal."""

    def __init__(self, **_given: Any) -> None:
        columns = shutil.get_terminal_size().columns
        super().__init__(width=max(NARROWEST, min(columns, WIDEST)) - 2)

    def write_description(self, text: str) -> None:
        """Write what comes after the usage."""
        self.write_paragraph()
        with self.indentation():
            self.write_text(text)

    def write_text(self, text: str) -> None:
        """Write paragraphs, which empty lines separate."""
        indent = " " * self.current_indent
        self.write("\n".join(f"{_filled(each, self.width, indent, indent)}\n" for each in text.split("\n\n")))

    def write_dl(self, rows: Iterable[tuple[str, str]], *_widths: Any, **_more: Any) -> None:
        """Write terms and what they mean in two columns; a term that is wider than its column has its own line."""
        rows = list(rows)
        widest = min(max(len(term) for term, _ in rows), TERM_WIDEST, self.width // 3)
        indent = " " * self.current_indent
        hang = indent + " " * (widest + GAP)
        for term, text in rows:
            lead = f"{indent}{term}".ljust(len(hang))
            if len(term) > widest:
                self.write(f"{indent}{term}\n")
                lead = hang
            self.write(f"{_filled(text, self.width, lead, hang)}\n")

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write lines as they are."""
        self.write("".join(f"{' ' * self.current_indent}{line}".rstrip() + "\n" for line in lines))


class Context(click.Context):
    """A command that is run, or whose help is wanted."""

    formatter_class = Formatter


class Documented(click.Command):
    """A command whose docstring has sections."""

    context_class = Context

    @property
    def summary(self) -> str:
        """The first sentence of its help."""
        return (self.help or "").strip().partition("\n")[0]

    def description(self) -> str:
        """Return what stands before the first section, the summary included."""
        return _split(self.help)[0]

    def sections(self) -> list[Section]:
        """Return the sections in their order, with all exit statuses after the examples."""
        found = {section.heading: section for section in _split(self.help)[1]}
        statuses = Section(STATUSES, _exits(found.pop(STATUSES, Section(STATUSES, []))))
        whole = [(each, statuses) if each.heading == EXAMPLES else (each,) for each in found.values()]
        return list(itertools.chain(*whole))

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return --help, described as other options are."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "show this text and exit"
        return option

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write what stands before the options."""
        assert isinstance(formatter, Formatter)
        formatter.write_description(self.description())
        _write(formatter, self._halves()[0])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write what stands after the options."""
        assert isinstance(formatter, Formatter)
        _write(formatter, self._halves()[1])

    def _halves(self) -> tuple[list[Section], list[Section]]:
        sections = self.sections()
        headings = [section.heading for section in sections]
        at = headings.index(EXAMPLES) if EXAMPLES in headings else len(sections)
        return sections[:at], sections[at:]


def _split(text: str | None) -> tuple[str, list[Section]]:
    """Return what stands before the first heading, and the sections."""
    before: list[str] = []
    sections: list[Section] = []
    for line in inspect.cleandoc(text or "").split("\n"):
        if heading := _HEADING.fullmatch(line):
            sections.append(Section(heading[1], []))
        elif sections:
            sections[-1].lines.append(line.removeprefix("  "))
        else:
            before.append(line)
    return "\n".join(before).strip(), [Section(each.heading, _trimmed(each.lines)) for each in sections]


def _trimmed(lines: list[str]) -> list[str]:
    return "\n".join(lines).strip("\n").split("\n")


def _exits(section: Section) -> list[str]:
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


def _filled(text: str, width: int, lead: str, hang: str) -> str:
    # What stands in brackets at the end, a setting and its default, is not broken where it fits.
    whole = _BRACKET.sub(lambda found: found[0].replace(" ", "\xa0"), text)
    given = whole if len(whole.rpartition("  ")[2]) <= width - len(hang) else text
    lines = textwrap.wrap(
        given, width, initial_indent=lead, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\xa0", " ")
