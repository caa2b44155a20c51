"""Which cells are proven, on both sides of each rule."""

from typing import Any

import pytest

from tally.engine.recovery.proof import Candidate, Total, judge
from tally.engine.recovery.trees import SURE, TRACE

TWICE, DATA, INDEX = (SURE, SURE), (SURE, None), (None, SURE)
TRACES = (TRACE, TRACE)


def cell(
    name: int, samples: float, total: float, low: float, high: float, *, where: tuple[int | None, int | None] = TWICE
) -> Candidate:
    """Return a cell of some name."""
    return Candidate(name, samples, total, low, high, *where)


def proven(found: list[Candidate], total: Total | None = None, *, holds: bool = True) -> list[Candidate]:
    """Return the proven cells of candidates."""
    return list(judge(found, total, lambda _: holds).proven.values())


A, B = (2.0, 3.0, 1.0, 2.0), (2.0, 7.0, 3.0, 4.0)
BOTH = Total(4, 10, 1, 4)


@pytest.mark.parametrize(
    ("where", "is_proven"),
    [(TWICE, True), ((SURE, TRACE), True), ((TRACE, SURE), True), (DATA, False), (INDEX, False), (TRACES, False)],
)
def test_two_places(where: tuple[int | None, int | None], is_proven: bool) -> None:
    """A cell in both trees is proven, even if one copy is a trace."""
    assert is_proven == bool(proven([cell(1, *A, where=where)]))


@pytest.mark.parametrize(("total", "is_proven"), [(Total(*A), True), (Total(3, 3, 1, 2), False), (None, False)])
def test_two_traces(total: Total | None, is_proven: bool) -> None:
    """Two traces prove a cell only if the bucket adds up with them."""
    assert is_proven == bool(proven([cell(1, *A, where=TRACES)], total))


@pytest.mark.parametrize(
    ("total", "holds", "is_proven"),
    [
        (Total(*A), True, True),
        (Total(*A), False, False),
        (None, True, False),
        (Total(3, 3, 1, 2), True, False),
        (Total(2, 3.5, 1, 2), True, False),
        (Total(2, 3, 0.5, 2), True, False),
        (Total(2, 3, 1, 2.5), True, False),
    ],
)
def test_the_only_cell_of_a_bucket(total: Total | None, holds: bool, is_proven: bool) -> None:
    """A single copy is proven by an equal total if no other name can be there."""
    assert is_proven == bool(proven([cell(1, *A, where=DATA)], total, holds=holds))


def test_one_place_among_others() -> None:
    """Among several cells, the total proves its own min and max, but no rounded sums."""
    outer, inner = (2.0, 5.0, 1.0, 4.0), (2.0, 5.0, 2.0, 3.0)
    found = [cell(1, *outer, where=DATA), cell(2, *inner, where=DATA)]
    assert [found[0]] == proven(found, Total(4, 10, 1, 4))
    assert [] == proven(found, Total(4, 10.000000000000002, 1, 4))
    assert [] == proven([cell(1, *outer, where=DATA), cell(2, *outer, where=DATA)], Total(4, 10, 1, 4))


@pytest.mark.parametrize(
    ("values", "is_proven"),
    [((3, 1.5, 0.5, 0.5), True), ((3, 1.6, 0.5, 0.5), False), ((3, 0.3, 0.1, 0.1), False), ((3, 1.5, 0.5, 0.6), False)],
)
def test_one_value(values: tuple[float, float, float, float], is_proven: bool) -> None:
    """A cell whose samples have one value proves itself."""
    others = cell(2, 1, 9, 9, 9)
    assert is_proven == (len(proven([cell(1, *values, where=DATA), others], Total(4, 0, 0, 0))) == 2)


@pytest.mark.parametrize(("samples", "is_proven"), [(4, True), (5, False)])
def test_one_value_that_is_zero(samples: int, is_proven: bool) -> None:
    """A sum of zero does not prove the count, so the total is needed."""
    found = [cell(1, 3, 0, 0, 0, where=DATA), cell(1, 3, 0, -1, 1, where=INDEX), cell(2, 1, 9, 9, 9)]
    changed = [found[0]._replace(samples=2), *found[1:]]
    assert 2 == len(proven(found, Total(4, 9, 0, 9)))
    assert 1 == len(proven(changed, Total(4, 9, 0, 9)))
    assert is_proven == (len(proven([found[0], found[2]], Total(samples, 9, 0, 9))) == 2)


@pytest.mark.parametrize(
    ("changed", "total", "is_proven"),
    [
        ({"samples": 3}, BOTH, True),
        ({"samples": 3}, Total(6, 10, 1, 4), False),
        ({"sum": 4.0}, BOTH, True),
        ({"sum": 4.0}, Total(4, 10.5, 1, 4), False),
        ({"min": 0.5}, BOTH, True),
        ({"min": 0.5}, Total(4, 10, 0.25, 4), False),
        ({"max": 2.5}, BOTH, False),
        ({"samples": 3}, None, False),
    ],
)
def test_two_places_that_differ(changed: dict[str, Any], total: Total | None, is_proven: bool) -> None:
    """If the trees differ, the cell that matches the total exactly is taken, or none."""
    right = cell(1, *A, where=DATA)
    wrong = cell(1, *A, where=INDEX)._replace(**changed)
    for found in ([right, wrong, cell(2, *B)], [wrong, right, cell(2, *B)]):
        assert is_proven == (right in proven(found, total, holds=False))
        assert wrong not in proven(found, total, holds=False)


def test_one_value_decides() -> None:
    """If the trees differ, a cell whose samples have one value is taken without a total."""
    right, wrong = cell(1, 1, 0.5, 0.5, 0.5, where=INDEX), cell(1, 1, 0.5, 0.25, 0.5, where=DATA)
    assert [right] == proven([right, wrong])


def test_impossible_cells() -> None:
    """No cell has a count below one, or a min above its max."""
    assert [] == proven([cell(1, 0, 1, 1, 1), cell(2, 2, 3, 2, 1)], Total(2, 4, 1, 1))


def test_three_that_differ() -> None:
    """Two rows in one tree and another in the other tree prove nothing."""
    found = [cell(1, *A, where=DATA), cell(1, *B, where=DATA), cell(1, 9, 9, 9, 9, where=INDEX)]
    assert [] == proven(found, Total(*A), holds=False)
