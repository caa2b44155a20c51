"""How the page of measurements is written."""

import pytest

from bench.__main__ import PAGE, PARTS, replaced

TEXT = "Before.\n<!-- ask -->\nold\nfigures\n<!-- end -->\nBetween.\n<!-- grow -->\n<!-- end -->\nAfter.\n"


def test_only_what_stands_in_the_place_of_a_part_is_replaced() -> None:
    """Prose and the figures of other parts stay as they are."""
    expected = "Before.\n<!-- ask -->\nnew\n<!-- end -->\nBetween.\n<!-- grow -->\n<!-- end -->\nAfter.\n"
    assert expected == replaced(TEXT, "ask", "new\n\n")


def test_replacing_twice_is_replacing_once() -> None:
    """A place can be found again after it was filled."""
    once = replaced(TEXT, "grow", "| 1 |")
    assert once == replaced(once, "grow", "| 1 |")


@pytest.mark.parametrize("text", [TEXT, "<!-- flush -->\nno end", ""])
def test_a_page_without_a_place_is_an_error(text: str) -> None:
    """Figures are never printed to nowhere."""
    with pytest.raises(ValueError, match="no place for 'flush'"):
        replaced(text, "flush", "new")


def test_the_page_has_a_place_for_every_part() -> None:
    """One command can write all of docs/performance.md."""
    for part in PARTS:
        assert "new" in replaced(PAGE.read_text(), part, "new")
