"""The page on the command line: its tables of options are those of the commands."""

import re

import click
import pytest

from tally.cli import main
from tests.docs.story import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
HEADER = "| option | setting | default | meaning |"
BRACKET = re.compile(r"  \[(?:(TALLY_\w+)(?:; )?)?(?:default:? (.+))?\]$")


def leaves(command: click.Command, name: str = "tally") -> list[tuple[str, click.Command]]:
    """Return all commands that do something, with their full names."""
    if not isinstance(command, click.Group):
        return [(name, command)]
    context = click.Context(command)
    found = [(each, command.get_command(context, each)) for each in command.list_commands(context)]
    return [leaf for each, inner in found if inner is not None for leaf in leaves(inner, f"{name} {each}")]


def option_row(option: click.Option) -> str:
    """Return an option's line of the table."""
    text = str(option.help)
    found = BRACKET.search(text)
    setting, default = found.groups() if found else (None, None)
    if not default and option.show_default:
        default = str(option.default)
    meaning = BRACKET.sub("", text).replace("|", r"\|") + bounds(option.type)
    return f"| `{flags(option)}` | {code(setting)} | {code(default)} | {meaning} |"


def flags(option: click.Option) -> str:
    """Return how an option is given."""
    names = "`, `".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return names
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    value = option.metavar or "/".join(choices) or option.type.name.upper()
    return f"{names} {value.strip('[]').replace('|', '/')}"


def bounds(kind: object) -> str:
    """Return what a number may be."""
    if not isinstance(kind, click.IntRange):
        return ""
    return f", at least {kind.min}" if kind.max is None else f", from {kind.min} to {kind.max:,}"


def code(text: str | None) -> str:
    """Return text as code, or nothing."""
    return f"`{text}`" if text else ""


def section(name: str) -> str:
    """Return what the page says of a command."""
    found = re.search(rf"^#+ `{name}`\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


@pytest.mark.parametrize(("name", "command"), leaves(main), ids=[name for name, _ in leaves(main)])
def test_a_section_has_the_options_of_its_command(name: str, command: click.Command) -> None:
    """Each option is told with its setting, default, bounds and meaning, in the words and order of `--help`."""
    rows = [option_row(each) for each in command.params if isinstance(each, click.Option)]

    _, _, table = section(name).partition(f"{HEADER}\n| --- | --- | --- | --- |\n")
    assert rows == re.findall(r"^\|.*$", table, re.MULTILINE)


@pytest.mark.parametrize(("name", "command"), leaves(main), ids=[name for name, _ in leaves(main)])
def test_a_section_has_an_example_and_how_the_command_is_given(name: str, command: click.Command) -> None:
    """Each begins with the command's arguments, and shows at least one real use."""
    arguments = command.collect_usage_pieces(click.Context(command))

    assert section(name).startswith(f"\n    {' '.join([name, *arguments])}\n")
    assert f"\n$ {name}" in section(name) or f"| {name}" in section(name)
