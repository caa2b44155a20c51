"""What a silence is made of."""

from typing import Any

import pytest

from tally.alerts.silences import LONGEST_S, parse_silence
from tally.errors import InvalidAlerts


@pytest.mark.parametrize(("length", "seconds"), [("2h", 7200), ("30min", 1800), (1, 1), ("366d", LONGEST_S)])
def test_a_silence_has_a_length(length: object, seconds: int) -> None:
    """It is a time with a unit, or seconds."""
    assert ("slow", "moving", seconds) == parse_silence({"rule": "slow", "why": "moving", "for": length})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"for": "soon"}, "for 'soon' is not valid"),
        ({"for": 0}, "for 0"),
        ({"for": "367d"}, "at most a year"),
        ({"for": None}, "for None"),
        ({"why": ""}, "why ''"),
        ({"why": "a\nb"}, "in one line"),
        ({"rule": 5}, "rule 5"),
        ({"until": "now"}, "'until' is not a field of a silence"),
    ],
)
def test_wrong_silences_are_refused(changed: dict[str, Any], says: str) -> None:
    """The error names the value."""
    with pytest.raises(InvalidAlerts, match=says):
        parse_silence({"rule": "slow", "why": "moving", "for": "2h", **changed})
