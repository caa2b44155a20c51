"""Regular expressions in targets, matched by RE2.

RE2 takes time linear in the length of the text, while Python's `re` can take exponential time. RE2 has no look-around
and no back-references, and its `\\w` and `\\d` match ASCII only.
"""

import time

from tally.errors import InvalidQuestion

EXPRESSION_MAX = 1024
MEMORY_MAX_BYTES = 2**20
# For all names that one call of a function matches.
TIME_MS = 2000
NAME_MAX = 4096


class Expression:
    """The regular expression of one call of a function. Its methods raise InvalidQuestion after TIME_MS."""

    def __init__(self, text: str) -> None:
        """Compile the expression.

        :raises InvalidQuestion: when it is malformed, is too long, or needs too much memory.
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
            raise InvalidQuestion(f"{text!r:.100} is not a regular expression for RE2: {reason}") from None

    def is_in(self, name: str) -> bool:
        """Return whether the expression matches anywhere in a name."""
        self._check()
        return self._pattern.search(name[:NAME_MAX]) is not None

    def sub(self, replacement: str, name: str) -> str:
        r"""Return a name with each match replaced; `\1` in `replacement` is the first group.

        :raises InvalidQuestion: also when `replacement` refers to a group that does not exist.
        """
        self._check()
        try:
            return str(self._pattern.sub(replacement, name[:NAME_MAX]))[:NAME_MAX]
        except (IndexError, ValueError) as error:
            raise InvalidQuestion(f"{replacement!r:.100} cannot replace {self._text!r:.100}: {error}") from None

    def _check(self) -> None:
        if time.monotonic() > self._deadline:
            raise InvalidQuestion(f"the regular expression {self._text!r:.100} takes too long: use a simpler one")
