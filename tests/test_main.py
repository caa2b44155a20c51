"""`python -m tally`."""

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.processes import LIMIT_S, environment


@pytest.mark.parametrize("arguments", [["--version"], ["archives", "create", "daily"], ["query", "nope"], ["unknown"]])
def test_it_is_the_command(tmp_path: Path, arguments: list[str]) -> None:
    """It prints what the script `tally`, as it is installed, prints, and ends with the same status."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    module, _, function = project["project"]["scripts"]["tally"].partition(":")
    script = f"import {module}; {module}.{function}()"
    results = [
        subprocess.run(
            [sys.executable, *how, *arguments],
            capture_output=True,
            env=environment(tmp_path / f"{number}"),
            timeout=LIMIT_S,
            check=False,
            text=True,
        )
        for number, how in enumerate((["-m", "tally"], ["-c", script]))
    ]
    told = [(r.returncode, r.stdout, r.stderr.replace(f"{tmp_path}/1", f"{tmp_path}/0")) for r in results]
    assert told[0] == told[1]
    assert "" != told[0][1] + told[0][2]


def test_importing_it_runs_nothing() -> None:
    """Only a run as the main module is a run of the command."""
    assert "main" in runpy.run_module("tally.__main__", run_name="imported")
