"""The page on the command line, whose tables of options are those of the commands, and the examples of their help."""

import re
from pathlib import Path

import click
import pytest

from tally.cli import main
from tally.cli.manual import EXAMPLES
from tally.cli.serve import DEFAULT_ARCHIVES
from tally.engine import Catalog
from tests.cli.command import EXAMPLE
from tests.cli.test_manual import commands
from tests.docs.story import ROOT, Story, story
from tests.engine.history import test_whisper_file

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


def have_archives(told: Story) -> None:
    """Make the archives that examples name, with copies of them, and a file of lines."""
    (told.directory / "samples.lines").write_bytes(EXAMPLE)
    catalog = Catalog(told.directory / "tally-data")
    for slug, (resolution, retention) in DEFAULT_ARCHIVES.items():
        catalog.create(slug, resolution=resolution, retention=retention)
    for path in ("backups", "backups/tally"):
        (told.directory / path).mkdir()
        catalog["daily"].backup(told.directory / path / "daily.db")


def have_a_server(told: Story) -> None:
    """Serve what `have_archives` makes."""
    have_archives(told)
    told.succeed("tally serve")


def have_alerts(told: Story) -> None:
    """Make the archives, a rule that examples name, where they look for it too, and a silence."""
    have_archives(told)
    rule = '[checkout-slow]\nask = "max"\nover = "5min"\nabove = 0.8\n'
    for path in ("tally-data/alerts.toml", "alerts.toml"):
        (told.directory / path).write_text(rule)
    told.succeed("tally alerts silence other --for 2h --why x")


def have_a_cluster(told: Story) -> None:
    """Replicate what `have_archives` makes."""
    have_archives(told)
    told.have_a_cluster()
    told.succeed("tally cluster init && tally replicate --once")


def have_files_to_import(told: Story) -> None:
    """Make the archives, and a file of each format."""
    have_archives(told)
    (told.directory / "daily.csv").write_text("time,name,count,sum,avg,min,max\n1700000000,a,1,1,1,1,1\n")
    test_whisper_file.write(told.directory / "whisper" / "a.wsp", {1_700_000_000: 1.0})


def have_nothing(_told: Story) -> None:
    """Leave it to the examples."""


BEFORE = {
    **dict.fromkeys(("", "archives", "archives create", "serve", "collect"), have_nothing),
    "import": have_files_to_import,
    **dict.fromkeys(("alerts", "alerts check", "alerts test", "alerts unsilence"), have_alerts),
    **dict.fromkeys(("send", "health", "demo"), have_a_server),
    **dict.fromkeys(("cluster", "cluster init", "cluster status", "replicate"), have_a_cluster),
}


def stories(name: str) -> list[list[str]]:
    """Return the examples of a command's help, apart where each goes on until it is ended."""
    [found] = [section for section in dict(commands())[name].sections() if section.heading == EXAMPLES]
    return [[line] for line in found.lines] if name in ("serve", "collect") else [found.lines]


@pytest.mark.parametrize("name", [name for name, _ in commands()], ids=lambda name: f"tally {name}")
def test_every_example_of_the_help_works(name: str, tmp_path: Path) -> None:
    """Each is one of the command that it is for, and succeeds, after those before it, where there is what it names."""
    for number, lines in enumerate(stories(name)):
        directory = tmp_path / str(number)
        directory.mkdir()
        with story(directory) as told:
            BEFORE.get(name, have_archives)(told)
            for line in lines:
                assert f"tally {name}".strip() in line
                told.succeed(line)
