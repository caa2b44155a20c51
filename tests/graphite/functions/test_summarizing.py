"""Functions that aggregate the values of intervals."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import WEB_A, answered, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"hitcount({WEB_A},'20s')", f'hitcount({WEB_A}, "20s")', [30.0, 40.0, None, None]),
        (f"integralByInterval({WEB_A},'20s')", f"integralByInterval({WEB_A},'20s')", [1.0, 3.0, 0.0, 4.0]),
        (f"smartSummarize({WEB_A},'20s','max')", f'smartSummarize({WEB_A}, "20s", "max")', [2.0, 4.0, None, None]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
