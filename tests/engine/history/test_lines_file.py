"""Lines of cells: what is kept of a cell when its lines are read again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine.history import lines_file
from tally.engine.history.lines_file import spread, write_lines
from tally.engine.storing.rollup import Rollup


@settings(deadline=None)
@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=20))
def test_count_min_and_max_are_kept_and_the_sum_to_within_rounding(values: list[float]) -> None:
    """Of any samples; of one or two everything is."""
    count, total, low, high = len(values), float(sum(values)), min(values), max(values)
    rollup = Rollup(1)
    for line in b"".join(write_lines([("a", 70, count, total, total / count, low, high)])).splitlines():
        assert rollup.add_line(line, 100) is None
    found = rollup.take()[70]["a"]
    assert (count, low, high) == (found[0], found[2], found[3])
    assert pytest.approx(total, rel=1e-9, abs=1e-9 * count * max(abs(low), abs(high))) == found[1]
    if count <= 2:
        assert total == found[1]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ((1, 2.5, 2.5, 2.5), [(2.5, 1)]),
        ((1.4, 2.5, 2.5, 2.5), [(2.5, 1)]),
        ((2, 2.0, 1.0, 3.0), [(1.0, 1), (3.0, 1)]),
        ((2.6, 2.0, 1.0, 3.0), [(1.0, 1), (3.0, 1), (2.0, 1)]),
        ((5, 2.0, 1.0, 6.0), [(1.0, 1), (6.0, 1), (1.0, 3)]),
        ((10**9, 2.0, 1.0, 3.0), [(1.0, 1), (3.0, 1), (2.0, 10**9 - 2)]),
    ],
)
def test_a_cell_is_spread(cell: tuple[float, float, float, float], expected: list[tuple[float, int]]) -> None:
    """Min, max, and the others at their mean; fractional counts are rounded."""
    assert expected == list(spread(*cell))


def test_chunks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell of many samples does not need memory for all of its lines."""
    monkeypatch.setattr(lines_file, "CHUNK_BYTES", 100)
    chunks = list(write_lines([("a", 1, 1000, 2.0, 2.0, 2.0, 2.0), ("b", 1, 1, 1.0, 1.0, 1.0, 1.0)]))
    assert max(map(len, chunks)) <= 300
    assert b"a 2.0 1\n" * 1000 + b"b 1.0 1\n" == b"".join(chunks)
