"""The log of losses: one line a minute at most, with a count, the reason and an example of each kind of loss.

dropped 3 lines: service checks are not supported (`_sc|x|0`); 14 samples of daily: past its retention
"""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tally.collector.recent_losses import Loss, count_losses
from tally.lines.plain import EXPLANATIONS, Reason
from tally.log import pluralize

logger = logging.getLogger("tally.collector")

LOG_EVERY_S = 60.0
EXAMPLE_BYTES = 100

_OF_DATAGRAMS = {"refused": "sent from outside TALLY_ALLOW", "kernel_drops": "the kernel's receive buffer was full"}
_OF_CONNECTIONS = {"refused": "from outside TALLY_ALLOW, or too many at once"}
_OF_SAMPLES = {
    "expired": "past its retention",
    "cardinality": "it has TALLY_MAX_NAMES names already",
    "dropped": "it could not be written",
}


class LossLog:
    """Logs what was lost since the last line, at most once a minute; `now` is of a monotonic clock."""

    def __init__(self) -> None:
        self._logged: Counter[Loss] = Counter()
        self._examples: dict[str, str] = {}
        self._due = float("-inf")

    def update(self, now: float, status: Mapping[str, Any], examples: Mapping[str, bytes]) -> None:
        """Take a collector's counters and an example of a rejected line by reason; log new losses when due."""
        for reason, line in examples.items():
            self._examples.setdefault(reason, _escape(line))
        if now >= self._due:
            self._log(count_losses(status), now)

    def _log(self, total: Counter[Loss], now: float) -> None:
        new = sorted((total - self._logged).items())
        if not new:
            return
        text = "; ".join(self._describe(loss, count) for loss, count in new)
        data = [{"place": loss[:-1], "reason": loss[-1], "count": count} for loss, count in new]
        logger.warning("dropped %s", text, extra={"data": {"lost": data, "examples": self._examples}})
        self._logged, self._examples, self._due = total, {}, now + LOG_EVERY_S

    def _describe(self, loss: Loss, count: int) -> str:
        match loss:
            case ("lines", reason):
                example = f" (`{self._examples[reason]}`)" if reason in self._examples else ""
                noun = "sample" if reason == Reason.UNMATCHED else "line"
                return f"{pluralize(count, noun)}: {EXPLANATIONS[reason]}{example}"
            case ("samples", slug, outcome):
                return f"{pluralize(count, 'sample')} of {slug}: {_OF_SAMPLES[outcome]}"
            case ("datagrams", reason):
                return f"{pluralize(count, 'datagram')}: {_OF_DATAGRAMS[reason]}"
        return f"{pluralize(count, 'connection')}: {_OF_CONNECTIONS[loss[-1]]}"


def _escape(line: bytes) -> str:
    """Return the start of a line as text without control characters and backticks, which would end the quotation."""
    text = repr(line[:EXAMPLE_BYTES].decode(errors="backslashreplace"))[1:-1]
    return text.replace("`", r"\x60")
