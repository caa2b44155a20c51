"""The README: what it tells to type prints what it says."""

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.story import ROOT, Story, story
from tests.processes import LIMIT_S

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$(?=(?:\n\n```(?:json)?\n(.*?)^```$)?)", README, re.MULTILINE | re.DOTALL)
INSTALLATION = "pip install . && "


def python(told: Story, script: str) -> str:
    """Return what a script prints, in the directory and with the settings of the story."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=told.directory, env=told.environment, capture_output=True, timeout=LIMIT_S, check=True, text=True
    )
    return done.stdout + done.stderr


def test_the_examples_are_real(tmp_path: Path) -> None:
    """From the first command on, everything that is shown is what comes out, but for installing and the tests."""
    ran: list[str] = []
    with story(tmp_path) as told:
        for language, code, expected in BLOCKS:
            command = code.removeprefix(INSTALLATION).rstrip("\n")
            if language == "python":
                assert "" == python(told, code), code
            elif language == "sh" and not command.startswith("pip "):
                told.check(command, expected)
            else:
                continue
            ran.append(command)

    assert 7 == len(ran)


def test_the_two_commands_are_the_first_of_their_sections() -> None:
    """One installs and serves, the other runs the tests."""
    commands = [code.rstrip("\n") for language, code, _ in BLOCKS if language == "sh"]

    assert "pip install . && tally serve" == commands[0]
    assert "pip install nox && nox" == commands[-1]
