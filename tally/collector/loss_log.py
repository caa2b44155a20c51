"""What is said about losses: one line a minute, however much is lost, with the counts and an example of each reason.

Nothing of it depends on how many lines somebody sends, and what was sent stands in it as an escaped literal.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tally.collector.recent_losses import Loss, losses

logger = logging.getLogger("tally.collector")

COMPLAIN_EVERY_S = 60.0
EXAMPLE_BYTES = 100


class Complaint:
    """Gathers losses until it is time to say so; `now` is of a clock that never steps."""

    def __init__(self) -> None:
        self._said: Counter[Loss] = Counter()
        self._examples: dict[str, str] = {}
        self._due = float("-inf")

    def note(self, now: float, books: Mapping[str, Any], examples: Mapping[str, bytes]) -> None:
        """Learn what a collector's books say and why lines were rejected; say what was lost, if it is time."""
        for reason, line in examples.items():
            self._examples.setdefault(reason, repr(line[:EXAMPLE_BYTES].decode(errors="backslashreplace")))
        if now >= self._due:
            self._say(losses(books), now)

    def _say(self, total: Counter[Loss], now: float) -> None:
        lost = total - self._said
        if not lost:
            return
        told = [self._told(loss, count) for loss, count in sorted(lost.items())]
        data = [{"place": loss[:-1], "reason": loss[-1], "count": count} for loss, count in sorted(lost.items())]
        logger.warning("lost: %s", "; ".join(told), extra={"data": {"lost": data, "examples": self._examples}})
        self._said, self._examples, self._due = total, {}, now + COMPLAIN_EVERY_S

    def _told(self, loss: Loss, count: int) -> str:
        *places, reason = loss
        example = self._examples.get(reason) if places == ["lines"] else None
        return f"{count} {' of '.join(places)} as {reason}" + (f", such as {example}" if example else "")
