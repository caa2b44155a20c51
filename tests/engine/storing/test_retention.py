"""The time that retention goes by."""

import pytest

from tally.engine.storing.retention import BELIEVE_S, STEP_S, Retention

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("step", "expected"),
    [(STEP_S, STEP_S), (STEP_S + 1, 0), (-STEP_S, -STEP_S), (-STEP_S - 1, -STEP_S - 1), (4e9, 0), (-NOW, -NOW)],
)
def test_a_step(step: float, expected: float) -> None:
    """A step ahead is not believed, unless it is small; one back is, since it deletes nothing."""
    retention = Retention()
    assert NOW == retention.now(NOW, 0)
    assert NOW + 5 + expected == retention.now(NOW + 5 + step, 5)
    assert NOW + 10 == retention.now(NOW + 10, 10)


@pytest.mark.parametrize(("lasted", "expected"), [(BELIEVE_S - 1, 0), (BELIEVE_S, 86_400)])
def test_a_step_that_lasts_is_believed(lasted: float, expected: float) -> None:
    """A clock that was put right, and one that nobody puts right, is believed after a day."""
    retention = Retention()
    retention.now(NOW, 0)
    retention.now(NOW + 86_401, 1)
    assert NOW + 1 + lasted + expected == retention.now(NOW + 86_401 + lasted, 1 + lasted)


def test_a_slow_drift_is_no_step() -> None:
    """A clock that is corrected little by little is believed all the time."""
    retention = Retention()
    for number in range(100):
        assert NOW + number * STEP_S == retention.now(NOW + number * STEP_S, 0)
