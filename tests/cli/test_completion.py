"""What the shell offers, asked as click's scripts ask for it, and in a real bash."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tally.cli.completion import aggregates
from tally.engine import Catalog
from tests.processes import LIMIT_S, environment

BASH = shutil.which("bash")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data directory with archives."""
    for slug in ("daily", "days", "yearly"):
        Catalog(tmp_path).create(slug)
    return tmp_path


def offered(data: Path, *words: str, shell: str = "zsh", **settings: str) -> list[str]:
    """Return what is offered for the last of the words, and for zsh with their help."""
    asked = {"COMP_WORDS": " ".join(("tally", *words)), "COMP_CWORD": len(words), **settings}
    return run(data, _TALLY_COMPLETE=f"{shell}_complete", **asked).splitlines()


def run(data: Path, **variables: object) -> str:
    """Return what tally prints."""
    command = [sys.executable, "-m", "tally"]
    done = subprocess.run(
        command, env=environment(data, **variables), capture_output=True, timeout=LIMIT_S, check=False, text=True
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("s",), ["serve", "send", "salvage"]),
        (("archives", "d"), ["delete"]),
        (("archives", ""), ["list", "show", "create", "edit", "delete"]),
        (("serve", "--data"), ["--data-dir"]),
        (("serve", "--log-format", ""), ["text", "json"]),
        (("query", "d"), ["daily", "days"]),
        (("query", ""), ["auto", "daily", "days", "yearly"]),
        (("query", "a"), ["auto"]),
        (("query", "daily", "m"), ["min", "max"]),
        (("query", "daily", "--kind", "n"), ["names"]),
        (("check", "daily", "y"), ["yearly"]),
        (("backup", "there", "dai"), ["daily"]),
        (("import", "--archive", "y"), ["yearly"]),
        (("archives", "show", ""), ["daily", "days", "yearly"]),
        (("archives", "create", ""), []),
    ],
)
def test_what_is_offered(words: Sequence[str], expected: list[str], data: Path) -> None:
    """Commands, options, choices, slugs and aggregates are completed."""
    plain = [line.partition(",") for line in offered(data, *words, shell="bash")]
    assert expected == [value for kind, _, value in plain if kind == "plain"]


def test_archives_of_another_directory(data: Path) -> None:
    """The slugs are those of the directory in an option before them."""
    Catalog(data / "other").create("hourly")
    assert ["plain,hourly"] == offered(data, "query", "--data-dir", str(data / "other"), "h", shell="bash")
    assert ["file,h"] == offered(data, "query", "h", shell="bash")
    assert [""] == offered(data, "archives", "show", "h", shell="bash", TALLY_DATA_DIR="")


def test_commands_are_offered_with_their_help(data: Path) -> None:
    """Shells that support it get a description of each command, without importing the commands."""
    lines = offered(data, "hea")
    assert ["plain", "health", "Check whether a running server is ready."] == lines


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str, data: Path) -> None:
    """The documented lines print a script."""
    assert "_TALLY_COMPLETE" in run(data, _TALLY_COMPLETE=f"{shell}_source")


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_a_real_bash_completes(data: Path) -> None:
    """After the documented line, bash completes commands."""
    assert BASH is not None
    program = data / "tally"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m tally \"$@\"\n")
    program.chmod(0o755)
    script = (
        'eval "$(_TALLY_COMPLETE=bash_source tally)"; complete -p tally; COMP_WORDS=(tally query da); COMP_CWORD=2; '
        '_tally_completion tally; echo "${COMPREPLY[@]}"'
    )
    variables = {**environment(data), "PATH": f"{data}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [BASH, "-c", script], env=variables, capture_output=True, timeout=LIMIT_S, check=False, text=True
    )
    assert ("", ["complete -o nosort -F _tally_completion tally", "daily days"]) == (
        done.stderr,
        done.stdout.splitlines(),
    )


def test_all_aggregates_are_offered() -> None:
    """Without any text, all values are offered."""
    offered = [item.value for item in aggregates(None, None, "")]  # type: ignore[arg-type]
    assert ["avg", "count", "max", "min", "p50", "p90", "p95", "p99", "sum"] == sorted(offered)
