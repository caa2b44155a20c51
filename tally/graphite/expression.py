"""Regular expressions that a target gives, matched by RE2: in a time that grows with what is matched, and no faster.

Python's own can take for ever over a short name. RE2 has nearly all that they have, but no look-around and no
references within an expression, and to it `\\w` and `\\d` are of ASCII.
"""

import time

from tally.errors import InvalidQuestion

EXPRESSION_MAX = 1024
MEMORY_MAX_BYTES = 2**20
# For all the names that one function looks at.
TIME_MS = 2000
NAME_MAX = 4096


class Expression:
    """One expression in one call of a function; every method raises InvalidQuestion where it has taken too long."""

    def __init__(self, text: str) -> None:
        """Read it.

        :raises InvalidQuestion: when it is too long or needs too much memory, or is none.
        """
        import re2  # type: ignore[import-untyped]

        if len(text) > EXPRESSION_MAX:
            raise InvalidQuestion(f"the regular expression {text!r:.100} is longer than {EXPRESSION_MAX} characters")
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MEMORY_MAX_BYTES
        self._text = text
        self._deadline = time.monotonic() + TIME_MS / 1000
        try:
            self._pattern = re2.compile(text, options)
        except re2.error as error:
            reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
            raise InvalidQuestion(f"{text!r:.100} is not a regular expression of RE2's: {reason}") from None

    def is_in(self, name: str) -> bool:
        """Return whether it matches somewhere in a name."""
        self._check()
        return self._pattern.search(name[:NAME_MAX]) is not None

    def sub(self, replacement: str, name: str) -> str:
        r"""Return a name with each match replaced, in which `\\1` is the first group.

        :raises InvalidQuestion: also when `replacement` names a group that there is not.
        """
        self._check()
        try:
            return str(self._pattern.sub(replacement, name[:NAME_MAX]))[:NAME_MAX]
        except (IndexError, ValueError) as error:
            raise InvalidQuestion(f"{replacement!r:.100} cannot be put for {self._text!r:.100}: {error}") from None

    def _check(self) -> None:
        if time.monotonic() > self._deadline:
            raise InvalidQuestion(f"the regular expression {self._text!r:.100} takes too long: use a simpler one")
