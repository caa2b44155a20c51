"""What `--help` says: every command's has the same parts, and every width is laid out well."""

import re
from pathlib import Path

import click
import pytest

from tally.cli import check, importing, main, manual, query, targets
from tally.cli.manual import Context, Documented
from tally.engine.asking.question import AGGREGATES, KINDS
from tests.cli.command import invoke

WALL_LINES = 6
TEXT = """Do it at once.

    It does what is said,
    and nothing else.

    Arguments:
      NAME  what it is called, which may be told at such a length
            that it goes on in the next line
      A B   two words

    Examples:
      tally it --now

    Exit status:
      2   not that
      13  bad luck

    See also:
      another command
    """


def commands(command: click.Command = main, name: str = "") -> list[tuple[str, Documented]]:
    """Return all commands with the words that they are called by, groups included."""
    assert isinstance(command, Documented), f"{name} has no cls=Documented"
    found = [(name, command)]
    if isinstance(command, click.Group):
        context = Context(command)
        below = [(each, command.get_command(context, each)) for each in command.list_commands(context)]
        for each, inner in below:
            assert inner is not None
            found += commands(inner, f"{name} {each}".strip())
    return found


NAMES = [name for name, _ in commands()]


def made(text: str = TEXT) -> Documented:
    """Return a command with that help and one option."""
    option = click.Option(["--data-dir"], metavar="DIRECTORY", help="where it is kept  [TALLY_DATA_DIR; default data]")
    return Documented("it", help=text, params=[option])


def laid_out(command: Documented, columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the help of a command on a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    return command.get_help(Context(command, info_name="it"))


@pytest.mark.parametrize(("name", "command"), commands(), ids=NAMES)
def test_every_command_says_the_same_things(name: str, command: Documented) -> None:
    """Each help text has a summary, a description, arguments, examples, exit statuses and outputs."""
    sections = {section.heading: dict(section.rows()) for section in command.sections()}

    assert re.fullmatch(r"[A-Z][^.]+\.", command.summary), name
    assert command.description().startswith(f"{command.summary}\n\n")
    assert {"0", "1", "2", "130"} == sections["Exit status"].keys()
    assert "Examples" in sections
    if not isinstance(command, click.Group):
        assert ["stdout", "stderr"] == list(sections["Output"])
    arguments = [each.make_metavar(Context(command)) for each in command.params if isinstance(each, click.Argument)]
    explained = list(sections.get("Arguments", {}))
    assert explained == [argument.strip("[].") for argument in arguments]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", NAMES)
def test_every_help_fits(name: str, columns: int, tmp_path: Path) -> None:
    """No line is wider than the terminal, and paragraphs are short."""
    shown = invoke(tmp_path, *name.split(), "--help", COLUMNS=columns).stdout

    assert [] == [line for line in shown.splitlines() if len(line) > min(columns, manual.WIDEST)]
    description = shown.partition("\n\n")[2].partition(":\n")[0]
    assert max(paragraph.count("\n") + 1 for paragraph in description.split("\n\n")) <= WALL_LINES
    assert "  [TALLY_" not in re.sub(r"\[TALLY_\w+(; default [^\s\]]+)?\]", "", shown), "a setting is torn apart"


@pytest.mark.parametrize(
    ("command", "heading", "terms"),
    [
        (query.query, "Kinds", {*KINDS, *query.LISTS}),
        (importing.import_files, "Columns", {*targets.HEADER} - {"archive"}),
        (check.check, "Columns", {*check.HEADER} - {"archive"}),
    ],
    ids=["query", "import", "check"],
)
def test_what_a_help_lists_is_what_there_is(command: Documented, heading: str, terms: set[str]) -> None:
    """All kinds of queries and columns of tables are described, and no others."""
    [section] = [section for section in command.sections() if section.heading == heading]
    assert terms == {term for terms, _ in section.rows() for term in terms.split(", ")}


def test_the_aggregates_in_the_help_are_all() -> None:
    """`tally query` names the existing aggregates."""
    [arguments] = [section for section in query.query.sections() if section.heading == "Arguments"]
    told = dict(arguments.rows())["AGGREGATE"].partition(";")[0]
    assert {*AGGREGATES, "a percentile such as p95"} == set(re.split(r", or |, | or ", told))


def test_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections surround the options, terms are in a column, and common exit statuses are added."""
    assert laid_out(made(), 60, monkeypatch).splitlines() == [
        "Usage: it [OPTIONS]",
        "",
        "  Do it at once.",
        "",
        "  It does what is said, and nothing else.",
        "",
        "Arguments:",
        "  NAME  what it is called, which may be told at such a",
        "        length that it goes on in the next line",
        "  A B   two words",
        "",
        "Options:",
        "  --data-dir DIRECTORY",
        "                       where it is kept",
        "                       [TALLY_DATA_DIR; default data]",
        "  --help               show this text and exit",
        "",
        "Examples:",
        "  tally it --now",
        "",
        "Exit status:",
        "  0    done",
        "  1    the output cannot be written: the disk is full, or",
        "       the reader closed it",
        "  2    not that",
        "  13   bad luck",
        "  130  interrupted, as by Ctrl-C",
        "",
        "See also:",
        "  another command",
    ]


@pytest.mark.parametrize(("columns", "widest"), [(20, 38), (40, 38), (60, 58), (100, 98), (101, 98), (200, 98)])
def test_the_width_has_bounds(columns: int, widest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is as wide as the terminal, within limits."""
    shown = laid_out(made("Do it.\n\n" + "word " * 99), columns, monkeypatch)
    assert widest - len(" word") < max(map(len, shown.splitlines())) <= widest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("as in tally-data", ["  as in", "  tally-data"]),
        ("a-word-that-is-too-wide", ["  a-word-that-is-too-wide"]),
        ("it  [A; b c]", ["  it", "  [A; b c]"]),
        ("it  [A; b c d e f]", ["  it  [A; b", "  c d e f]"]),
        ("", []),
    ],
)
def test_what_is_to_be_copied_stays_whole(text: str, expected: list[str]) -> None:
    """Lines break at spaces, not at hyphens, and within brackets at the end only if they do not fit."""
    assert expected == manual._fill(text, 12, "  ", "  ").splitlines()
