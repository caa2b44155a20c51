"""How questions end: what each outcome means, and how many there were."""

from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum

from tally import forks
from tally.api.message import Reply
from tally.api.problems import Problem, problem
from tally.errors import QueryTimeout


class Outcome(StrEnum):
    """How a question ended."""

    ANSWERED = "answered"
    WRONG = "wrong"
    REFUSED = "refused"
    BUSY = "busy"
    TIMEOUT = "timeout"
    FAILED = "failed"
    LEFT = "left"


MEANINGS = {
    Outcome.ANSWERED: "whole",
    Outcome.WRONG: "the question was not one that can be answered (4xx)",
    Outcome.REFUSED: "a token was missing or wrong (401, 403), or the host name is not allowed (421)",
    Outcome.BUSY: "too much was asked at once (503)",
    Outcome.TIMEOUT: "it took longer than `TALLY_QUERY_TIMEOUT`",
    Outcome.FAILED: "the archive could not be read (500, 503)",
    Outcome.LEFT: "the client went away, or did not read the answer in time",
}
_OF_PROBLEMS = {401: Outcome.REFUSED, 403: Outcome.REFUSED, 421: Outcome.REFUSED, 503: Outcome.BUSY}


def outcome(error: Exception) -> Outcome:
    """Return how a question ended that `error` ended."""
    if isinstance(error, QueryTimeout):
        return Outcome.TIMEOUT
    if isinstance(error, Problem) and error.status in _OF_PROBLEMS:
        return _OF_PROBLEMS[error.status]
    return Outcome.WRONG if problem(error).status < 500 else Outcome.FAILED


class Outcomes:
    """Counts outcomes, from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[Outcome] = Counter(dict.fromkeys(Outcome, 0))
        self._lock = forks.lock()

    def count(self, outcome: Outcome) -> None:
        """Count a question."""
        with self._lock:
            self._counts[outcome] += 1

    def counts(self) -> dict[Outcome, int]:
        """Return how many questions had each outcome."""
        with self._lock:
            return dict(self._counts)


class Watched:
    """The chunks of a reply, whose end is counted once: run out, failed, or closed before."""

    def __init__(self, reply: Reply, count: Callable[[Outcome], None]) -> None:
        self._chunks = iter(reply.chunks)
        self._close = reply.close
        self._count = count
        self._lock = forks.lock()
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; raises what the query raises."""
        try:
            chunk = next(self._chunks, None)
        except Exception as error:
            self._end(outcome(error))
            raise
        if chunk is None:
            self._end(Outcome.ANSWERED)
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Stop the query."""
        self._end(Outcome.LEFT)
        self._close()

    def _end(self, outcome: Outcome) -> None:
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            self._count(outcome)
