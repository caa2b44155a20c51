"""What was posted, counted."""

from collections import Counter

from tally.api.ingest import Posted
from tally.engine import Outcome


def test_counts_add_up() -> None:
    """Lines are counted by outcome, samples by archive and outcome."""
    posted = Posted()
    assert ({}, {}) == (posted.lines(), posted.samples())
    posted.count(Counter(accepted=2, value=1), {"daily": Outcome(stored=2), "yearly": Outcome(1, 1)})
    posted.count(Counter(accepted=1), {"daily": Outcome(cardinality=1)})
    assert {"accepted": 3, "value": 1} == posted.lines()
    assert {
        ("daily", "stored"): 2, ("daily", "expired"): 0, ("daily", "cardinality"): 1,
        ("yearly", "stored"): 1, ("yearly", "expired"): 1, ("yearly", "cardinality"): 0,
    } == posted.samples()  # fmt: skip
