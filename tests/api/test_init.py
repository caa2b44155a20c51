"""How the app is had: imported by a server, or made for a larger one."""

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette

import tally.api
from tally.errors import InvalidSetting
from tests.api.asking import settings
from tests.processes import environment

LIMIT_S = 30


def run(code: str, directory: Path, **chosen: object) -> "subprocess.CompletedProcess[str]":
    """Run code in a Python of its own, with settings in its environment."""
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment(directory, **chosen), capture_output=True, text=True, timeout=LIMIT_S
    )


def test_the_core_needs_no_web_framework(tmp_path: Path) -> None:
    """Importing the service, as the Django integration does, loads neither Starlette nor anyio nor uvicorn."""
    code = "import sys, tally.api.service; print(sorted({'starlette', 'anyio', 'uvicorn'} & sys.modules.keys()))"
    assert "[]\n" == run(code, tmp_path).stdout


def test_the_environment_is_read_when_the_app_is_asked_for(tmp_path: Path) -> None:
    """A malformed setting prevents neither the import nor an app with other settings."""
    code = "import tally.api, tally.settings; tally.api.create_app(tally.settings.Settings.load({})); print('made')"
    assert "made\n" == run(code, tmp_path, TALLY_QUERY_TIMEOUT="soon").stdout


def test_there_is_one_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every import returns the same app, and creates no directory."""
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path / "data"))
    assert isinstance(tally.api.app, Starlette)
    assert tally.api.app is tally.api.app
    assert not (tmp_path / "data").exists()


def test_there_is_nothing_else() -> None:
    """An unknown attribute of the package is an AttributeError."""
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        tally.api.nothing  # noqa: B018


def test_a_malformed_setting_is_an_error_for_who_makes_an_app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`create_app` reads the environment unless it is given settings, and raises for a malformed one."""
    monkeypatch.setenv("TALLY_QUERY_TIMEOUT", "soon")
    with pytest.raises(InvalidSetting, match="TALLY_QUERY_TIMEOUT='soon'"):
        tally.api.create_app()
    assert isinstance(tally.api.create_app(settings(tmp_path)), Starlette)


def test_a_malformed_setting_stops_the_server_with_one_line(tmp_path: Path) -> None:
    """uvicorn exits with one line that names the setting, its value and the valid values."""
    command = [sys.executable, "-m", "uvicorn", "tally.api:app", "--port", "0"]
    env = environment(tmp_path, TALLY_QUERY_TIMEOUT="soon")
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT_S)
    assert 1 == ended.returncode
    [line] = ended.stderr.splitlines()
    assert "TALLY_QUERY_TIMEOUT='soon' is not a duration: use a number of seconds greater than 0" in line
