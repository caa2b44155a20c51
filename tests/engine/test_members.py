"""Distinct members of sets."""

import pytest

from tally.engine.members import Members


def test_each_member_counts_once() -> None:
    """A set counts its own members, as of the second in which it was last added to."""
    members = Members()
    assert members.add("a", {"x", "y"}, 5)
    assert members.add("b", {"x"}, 6)
    assert members.add("a", {"y", "z"}, 7)
    assert members.add("c", set(), 8)
    assert {("a", 7, 3), ("b", 6, 1)} == set(members.counts())


@pytest.mark.parametrize(("most", "expected"), [(3, True), (2, False)])
def test_all_sets_together_have_a_bound(most: int, expected: bool) -> None:
    """Beyond it nothing new is taken; what is there already needs no room."""
    members = Members(most=most)
    assert members.add("a", {"x"}, 5)
    assert expected == members.add("b", {"x", "y"}, 6)
    assert members.add("a", {"x"}, 7)
    assert {("a", 7, 1), *([("b", 6, 2)] if expected else [])} == set(members.counts())
