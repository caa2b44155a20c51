"""Functions that compute each value from one value of its series."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import WEB_A, answered, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"add({WEB_A},2.5)", f"add({WEB_A},2)", [3.5, 4.5, None, 6.5]),
        (f"exp(scale({WEB_A},0))", f"exp(scale({WEB_A},0))", [1.0, 1.0, None, 1.0]),
        (f"invert({WEB_A})", f"invert({WEB_A})", [1.0, 0.5, None, 0.25]),
        (f"isNonNull({WEB_A})", f"isNonNull({WEB_A})", [1.0, 1.0, 0.0, 1.0]),
        (f"log({WEB_A},2)", f"log({WEB_A}, 2)", [0.0, 1.0, None, 2.0]),
        (f"logit(scale({WEB_A},0.25))", f"logit(scale({WEB_A},0.25))", [-1.098612, 0.0, None, None]),
        (f"minMax({WEB_A})", f"minMax({WEB_A})", [0.0, 0.333333, None, 1.0]),
        (f"offsetToZero({WEB_A})", f"offsetToZero({WEB_A})", [0.0, 1.0, None, 3.0]),
        (f"round(scale({WEB_A},0.26),1)", f"round(scale({WEB_A},0.26),1)", [0.3, 0.5, None, 1.0]),
        (f"scaleToSeconds({WEB_A},60)", f"scaleToSeconds({WEB_A},60)", [6.0, 12.0, None, 24.0]),
        (f"sigmoid(scale({WEB_A},0))", f"sigmoid(scale({WEB_A},0))", [0.5, 0.5, None, 0.5]),
        (f"squareRoot({WEB_A})", f"squareRoot({WEB_A})", [1.0, 1.414214, None, 2.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
