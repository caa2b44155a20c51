"""Distinct members of sets."""

from tally.engine.storing.sets import Members


def test_each_member_counts_once() -> None:
    """A set counts its own members, as of the second in which it was last added to."""
    members = Members()
    members.add("a", {"x", "y"}, 5)
    members.add("b", {"x"}, 6)
    members.add("a", {"y", "z"}, 7)
    members.add("c", set(), 8)
    assert {("a", 7, 3), ("b", 6, 1)} == set(members.counts())


def test_only_new_members_are_counted() -> None:
    """What is there already needs no room."""
    members = Members()
    assert 2 == members.new("a", {"x", "y"})
    members.add("a", {"x", "y"}, 5)
    assert [0, 1, 1] == [members.new("a", {"x"}), members.new("a", {"x", "z"}), members.new("b", {"x"})]
