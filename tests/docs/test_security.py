"""docs/security.md against the code: the limits are those that hold."""

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
LIMITS = re.findall(r"^\| .+ \| ([0-9]+) \| `(tally\.[\w.]+)\.(\w+)` \| .+ \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("value", "module", "constant"), LIMITS)
def test_a_limit_is_what_the_page_says(value: str, module: str, constant: str) -> None:
    """Each limit is a named constant of that value."""
    assert int(value) == getattr(import_module(module), constant)


def test_there_are_limits() -> None:
    """Every row of the table was looked at."""
    assert PAGE.count("| `tally.") == len(LIMITS) > 15
