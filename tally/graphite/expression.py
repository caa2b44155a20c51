"""Regular expressions in targets, matched by RE2."""

import time

from tally.engine.asking.expression import compile_expression
from tally.errors import InvalidQuestion

# For all names that one call of a function matches.
TIME_MS = 2000
NAME_MAX = 4096


class Expression:
    """The regular expression of one call of a function. Its methods raise InvalidQuestion after TIME_MS."""

    def __init__(self, text: str) -> None:
        """Compile the expression.

        :raises InvalidQuestion: when it is malformed, is too long, or needs too much memory.
        """
        self._text = text
        self._deadline = time.monotonic() + TIME_MS / 1000
        self._pattern = compile_expression(text)

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
