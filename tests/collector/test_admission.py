"""Which names are accepted during a flood."""

import pytest

from tally.collector.admission import NameAdmission


def test_names_that_archives_have_are_admitted() -> None:
    """Names that any archive has are admitted, even if it accepts no more names."""
    admission = NameAdmission(2)
    admission.add("*", ["a", "b"])
    admission.add("x.*", ["x.a", "x.b"])
    assert [True, True, True, False, False] == [admission.admits(name) for name in ("a", "b", "x.a", "c", "x.c")]


@pytest.mark.parametrize(("max_names", "admitted"), [(2, []), (3, ["new"]), (4, ["new", "newer"])])
def test_new_names_are_admitted_while_there_are_places(max_names: int, admitted: list[str]) -> None:
    """New names are admitted until the archive is full. An admitted name stays admitted."""
    admission = NameAdmission(max_names)
    admission.add("*", ["a", "b"])
    assert admitted == [name for name in ("new", "newer", "newest") if admission.admits(name)]
    assert admitted == [name for name in ("new", "newer", "newest") if admission.admits(name)]


def test_free_places_are_for_matching_names() -> None:
    """Names that do not match an archive's pattern do not use its places."""
    admission = NameAdmission(2)
    admission.add("*", ["a", "b"])
    admission.add("x.*", ["x.a"])
    assert [False, True, False] == [admission.admits(name) for name in ("new", "x.new", "x.newer")]


def test_without_archives_no_name_is_admitted() -> None:
    """A name that matches no archive is not admitted."""
    assert not NameAdmission(1).admits("a")
