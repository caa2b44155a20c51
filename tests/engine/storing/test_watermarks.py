"""Watermarks."""

import pytest

from tally.engine.storing.watermarks import Watermarks


@pytest.mark.parametrize(
    ("second", "expected"), [(0, 0), (29, 0), (30, 30), (59, 30), (1_700_000_009, 1_699_999_980), (-1, -30)]
)
def test_block(second: int, expected: int) -> None:
    """A block begins at a multiple of its duration."""
    marks = Watermarks.read(
        {"resolution": 10, "sealed_before": 50, "blocks_from": 30, "block_buckets": 3, "version": 9, "name": "x"}
    )
    assert Watermarks(10, 50, 30, 3, 9) == marks
    assert expected == marks.block(second)
