"""Shows the progress of long work in one line, rewritten in place; only if stderr is a terminal."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

import click

REFRESH_S = 0.1
CLEAR_LINE = "\r\x1b[K"


class Progress:
    """The progress of one task, of `total` in any unit, 0 if unknown. Use it as a context manager, which clears it."""

    def __init__(
        self, total: float = 0, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._is_shown = self._stream.isatty()
        self._clock = clock
        self._next = clock()

    def show(self, text: str, done: float = 0) -> None:
        """Show `text` with the percentage of `done`, at most a few times a second."""
        if not self._is_shown or self._clock() < self._next:
            return
        share = f"{min(100, int(100 * done / self._total)):3d}%  " if self._total else ""
        self._write(f"{CLEAR_LINE}{share}{text}")
        self._next = self._clock() + REFRESH_S

    def parts(self, text: str) -> Callable[[float, float], None]:
        """Return a function that shows `text` with what is done of a total, for a task whose total is 1."""
        return lambda done, total: self.show(text, done / total)

    def report(self, text: str) -> None:
        """Print a permanent line, also if stderr is no terminal."""
        self.clear()
        click.echo(text, file=self._stream)

    def clear(self) -> None:
        """Remove the line until the next `show`."""
        if self._is_shown:
            self._write(CLEAR_LINE)
            self._next = 0

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
