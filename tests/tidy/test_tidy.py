"""The code keeps the rules, but for the exemptions, and the exemptions only shrink."""

from pathlib import Path

import pytest

from tests.tidy.rules import EXEMPT, FILE_LINES, RULES, Rule
from tests.tidy.source import ROOT, Module, project


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    """Parse the project once."""
    return project()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_is_kept(rule: Rule, modules: list[Module]) -> None:
    """What breaks a rule is exempt from it, and what is exempt from a rule breaks it."""
    assert sorted(EXEMPT.get(rule, {})) == sorted(rule(modules)), rule.__doc__


def test_exemptions_are_of_rules() -> None:
    """There is no exemption from a rule that is not looked at."""
    assert set() == EXEMPT.keys() - set(RULES)


@pytest.mark.parametrize("path", sorted((ROOT / "tally" / "native").glob("*.?pp")), ids=lambda path: path.name)
def test_a_file_of_the_native_core_is_short_and_says_what_it_owns(path: Path) -> None:
    """It begins with a comment, and has at most as many lines as a module."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("// ")
    assert text.count("\n") <= FILE_LINES
