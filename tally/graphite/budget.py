"""What one request may cost: time, series and points. It is stopped from any thread."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tally.errors import InvalidQuestion, QueryTimeout

SERIES_MAX = 10_000
# Values that are read for a request or made by one function, those that are missing included.
POINTS_MAX = 1_000_000
# So many items are made before the time is looked at.
CHECKED_ITEMS = 1000

Item = TypeVar("Item")


def check_points(points: int) -> None:
    """Let so many values pass.

    :raises InvalidQuestion: when they are too many.
    """
    if points > POINTS_MAX:
        raise InvalidQuestion(
            f"the targets are about more than {POINTS_MAX} values: ask for fewer series, less time, or an archive of a "
            "coarser resolution"
        )


def check_series(series: int) -> None:
    """Let so many series pass.

    :raises InvalidQuestion: when they are too many.
    """
    if series > SERIES_MAX:
        raise InvalidQuestion(f"the targets are about more than {SERIES_MAX} series: use narrower patterns")


class Budget:
    """What is left of a request that may take `timeout_s` from now."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._series = SERIES_MAX
        self._points = POINTS_MAX
        self._is_stopped = False
        self._interrupt: Callable[[], None] | None = None

    def left_s(self) -> float:
        """Return the seconds that are left.

        :raises QueryTimeout: when none are, or the request was stopped.
        """
        left_s = self._deadline - time.monotonic()
        if self._is_stopped or left_s <= 0:
            raise QueryTimeout("the targets took longer than TALLY_QUERY_TIMEOUT: ask for fewer series or less time")
        return left_s

    def checked(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items while there is time; raises as `left_s`."""
        for number, item in enumerate(items):
            if number % CHECKED_ITEMS == 0:
                self.left_s()
            yield item

    def spend(self, series: int, points: int) -> None:
        """Take so many series of `points` values each into account.

        :raises InvalidQuestion: when that is more than is left.
        """
        self._series -= series
        self._points -= series * points
        check_series(SERIES_MAX - self._series)
        check_points(POINTS_MAX - self._points)

    def interruptible(self, interrupt: Callable[[], None] | None) -> None:
        """Have `stop` call `interrupt`, until another or None is given; one raises as `left_s`."""
        self._interrupt = interrupt
        if interrupt is not None:
            self.left_s()

    def stop(self) -> None:
        """End the request as soon as may be; further calls do nothing."""
        self._is_stopped = True
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()
