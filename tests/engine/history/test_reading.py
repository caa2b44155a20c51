"""The account of an import: what is accepted of other systems' points, and why the rest is not."""

import pytest

from tally.engine.history.reading import Account

GOOD = (10, "a", 2, 3.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (GOOD, None),
        ((0, *GOOD[1:]), None),
        ((-1, *GOOD[1:]), "timestamp"),
        (("x", *GOOD[1:]), "timestamp"),
        ((None, *GOOD[1:]), "timestamp"),
        ((20, *GOOD[1:]), None),
        ((21, *GOOD[1:]), "future"),
        ((10, "a b", *GOOD[2:]), "name"),
        ((10, None, *GOOD[2:]), "name"),
        ((10, "a", 0.5, *GOOD[3:]), "value"),
        ((10, "a", 2, float("inf"), 1.0, 2.0), "value"),
    ],
)
def test_a_row_is_accepted_or_counted_with_its_reason(row: tuple[object, ...], reason: str | None) -> None:
    """And reported with where it is from."""
    reports: list[str] = []
    account = Account(20, reports.append)
    assert (reason is None) == account.accept("some.db", row)
    assert ({reason: 1} if reason else {}) == account.rejected
    assert bool(reason) == any(report.startswith("some.db: ") for report in reports)
