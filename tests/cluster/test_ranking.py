"""The expressions that rank names; tests/cluster/test_answers.py compares what they choose with an archive."""

from math import exp

import pytest

from tally.cluster.ranking import rank
from tally.engine.sketch import LOG_GAMMA


def test_the_ends_of_percentiles_need_no_bins() -> None:
    """They are the least and the greatest sample, of names with a sketch."""
    for percentile, value in (("p0", "min(min)"), ("p100", "max(max)")):
        found = rank(percentile, 3, bins="bins", level=0)
        assert found == ("", f"HAVING min(is_sketched) ORDER BY {value} DESC, label LIMIT 3")


@pytest.mark.parametrize("level", [0, 3])
def test_the_middle_is_computed_with_all_digits(level: int) -> None:
    """The width of the bins depends on the level."""
    width = LOG_GAMMA * 2**level
    assert f"* {width!r}) * 2 / {exp(width) + 1!r}" in rank("p50", 3, bins="bins", level=level).before
