"""Units of metrics: which glob decides, and what a file may say."""

from pathlib import Path

import pytest

from tally.engine import Catalog
from tally.engine.units import RULES_MAX, UNIT_MAX, Units
from tally.errors import ArchiveUnavailable

FILE = """
"requests.*" = "s"
"*.size" = "bytes"
"a?c" = "ms"
[queues]
"*" = "/s"
"""


@pytest.fixture
def units(tmp_path: Path) -> Units:
    """Return the units of the file above."""
    (tmp_path / "units.toml").write_text(FILE)
    return Catalog(tmp_path).units()


@pytest.mark.parametrize(
    ("slug", "pattern", "unit"),
    [
        ("daily", "requests.get.index", "s"),
        ("daily", "requests.size", "s"),
        ("daily", "request", ""),
        ("daily", "disk.size", "bytes"),
        ("daily", "abc", "ms"),
        ("daily", "a*c", ""),
        ("daily", "a?c", "ms"),
        ("daily", "requests.get.*", "s"),
        ("daily", "requests.*", "s"),
        ("daily", "requests*", ""),
        ("daily", "*", ""),
        ("queues", "requests.get.index", "/s"),
        ("queues", "*", "/s"),
    ],
)
def test_the_first_glob_that_covers_decides(units: Units, slug: str, pattern: str, unit: str) -> None:
    """A unit is that of all names that a pattern matches; an archive's own come first."""
    assert unit == units.find(slug, pattern)


def test_there_may_be_no_file(tmp_path: Path) -> None:
    """Without a file nothing has a unit."""
    assert "" == Catalog(tmp_path / "new").units().find("daily", "*")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('"a" = s', r"line 1, column"),
        ('"a" = 3', r"the unit of 'a' is not a text"),
        ('"a" = ""', r"the unit of 'a' is not a text"),
        (f'"a" = "{"x" * (UNIT_MAX + 1)}"', r"the unit of 'a' is not a text"),
        ('[Daily]\n"*" = "s"', r"\[Daily\] is not the slug"),
        ("\n".join(f'"n{n}" = "s"' for n in range(RULES_MAX + 1)), f"at most {RULES_MAX}"),
        ("\xff", "is not valid"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, content: str, told: str) -> None:
    """The text names the file and says what is wrong."""
    (tmp_path / "units.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(ArchiveUnavailable, match=f"units.toml: .*{told}"):
        Catalog(tmp_path).units()


def test_bounds_are_included(tmp_path: Path) -> None:
    """The longest unit and the most rules are taken."""
    (tmp_path / "units.toml").write_text("\n".join(f'"n{n}" = "{"x" * UNIT_MAX}"' for n in range(RULES_MAX)))
    assert RULES_MAX == len(Catalog(tmp_path).units().rules)
