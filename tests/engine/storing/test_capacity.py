"""The capacity of a rollup."""

import sys

import pytest

from tally.engine.storing.capacity import STEP_BYTES, Capacity, weigh, weigh_all, weigh_heaviest


def test_the_default_capacity_is_unbounded() -> None:
    """It admits any name."""
    capacity = Capacity()
    assert capacity.free == capacity.most > 2**60
    assert capacity.admits("a")


@pytest.mark.parametrize(
    ("name", "cells"),
    [("a" * 255, 1), ("é" * 127, 1), ("a" * 100 + "я", 1), ("a" * 253 + "я", 2), ("a" * 251 + "😀", 4)],
)
def test_names_that_take_more_memory_count_as_more_cells(name: str, cells: int) -> None:
    """The weight of a name depends on the memory that Python needs for it."""
    assert cells == weigh(name) == weigh_all([name])
    assert 2 * cells + 1 == weigh_all([name, "b", name])
    assert cells == weigh_heaviest(["b", name, "b"])


@pytest.mark.parametrize("character", ["я", "😀"])
def test_the_step_is_what_python_needs(character: str) -> None:
    """Which differs from version to version."""
    names = [character + "a" * number for number in range(255 - len(character.encode()))]
    heavy = next(number for number, name in enumerate(names) if sys.getsizeof(name) >= STEP_BYTES)
    assert [1, 2] == [weigh(names[heavy - 1]), weigh(names[heavy])]


def test_no_names_have_no_weight() -> None:
    """A batch may have no new names."""
    assert 0 == weigh_all([])
