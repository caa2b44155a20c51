"""The README: what it leads with."""

import re

from tests.docs.story import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_are_the_first_of_their_sections() -> None:
    """One installs and serves, the other runs the tests."""
    commands = re.findall(r"^```sh\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)

    assert "pip install . && tally serve" == commands[0]
    assert 'pip install "nox[uv]" && nox' == commands[-1]
