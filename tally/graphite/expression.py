"""Regular expressions that a target gives: bounded in length and in time, which Python's own are not.

They are Python's, as in Graphite. One that has exponentially many ways not to match is stopped.
"""

import time
from collections.abc import Callable

from tally.errors import InvalidQuestion

EXPRESSION_MAX = 1024
# For all the names that one function looks at.
TIME_MS = 500
NAME_MAX = 4096


class Expression:
    """One expression in one call of a function; every method raises InvalidQuestion where it takes too long."""

    def __init__(self, text: str) -> None:
        """Read it.

        :raises InvalidQuestion: when it is too long, or none.
        """
        import regex

        if len(text) > EXPRESSION_MAX:
            raise InvalidQuestion(f"the regular expression {text!r:.100} is longer than {EXPRESSION_MAX} characters")
        self._text = text
        self._deadline = time.monotonic() + TIME_MS / 1000
        try:
            self._pattern = regex.compile(text, regex.VERSION0)
        except (regex.error, RecursionError, OverflowError) as error:
            raise InvalidQuestion(f"{text!r:.100} is not a regular expression: {error}") from None

    def is_in(self, name: str) -> bool:
        """Return whether it matches somewhere in a name."""
        return self._bounded(lambda left_s: self._pattern.search(name[:NAME_MAX], timeout=left_s)) is not None

    def sub(self, replacement: str, name: str) -> str:
        r"""Return a name with each match replaced, in which `\\1` is the first group.

        :raises InvalidQuestion: also when `replacement` names a group that there is not.
        """
        import regex

        try:
            changed = self._bounded(lambda left_s: self._pattern.sub(replacement, name[:NAME_MAX], timeout=left_s))
        except (regex.error, IndexError) as error:
            raise InvalidQuestion(f"{replacement!r:.100} cannot be put for {self._text!r:.100}: {error}") from None
        return str(changed)[:NAME_MAX]

    def _bounded(self, match: Callable[[float], object]) -> object:
        left_s = self._deadline - time.monotonic()
        try:
            if left_s > 0:
                return match(left_s)
        except TimeoutError:
            pass
        raise InvalidQuestion(f"the regular expression {self._text!r:.100} takes too long: use a simpler one")
