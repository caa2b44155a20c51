"""What `POST /samples/` brought this process, counted."""

from collections import Counter
from collections.abc import Mapping

from tally import forks
from tally.engine.storing.commit import Outcome

ACCEPTED = "accepted"


class Posted:
    """Counts lines by outcome, `accepted` or why not, and samples by archive and outcome; from any thread."""

    def __init__(self) -> None:
        self._lines: Counter[str] = Counter()
        self._samples: Counter[tuple[str, str]] = Counter()
        self._lock = forks.lock()

    def count(self, lines: Counter[str], outcomes: Mapping[str, Outcome]) -> None:
        """Count the lines of a body, and by slug what became of their samples."""
        with self._lock:
            self._lines += lines
            for slug, outcome in outcomes.items():
                self._samples.update({(slug, each): count for each, count in outcome.counts().items()})

    def lines(self) -> dict[str, int]:
        """Return how many lines had each outcome."""
        with self._lock:
            return dict(self._lines)

    def samples(self) -> dict[tuple[str, str], int]:
        """Return how many samples had each outcome, by slug and outcome."""
        with self._lock:
            return dict(self._samples)
