"""Whose samples there is still room for."""

import pytest

from tally.collector.admission import Door


def test_names_that_archives_have_are_admitted() -> None:
    """Whichever archive it is, and though it takes no more."""
    door = Door(2)
    door.add("*", ["a", "b"])
    door.add("x.*", ["x.a", "x.b"])
    assert [True, True, True, False, False] == [door.admits(name) for name in ("a", "b", "x.a", "c", "x.c")]


@pytest.mark.parametrize(("max_names", "admitted"), [(2, []), (3, ["new"]), (4, ["new", "newer"])])
def test_new_names_are_admitted_while_there_are_places(max_names: int, admitted: list[str]) -> None:
    """As many as an archive takes, each as often as it comes."""
    door = Door(max_names)
    door.add("*", ["a", "b"])
    assert admitted == [name for name in ("new", "newer", "newest") if door.admits(name)]
    assert admitted == [name for name in ("new", "newer", "newest") if door.admits(name)]


def test_places_are_for_names_that_an_archive_wants() -> None:
    """An archive with another pattern opens the door for nobody else."""
    door = Door(2)
    door.add("*", ["a", "b"])
    door.add("x.*", ["x.a"])
    assert [False, True, False] == [door.admits(name) for name in ("new", "x.new", "x.newer")]


def test_without_archives_nobody_is_admitted() -> None:
    """There is nothing that would keep a sample."""
    assert not Door(1).admits("a")
