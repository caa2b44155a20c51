"""Wire lines from files: read as they come, taken one by one, and those that are not taken told and counted.

    app.lines:17: value: not a decimal number of a magnitude of at most 1e100: 'requests.get.index fast'
    ^file     ^line  ^reason

TOLD_MAX of them are told, and the others counted by reason. Memory is bounded by `source.BLOCK_BYTES` and the longest
line allowed, whatever the files hold.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import click

from tally.cli import source
from tally.cli.progress import Progress
from tally.lines.plain import DATAGRAM_MAX_BYTES, EXPLANATIONS, Reason, bare
from tally.log import pluralize

# So many bad lines show what is wrong; a large file of another kind would fill the screen for minutes.
TOLD_MAX = 20

FILE = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)

# Takes a line that came in a second, or returns the reason why not.
Take = Callable[[bytes, int], Reason | None]


class Rules(NamedTuple):
    """What becomes of a line: `take` gets it with `prefix` before it, unless it is too long then."""

    take: Take
    prefix: bytes = b""
    longest_bytes: int = DATAGRAM_MAX_BYTES


class Lines:
    """The lines of files in their order, `-` is stdin; iterating gives lists of as many taken ones as can be read now.

    `read` counts the lines with anything in them, `rejected` those that are not taken by reason, and `empty` those that
    hold no measurement. `clock` gives the second of receipt.
    """

    def __init__(
        self, paths: Sequence[str], rules: Rules, progress: Progress, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.read = 0
        self.empty = 0
        self.rejected: Counter[str] = Counter()
        self._paths = paths
        self._rules = rules
        self._progress = progress
        self._clock = clock
        self._bytes = 0

    def __iter__(self) -> Iterator[list[bytes]]:
        source.check(self._paths)
        for path in self._paths:
            with source.opened(path) as file:
                first = 1
                for block in blocks(file, self._rules.longest_bytes):
                    yield self._good(path, first, block)
                    first += len(block)
                    self._progress.show(pluralize(self.read, "line"), self._bytes + file.taken)
                self._bytes += file.taken

    def _good(self, path: str, first: int, block: list[bytes]) -> list[bytes]:
        good = []
        now = int(self._clock())
        for number, raw in enumerate(block, first):
            stripped = bare(raw)
            if not stripped:
                continue
            self.read += 1
            text = self._rules.prefix + stripped.lstrip(b" \t")
            reason = Reason.LENGTH if len(text) > self._rules.longest_bytes else self._rules.take(text, now)
            if reason is None:
                good.append(text)
            elif reason is Reason.EMPTY:
                self.empty += 1
            else:
                self.rejected[reason] += 1
                self._tell(f"{path}:{number}: {reason}: {EXPLANATIONS[reason]}: {_quoted(stripped)}")
        return good

    def _tell(self, text: str) -> None:
        """Report one of the first bad lines, and once that there are more."""
        told = self.rejected.total()
        if told <= TOLD_MAX:
            self._progress.report(text)
        elif told == TOLD_MAX + 1:
            self._progress.report(f"after {TOLD_MAX} of them, bad lines are counted and no longer shown")

    def account(self) -> str:
        """Return in words how many lines were read, how many rejected for which reasons, and how many are empty."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.rejected.items()))
        told = f"read {pluralize(self.read, 'line')}, rejected {self.rejected.total()}" + (reasons and f" ({reasons})")
        return f"{told}, empty {self.empty}" if self.empty else told


class Readable(Protocol):
    """What gives as many bytes as there are now, and none at its end."""

    def read1(self, size: int, /) -> bytes:
        """Return some bytes."""


def blocks(file: Readable, longest_bytes: int) -> Iterator[list[bytes]]:
    """Yield the complete lines of a file, as many at once as can be read without waiting, without their LF.

    Of a line that is too long only so much is kept that it still is.
    """
    rest = b""
    while data := file.read1(source.BLOCK_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        # A CR may stand at its end, and is no part of it.
        rest = rest[: longest_bytes + 2]
        if lines:
            yield lines
    if rest:
        yield [rest]


def _quoted(text: bytes) -> str:
    return f"{text[:200].decode('utf-8', 'backslashreplace')!r:.100}"
