"""Limits of one Graphite request: time, series and points."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tally.errors import InvalidQuestion, QueryTimeout

SERIES_MAX = 10_000
# Values that one request reads or one function makes, missing values included.
POINTS_MAX = 1_000_000
# The deadline is checked once for this many items.
CHECKED_ITEMS = 1000

Item = TypeVar("Item")


def check_points(points: int) -> None:
    """Check a number of points.

    :raises InvalidQuestion: when there are more than POINTS_MAX.
    """
    if points > POINTS_MAX:
        raise InvalidQuestion(
            f"the targets need more than {POINTS_MAX} values: request fewer series, a shorter range, "
            "or an archive with a coarser resolution"
        )


def check_series(series: int) -> None:
    """Check a number of series.

    :raises InvalidQuestion: when there are more than SERIES_MAX.
    """
    if series > SERIES_MAX:
        raise InvalidQuestion(f"the targets need more than {SERIES_MAX} series: use narrower patterns")


class Budget:
    """The remaining time, series and points of a request that may take `timeout_s` from now."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._series = SERIES_MAX
        self._points = POINTS_MAX
        self._is_stopped = False
        self._interrupt: Callable[[], None] | None = None

    def left_s(self) -> float:
        """Return the remaining seconds.

        :raises QueryTimeout: when the time is over, or the request was stopped.
        """
        left_s = self._deadline - time.monotonic()
        if self._is_stopped or left_s <= 0:
            raise QueryTimeout("the targets took longer than TALLY_QUERY_TIMEOUT: request fewer series, or less time")
        return left_s

    def checked(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items; raises as `left_s` while it does."""
        for number, item in enumerate(items):
            if number % CHECKED_ITEMS == 0:
                self.left_s()
            yield item

    def spend(self, series: int, points: int) -> None:
        """Subtract `series` series of `points` values each from what remains.

        :raises InvalidQuestion: when less remains.
        """
        self._series -= series
        self._points -= series * points
        check_series(SERIES_MAX - self._series)
        check_points(POINTS_MAX - self._points)

    def set_interrupt(self, interrupt: Callable[[], None] | None) -> None:
        """Set the function that `stop` calls, or None for no function.

        :raises QueryTimeout: when a function is given, and the time is over or the request was stopped.
        """
        self._interrupt = interrupt
        if interrupt is not None:
            self.left_s()

    def stop(self) -> None:
        """Stop the request as soon as possible. May be called from any thread, and more than once."""
        self._is_stopped = True
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()
