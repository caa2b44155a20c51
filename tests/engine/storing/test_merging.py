"""Merging, counting and weighing cells."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.engine.sketch import Cell, find_sketch, make_sketch
from tally.engine.storing.merging import CELL_BINS, Cells, count, count_bins, merge, split_off, weigh_row

cell_values = st.lists(st.integers(-80, 80).map(lambda eighths: eighths / 8), min_size=1, max_size=5)


def cell(values: list[float]) -> Cell:
    """Return the cell of some values."""
    return (len(values), sum(values), min(values), max(values), None)


@given(
    st.lists(st.dictionaries(st.integers(0, 12), st.dictionaries(st.sampled_from("abc"), cell_values)), max_size=4),
    st.randoms(),
)
def test_merge_in_any_order(parts: list[dict[int, dict[str, list[float]]]], chance: Random) -> None:
    """The order of merges does not matter, and the sources do not change."""
    made: list[Cells] = [
        {bucket: {name: cell(values) for name, values in row.items()} for bucket, row in part.items()} for part in parts
    ]
    kept = [{bucket: row.copy() for bucket, row in part.items()} for part in made]
    one: Cells = {}
    other: Cells = {}
    for part in made:
        merge(one, part, 4)
    chance.shuffle(made)
    for part in made:
        merge(other, part, 4)
    assert one == other
    assert sorted(map(repr, kept)) == sorted(map(repr, made))
    everything: dict[tuple[int, str], list[float]] = {}
    for given_part in parts:
        for bucket, row in given_part.items():
            for name, values in row.items():
                everything.setdefault((bucket // 4 * 4, name), []).extend(values)
    assert {key: cell(values) for key, values in everything.items()} == {
        (bucket, name): found for bucket, row in one.items() for name, found in row.items()
    }


def test_count() -> None:
    """The number of samples is the sum over all cells."""
    assert 0 == count({})
    assert 3 == count({0: {"a": (10 / 3, 0, 0, 0, None)}})
    assert 6 == count({0: {"a": (1, 0, 0, 0, None), "b": (2, 0, 0, 0, None)}, 10: {"a": (3, 0, 0, 0, None)}})


@given(st.lists(cell_values, min_size=1, max_size=5), st.randoms())
def test_sketches_merge_in_any_order(parts: list[list[float]], chance: Random) -> None:
    """The merged sketch is that of all values; those of the sources do not change."""
    cells: list[Cells] = [{0: {"a": (*cell(values)[:4], make_sketch(values))}} for values in parts]
    chance.shuffle(cells)
    merged: Cells = {}
    for each in cells:
        merge(merged, each, 1, sketched=True)
    everything = [value for values in parts for value in values]
    assert make_sketch(everything) == merged[0]["a"][4]
    sketches = [find_sketch(each[0]["a"]) or {} for each in cells]
    assert sorted(map(len, parts)) == sorted(sum(sketch.values()) for sketch in sketches)


@pytest.mark.parametrize(("low", "sketched", "is_known"), [(1.0, True, True), (2.0, True, False), (1.0, False, False)])
def test_an_unknown_sketch_stays_unknown(low: float, sketched: bool, is_known: bool) -> None:
    """The sketch of equal samples is known without being made; without `sketched` merged cells have none."""
    merged: Cells = {0: {"a": (2, 3.0, low, 3.0 - low, None) if low > 1 else (2, 2.0, 1.0, 1.0, None)}}
    merge(merged, {0: {"a": (1, 5.0, 5.0, 5.0, None)}}, 1, sketched=sketched)
    assert is_known == (merged[0]["a"][4] is not None)


def test_weight_of_bins() -> None:
    """CELL_BINS bins weigh as much as a cell."""
    for bins, weight in ((CELL_BINS - 1, 1), (CELL_BINS, 2), (2 * CELL_BINS, 3)):
        row: dict[str, Cell] = {"a": (bins, 1, 0, 1, dict.fromkeys(range(bins), 1))}
        assert (bins, weight) == (count_bins(row.values()), weigh_row(row))
    assert 0 == count_bins([(1, 1, 1, 1, None)])


def test_split_off() -> None:
    """It takes so many cells, and leaves the others."""
    cells: Cells = {0: {"a": cell([1]), "b": cell([2])}, 10: {"a": cell([3])}}
    assert {0: {"a": cell([1]), "b": cell([2])}} == split_off(cells, 2)
    assert {10: {"a": cell([3])}} == split_off(cells, 2)
    assert {} == cells
