"""Options that are made from the table of settings."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tally.cli import main
from tally.cli.options import find_archive, with_settings
from tally.errors import InvalidSetting, UnknownArchive
from tally.settings import SETTINGS, Settings

ALL = [setting.name for setting in SETTINGS]


@click.command()
@with_settings(*ALL)
def _every(settings: Settings) -> None:
    click.echo(repr(settings))


@pytest.mark.parametrize(
    ("arguments", "environment", "port"),
    [([], {}, 8900), ([], {"TALLY_PORT": "1"}, 1), (["--port", "2"], {"TALLY_PORT": "1"}, 2), (["--port", "0"], {}, 0)],
)
def test_an_option_beats_the_environment_and_that_the_default(
    arguments: list[str], environment: dict[str, str], port: int
) -> None:
    """Of an option, an environment variable and the default, the first that is given is taken."""
    result = CliRunner(env={"TALLY_PORT": None, **environment}).invoke(_every, arguments)
    assert f" port={port}," in result.stdout


def test_an_option_may_be_empty_where_the_setting_may() -> None:
    """An empty option is a value, not a missing option."""
    result = CliRunner(env={"TALLY_PREFIX": "given"}).invoke(_every, ["--prefix", ""])
    assert " prefix=''," in result.stdout


def test_a_malformed_option_is_told_by_its_own_name() -> None:
    """The error names the option, not the setting."""
    result = CliRunner().invoke(_every, ["--flush-time", "0"])
    assert isinstance(result.exception, InvalidSetting)
    assert "--flush-time='0' is not a duration: use a number of seconds greater than 0" == str(result.exception)


def test_a_malformed_secret_is_not_shown() -> None:
    """An error about a token does not show the token."""
    result = CliRunner().invoke(_every, ["--read-token", "my secret"])
    assert "--read-token=(not shown) is not" in str(result.exception)


def test_every_option_is_helped_from_the_table() -> None:
    """The help of an option shows its meaning, its environment variable and its default."""
    text = " ".join(CliRunner().invoke(_every, ["--help"], terminal_width=500).stdout.split())
    for setting in SETTINGS:
        assert setting.meaning in text
        assert f"[{setting.name}{f'; default {setting.default}' if setting.default else ''}]" in text


def test_units_and_zeros_are_told_where_the_meaning_does_not() -> None:
    """The help shows the unit once, and the meaning of 0 if it has a special one."""
    text = " ".join(CliRunner().invoke(_every, ["--help"], terminal_width=500).stdout.split())
    assert "time between flushes, in seconds [TALLY_FLUSH_TIME; default 5]" in text
    assert "most metric names in an archive; 0: no limit [TALLY_MAX_NAMES; default 100000]" in text


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("send", "--port PORT UDP port of the collector [TALLY_PORT; default 8900]"),
        ("collect", "--port PORT UDP port to listen on; 0: the kernel chooses a free one [TALLY_PORT; default 8900]"),
        ("collect", "--host ADDRESS address to listen on for samples [TALLY_HOST; default 127.0.0.1]"),
    ],
)
def test_a_setting_is_told_with_what_it_means_to_the_command(command: str, expected: str) -> None:
    """The help of an option describes its meaning for the command."""
    result = CliRunner().invoke(main, [command, "--help"], terminal_width=500)
    assert expected in " ".join(result.stdout.split())


def test_commands_take_an_option_for_each_setting_that_they_go_by() -> None:
    """Each setting that affects a command is an option of the command."""
    expected = {
        "send": {"--host", "--port", "--prefix", "--max-future"},
        "import": {"--data-dir", "--max-names", "--max-future"},
        "collect": {
            *("--data-dir", "--host", "--port", "--flush-time", "--allow", "--max-names", "--max-future"),
            *(
                "--receive-buffer",
                "--workers",
                "--tcp-port",
                "--pickle-port",
                "--unix-datagram",
                "--unix-stream",
                "--max-cells",
            ),
        },
        "query": {"--data-dir", "--query-timeout", "--cluster-file", "--answer-from", "--source"},
        "demo": {"--data-dir", "--host", "--port", "--prefix", "--max-names"},
    }
    flags = {"--" + setting.field.replace("_", "-") for setting in SETTINGS}
    context = click.Context(main)
    for name, settings in expected.items():
        command = main.get_command(context, name)
        assert command is not None
        assert settings == {flag for parameter in command.params for flag in parameter.opts} & flags


def test_an_archive_that_is_not_there_is_told_with_its_directory(tmp_path: Path) -> None:
    """Errors about a missing archive name the directory."""
    settings = Settings.load({}, data_dir=tmp_path)
    with pytest.raises(UnknownArchive) as caught:
        find_archive(settings, "daily")
    assert f"there is no archive 'daily' in {tmp_path}" == str(caught.value)
