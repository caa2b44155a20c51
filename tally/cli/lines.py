"""Reads wire lines from files, checks each, and reports and counts those that are not valid.

    app.lines:17: value: the value is not a number from -1e100 to 1e100: 'requests.get.index fast'
    ^file     ^line  ^reason

The first SHOWN_MAX invalid lines are reported; the others are only counted by reason. Memory is limited by
`source.BLOCK_BYTES` and the longest valid line, whatever the files contain.
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

# Enough to show what is wrong. A large file of another format would fill the screen for minutes.
SHOWN_MAX = 20

FILE = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)

# Handles a line received in a second; returns the reason if it is rejected.
Check = Callable[[bytes, int], Reason | None]


class Rules(NamedTuple):
    """How lines are checked: `check` gets each with `prefix` before it, unless it is then too long."""

    check: Check
    prefix: bytes = b""
    longest_bytes: int = DATAGRAM_MAX_BYTES


class Lines:
    """Iterates over lists of the valid lines of files in order; `-` is stdin. Each list has what can be read at once.

    `read` counts all lines that are not blank, `rejected` the invalid ones by reason, and `empty` those without a
    measurement. `clock` gives the second of receipt.
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
            with source.open_source(path) as file:
                first = 1
                for block in blocks(file, self._rules.longest_bytes):
                    yield self._accept(path, first, block)
                    first += len(block)
                    self._progress.show(pluralize(self.read, "line"), self._bytes + file.bytes_read)
                self._bytes += file.bytes_read

    def _accept(self, path: str, first: int, block: list[bytes]) -> list[bytes]:
        good = []
        now = int(self._clock())
        for number, raw in enumerate(block, first):
            stripped = bare(raw)
            if not stripped:
                continue
            self.read += 1
            text = self._rules.prefix + stripped.lstrip(b" \t")
            reason = Reason.LENGTH if len(text) > self._rules.longest_bytes else self._rules.check(text, now)
            if reason is None:
                good.append(text)
            elif reason is Reason.EMPTY:
                self.empty += 1
            else:
                self.rejected[reason] += 1
                shown = f"{path}:{number}: {reason}: {EXPLANATIONS[reason]}: {_quote(stripped)}"
                report_first(self._progress, shown, self.rejected.total())
        return good

    def summarize(self) -> str:
        """Return a sentence with the numbers of lines read, rejected by reason, and empty."""
        return summarize(pluralize(self.read, "line"), self.rejected, self.empty)


def report_first(progress: Progress, text: str, number: int) -> None:
    """Report one of the first SHOWN_MAX rejections, by its number from 1 on, or once that there are more."""
    if number <= SHOWN_MAX:
        progress.report(text)
    elif number == SHOWN_MAX + 1:
        progress.report(f"more than {SHOWN_MAX} are bad: the others are counted and not shown")


def summarize(read: str, rejected: Counter[str], empty: int) -> str:
    """Return a sentence with the numbers of lines or cells read, rejected by reason, and empty."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(rejected.items()))
    shown = f"read {read}, rejected {rejected.total()}" + (reasons and f" ({reasons})")
    return f"{shown}, empty {empty}" if empty else shown


class Readable(Protocol):
    """A stream that returns the available bytes, and none at its end."""

    def read1(self, size: int, /) -> bytes:
        """Return some bytes."""


def blocks(file: Readable, longest_bytes: int) -> Iterator[list[bytes]]:
    """Yield lists of the complete lines of a file without LF, as many at once as can be read without waiting.

    A line that is too long is shortened to just above the limit.
    """
    rest = b""
    while data := file.read1(source.BLOCK_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        # Room for a CR at the end, which does not count.
        rest = rest[: longest_bytes + 2]
        if lines:
            yield lines
    if rest:
        yield [rest]


def _quote(text: bytes) -> str:
    return f"{text[:200].decode('utf-8', 'backslashreplace')!r:.100}"
